#!/usr/bin/env -S python3 -B
"""The plain road on the embedded broker: every fate, a clean stop and the restart after it, the admin pages, --check-config."""

import pathlib
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import env, event  # noqa: E402


class Road(road.RoadCase):
    def test_every_record_has_one_fate_and_what_is_sent_was_taken(self):
        r = self.road
        r.people(100)
        r.people(10, consent=1, first=100)
        r.pg.sql("update postrider.contact set is_suppressed = true where address = '+5511900000109'")
        events = [event(n) for n in range(110)]
        events += [event(n, "promo.sent") for n in range(95, 105)]  # 5 of them without consent for marketing
        events += [event(1000 + n) for n in range(3)]  # nobody we know
        events += [event(n, "nobody.cares") for n in range(4)]
        events += [event(n, "order.confirmed", to="12345", id=f"bad-{n}") for n in range(2)]
        events += [event(0), event(1, id="order.confirmed-1")]  # the same messages again
        events += [event(n, "code.asked") for n in range(2)]  # a parameter is missing
        events += [event(n, id=f"late-{n}", expirytime=road.now(-5)) for n in range(2)]
        events += [event(n, id=f"old-{n}", time="2001-01-01T00:00:00Z") for n in range(2)]
        events += [event(n, "later", type="order.later") for n in range(6)]
        events += [event(3000, "consent.granted", data={"category": "utility", "how": "SMS"})]
        events += [("x", b"\xff\xfe not a record"), ("x", b"{")]
        r.dispatcher()
        r.publish(events)
        r.settled(deferred=0)
        fates = r.fates()
        self.assertEqual(sum(fates.values()), len(events), fates)
        self.assertEqual(fates, {
            "sent": 109 + 5 + 6, "refused:no_consent": 5, "refused:suppressed": 1, "refused:no_contact": 3, "refused:no_rule": 4,
            "refused:bad_address": 2, "duplicate:same_message": 2, "refused:missing_parameter": 2, "refused:expired": 2,
            "refused:bad_time": 2, "applied:consent.granted": 1, **{k: v for k, v in fates.items() if k.startswith("dead_letter:")}})
        self.assertEqual(sum(v for k, v in fates.items() if k.startswith("dead_letter:")), 2, fates)
        r.check(self)

    def test_a_clean_stop_writes_everything_and_the_restart_goes_on(self):
        r = self.road
        r.people(400)
        r.sandbox.config(latency={"fixed_ms": 700})
        first = r.dispatcher(dispatch__drain__timeout="10s", dispatch__in_flight=50)
        r.publish([event(n) for n in range(400)])
        env.wait_until(lambda: r.sandbox.stats()["open"] >= 20, what="20 requests on the wire")
        began = time.monotonic()
        self.assertEqual(first.stop(), 0)
        self.assertLess(time.monotonic() - began, 10)
        self.assertIn("stopped", first.output())
        self.assertNotIn("drain_timeout", first.output())
        fates = r.fates()
        self.assertEqual(r.busy(), r.count("select count(*) from postrider.message where state = 2"), fates)
        self.assertEqual(r.count("select count(*) from postrider.fate where state = 1 and fate = 'claimed'"), 0, "open claims are left")
        self.assertEqual(fates.get("unknown", 0), 0)
        sent = fates["sent"]
        self.assertGreaterEqual(sent, 20)
        self.assertEqual(r.sandbox.stats()["accepted"], sent)
        r.sandbox.config(latency={"fixed_ms": 0})
        r.dispatcher()
        r.settled(deferred=0)
        self.assertEqual(r.fates(), {"sent": 400})
        r.check(self)

    def test_a_stop_under_a_hanging_platform_ends_within_the_deadline_and_says_unknown(self):
        r = self.road
        r.people(10)
        r.sandbox.fault("accept_then_hang", times=0)
        process = r.dispatcher(dispatch__drain__timeout="2s", provider__timeout="60s")
        r.publish([event(n) for n in range(10)])
        env.wait_until(lambda: r.sandbox.stats()["open"] == 10, what="10 requests on the wire")
        began = time.monotonic()
        self.assertEqual(process.stop(), 0)
        self.assertLess(time.monotonic() - began, 9, "5 s for the revocation, 2 s to drain")
        self.assertEqual(r.fates(), {"unknown": 10})
        r.check(self)

    def test_offsets_are_committed_so_that_a_restart_reads_nothing_again(self):
        r = self.road
        r.people(50)
        r.dispatcher()
        r.publish([event(n) for n in range(50)])
        r.settled()
        r.stop()
        r.dispatcher("d2")
        r.publish([event(n, id=f"second-{n}") for n in range(10)])
        r.settled()
        self.assertEqual(r.metric("postrider_records_total", "d2"), 10)
        self.assertEqual(r.fates(), {"sent": 60})
        r.check(self)

    def test_the_admin_pages_say_what_is_so(self):
        r = self.road
        r.people(20)
        r.dispatcher()
        r.publish([event(n) for n in range(20)])
        r.settled()
        status, page = r.page("/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(r.metric("postrider_records_total"), 20)
        self.assertEqual(r.metric('postrider_outcomes_total{outcome="accepted"}'), 20)
        self.assertGreater(r.metric("postrider_lease_seconds"), 5)
        self.assertEqual(r.page("/healthz"), (200, "ok\n"))
        status, page = r.page("/readyz")
        self.assertEqual((status, "lease held" in page, "partitions 4" in page), (200, True, True), page)
        self.assertEqual(r.page("/nonsense")[0], 404)
        env.wait_until(lambda: r.count("select sum(n) from postrider.stat_minute where fate = 'sent'") == 20, 3, "the roll-up has them")
        self.assertEqual(r.count("select sum(n) from capacity.minute where fate = 'sent'"), 20)

    # ---- --check-config ----

    def check(self, expect, **more):
        done = subprocess.run([env.program("postrider-dispatcher"), *self.road.options(**more), "--check-config"], capture_output=True,
                                  text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_a_good_configuration_is_zero_and_prints_the_bound(self):
        self.road.dispatcher()
        out = self.check(0, dispatch__lanes=2, dispatch__claim_ahead=30, dispatch__in_flight=40)
        self.assertIn("at most 140 messages unknown", out)
        self.assertNotIn("FAULT", out)

    def test_each_fault_is_named_with_its_cure(self):
        out = self.check(1, postgres__conninfo="host=/nowhere dbname=x")
        self.assertIn("postgres.conninfo", out)
        self.assertIn("No such file or directory", out)
        out = self.check(1, topics__broadcast="unused")
        self.assertIn("unused", out)
        self.road.token.unlink()
        out = self.check(1)
        self.assertIn(str(self.road.token), out)
        self.assertIn("put its token there", out)

    def test_an_empty_database_is_told_to_migrate(self):
        out = self.check(1, postgres__conninfo=road.database(self.servers.pg, "postgres").conninfo)
        self.assertIn("postrider migrate", out)

    def test_a_broker_that_is_away_is_named(self):
        out = self.check(1, **{"kafka__bootstrap__servers": "127.0.0.1:1"})
        self.assertIn("127.0.0.1:1", out)

    def test_what_cannot_be_parsed_is_usage(self):
        done = subprocess.run([env.program("postrider-dispatcher"), "--dispatch.lanes=many"], capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertIn("dispatch.lanes", done.stderr)


if __name__ == "__main__":
    env.main()
