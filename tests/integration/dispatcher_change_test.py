#!/usr/bin/env -S python3 -B
"""What changes while messages wait: consent, templates, rules, rates and expiry, each in force within about a second and without a restart."""

import json
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import address, env, event, rule  # noqa: E402

SOON = 1.5  # seconds: a change is looked for every half second
AT_LAST = 15  # what must happen on a machine that is busy
SLOW = 0.2  # messages a second: the first goes at once, the second is claimed and waits five seconds for its turn


class Session:
    """A psql that stays, for a transaction that is open while others commit."""

    def __init__(self, pg):
        self.psql = subprocess.Popen(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", pg.conninfo], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def do(self, sql):
        self.psql.stdin.write(f"{sql};\n\\echo done\n")
        self.psql.stdin.flush()
        while (line := self.psql.stdout.readline()) != "done\n":
            if not line:
                raise RuntimeError("psql ended")

    def close(self):
        self.psql.stdin.close()
        self.psql.stdout.close()
        self.psql.wait()


class Change(road.RoadCase):
    def slow(self, rate=SLOW):
        self.road.pg.sql(f"update postrider.sender set rate = {rate}")

    def apply(self, what):
        r = self.road
        r.env.run("postrider", "apply", r.env.write(f"{r.name}.json", what), "--tenant", "aurora", "--db", r.pg.conninfo)

    def rules(self, rules):
        self.apply({"tenant": "aurora", "rules": rules})

    def rate(self, rate):
        """The business again, with another rate."""
        made = json.loads((self.road.env.folder / "business" / "business.json").read_text())
        made["senders"][0] |= {"rate": rate, "token_file": str(self.road.token)}
        self.apply(made)

    def revoke(self, n, category="utility"):
        r = self.road
        r.env.run("postrider", "consent", "revoke", "--to", address(n), "--category", category, "--how", "chat", "--db", r.pg.conninfo)

    def waiting_claim(self):
        """The number of the one person whose message is claimed and not on the wire."""
        r = self.road

        def found():
            return r.pg.rows("""select c.address from postrider.message m join postrider.contact c on c.tenant = m.tenant and c.id = m.contact
                where m.state = 1 and not exists (select from postrider.outcome o where o.tenant = m.tenant and o.day = m.day and o.id = m.id)""")
        env.wait_until(lambda: r.sandbox.stats()["accepted"] >= 1 and r.sandbox.stats()["open"] == 0 and len(found()) == 1, 15,
                       "one is sent and one is claimed")
        return int(found()[0]["address"][-9:]) - 900000000

    def taken_back(self, n, what):
        """The claimed message of person n is no more on its way; it may still stand in the sender's line to be decided again."""
        query = f"""select count(*) from postrider.message m join postrider.contact c on c.tenant = m.tenant and c.id = m.contact
            where m.state = 1 and c.address = '{address(n)}'"""
        env.wait_until(lambda: not self.road.count(query), AT_LAST, what, every=0.05)

    def sent_to(self):
        return [int(line["to"][-9:]) - 900000000 for line in self.road.sandbox.record()]

    def templates(self, since=0):
        return {line["template"] for line in self.road.sandbox.record()[since:]}

    def became(self, fates, what):
        env.wait_until(lambda: self.road.fates() == fates, AT_LAST, what, every=0.05)

    # ---- consent ----

    def test_consent_revoked_while_a_message_is_put_off_keeps_it_from_being_sent(self):
        r = self.road
        r.people(9)
        r.dispatcher()
        r.publish([event(n, "order.later") for n in range(9)])
        r.settled(deferred=9)
        r.publish([event(n, "consent.revoked", data={"category": "utility", "how": "chat"}) for n in range(3)])
        for n in range(3, 6):
            self.revoke(n)
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"sent": 3, "refused:no_consent": 6, "applied:consent.revoked": 3})
        self.assertEqual(sorted(self.sent_to()), [6, 7, 8])
        r.check(self)

    def test_consent_for_another_category_revoked_changes_nothing(self):
        r = self.road
        r.people(3)
        r.dispatcher()
        r.publish([event(n, "order.later") for n in range(3)])
        r.settled(deferred=3)
        for n in range(3):
            self.revoke(n, "marketing")
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"sent": 3})

    def claimed_and_slow(self, revoke, *before):
        """Somebody's message is claimed and waits for its sender; then they opt out."""
        r = self.road
        r.people(4)
        self.slow()
        r.dispatcher()
        r.publish([event(n) for n in range(4)])
        person = self.waiting_claim()
        revoke(person)
        self.taken_back(person, "the claimed message is taken back")
        self.rate("1000/s")
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"sent": 3, "refused:no_consent": 1, **dict(before)})
        self.assertNotIn(person, self.sent_to())
        r.check(self)

    def test_a_claimed_message_that_waits_for_a_slow_sender_is_not_sent_after_a_revocation_by_hand(self):
        self.claimed_and_slow(self.revoke)

    def test_a_claimed_message_that_waits_for_a_slow_sender_is_not_sent_after_an_sql_revocation(self):
        self.claimed_and_slow(lambda n: self.road.pg.sql(
            f"select postrider.consent_v1(1, '{address(n)}', gen_random_uuid(), 1::smallint, false, now(), 'chat', '', '')"))

    def test_a_message_that_waits_for_its_retry_is_not_sent_again_after_a_revocation(self):
        r = self.road
        r.people(2)
        r.sandbox.fault("error", code=131016, http=500, retry_after=4, match={"to": address(0)}, times=1)
        r.dispatcher()
        r.publish([event(0)])
        env.wait_until(lambda: len(r.sandbox.record()) == 1, 10, "the first attempt")
        self.revoke(0)
        self.became({"refused:no_consent": 1}, "the waiting message is refused")
        r.publish([event(1)])
        r.settled(20)
        time.sleep(4)
        self.assertEqual(self.sent_to(), [0, 1])

    def test_a_revocation_while_the_request_is_on_the_wire_stops_its_retry(self):
        r = self.road
        r.people(1)
        r.sandbox.config(latency={"fixed_ms": 2000})
        r.sandbox.fault("error", code=131016, http=500, times=1)
        r.dispatcher(provider__timeout="10s")
        r.publish([event(0)])
        env.wait_until(lambda: r.sandbox.stats()["open"] == 1, 10, "the request is on the wire")
        self.revoke(0)
        env.wait_until(lambda: r.fates() == {"refused:no_consent": 1}, 10, "it is refused")
        self.assertEqual(len(r.sandbox.record()), 1)

    def test_an_opt_out_that_commits_late_behind_others_is_seen_all_the_same(self):
        r = self.road
        r.people(4)
        r.people(3, first=50)
        self.slow(0.1)
        r.dispatcher()
        r.publish([event(n) for n in range(3)])
        person = self.waiting_claim()
        late = Session(r.pg)
        self.addCleanup(late.close)
        late.do(f"begin; select postrider.consent_v1(1, '{address(person)}', gen_random_uuid(), 1::smallint, false, now(), 'chat', '', '')")
        for n in range(50, 53):
            self.revoke(n)
            time.sleep(0.6)  # a look at the control rows between them, and one after them
        self.assertEqual(self.waiting_claim(), person)
        late.do("commit")
        self.taken_back(person, "the late opt-out is in force")
        self.rate("1000/s")
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"sent": 2, "refused:no_consent": 1})
        self.assertNotIn(person, self.sent_to())
        r.check(self)

    # ---- templates, rules, rates ----

    def test_a_template_paused_in_the_database_is_not_sent_any_more_and_sent_again_when_it_is_approved(self):
        r = self.road
        r.people(60)
        r.dispatcher()
        r.publish([event(n, "order.later") for n in range(5)] + [event(n) for n in range(5)])
        r.settled(deferred=5)
        r.pg.sql("""update postrider.template set status = 'paused' where name in ('order', 'later');
            insert into postrider.control (tenant, kind, target)
            select tenant, 'template', id::text from postrider.template where name in ('order', 'later')""")
        time.sleep(SOON)
        sent = len(r.sandbox.record())
        self.assertEqual(sent, 5)
        r.publish([event(n) for n in range(10, 20)] + [event(n, "promo.sent") for n in range(10, 20)])
        r.settled(20, deferred=5)
        time.sleep(2)  # past the time of those that are put off
        self.assertEqual(self.templates(sent), {"promo"})
        self.assertEqual(r.fates(), {"sent": 15, "refused:template_paused": 10, "deferred:template_paused": 5})
        r.pg.sql("""update postrider.template set status = 'approved' where name in ('order', 'later');
            insert into postrider.control (tenant, kind, target) values (1, 'reload', '')""")
        time.sleep(SOON)
        r.publish([event(n) for n in range(20, 25)])
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"sent": 25, "refused:template_paused": 10})
        r.check(self)

    def test_a_template_paused_while_a_claimed_message_waits_for_its_sender_is_not_sent(self):
        r = self.road
        r.people(3)
        self.slow()
        r.dispatcher()
        r.publish([event(n) for n in range(3)])
        self.waiting_claim()
        r.pg.sql("""update postrider.template set status = 'paused' where name = 'order';
            insert into postrider.control (tenant, kind, target) values (1, 'reload', '')""")
        r.settled(SOON + 3)
        self.assertEqual(len(r.sandbox.record()), 1)
        self.assertEqual(sum(r.fates().values()), 3, r.fates())
        time.sleep(5)
        self.assertEqual(len(r.sandbox.record()), 1, "the paused template was sent")

    def test_rules_that_are_applied_hold_for_what_comes_and_for_what_waits(self):
        r = self.road
        r.people(40)
        r.dispatcher()
        r.publish([event(n) for n in range(5)] + [event(n, "order.later") for n in range(5, 10)])
        r.settled(deferred=5)
        self.assertEqual(self.templates(), {"order"})
        self.rules([rule("order", "order.confirmed", "promo"), rule("later", "order.later", "code", delay="3s"), rule("new", "order.new", "order")])
        time.sleep(SOON)
        r.publish([event(n) for n in range(10, 20)])
        env.wait_until(lambda: len(r.sandbox.record()) >= 15, 10, "ten more are sent")
        self.assertEqual(self.templates(5) - {"code"}, {"promo"})
        r.publish([event(n, "order.new") for n in range(20, 25)] + [event(n, "promo.sent") for n in range(20, 25)])
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"sent": 25, "refused:no_rule": 5})
        self.assertEqual(sorted(line["template"] for line in r.sandbox.record()), ["code"] * 5 + ["order"] * 10 + ["promo"] * 10)
        r.check(self)

    def test_a_senders_rate_follows_both_ways(self):
        r = self.road
        r.people(120)
        r.dispatcher()
        r.publish([event(n) for n in range(20)])
        r.settled()
        self.rate("5/s")
        time.sleep(SOON)
        r.publish([event(n) for n in range(20, 120)])
        env.wait_until(lambda: len(r.sandbox.record()) > 20, 5, "the first of them is sent")
        time.sleep(4)
        times = [line["real"] for line in r.sandbox.record()][20:]
        self.assertGreaterEqual(len(times), 12, "slower than the new rate")
        self.assertLessEqual(max(sum(t <= u < t + 1000000 for u in times) for t in times), 6, "faster than the new rate")
        self.rate("1000/s")
        env.wait_until(lambda: len(r.sandbox.record()) == 120, SOON + 1, "the rest is sent at once")
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"sent": 120})
        r.check(self)

    # ---- what waits and then may not ----

    def test_a_message_whose_lane_dies_on_its_way_out_of_a_deferral_is_unknown_and_never_sent_again(self):
        r = self.road
        r.people(3)
        first = r.dispatcher(provider__timeout="60s")
        r.publish([event(n, "order.later") for n in range(3)])
        r.settled(deferred=3)
        r.sandbox.fault("accept_then_hang", match={"to": address(0)}, times=0)
        r.sandbox.fault("hang_before", match={"to": address(1)}, times=0)
        env.wait_until(lambda: r.sandbox.stats()["open"] == 2 and r.fates().get("sent") == 1, 10, "two requests hang")
        first.signal(signal.SIGKILL)
        r.sandbox.admin("faults", method="DELETE")
        for again in range(2):
            process = r.dispatcher(dispatch__reconcile_window="10s")
            r.settled(20)
            self.assertEqual(r.fates(), {"sent": 1, "unknown": 2})
            if again == 0:
                process.signal(signal.SIGKILL)
        self.assertEqual(r.count("select count(*) from postrider.message where state = 4 and gen = 2 and attempt = 1"), 2)
        time.sleep(12)  # the reconcile window is over, and nobody hears receipts
        self.assertEqual(r.fates(), {"sent": 1, "unknown": 2})
        self.assertEqual(sorted(self.sent_to()), [0, 1, 2])
        r.check(self)

    def test_only_to_refuses_everybody_else(self):
        r = self.road
        r.people(20)
        first = r.dispatcher()
        r.publish([event(n, "order.later") for n in range(4)])
        r.settled(deferred=4)
        self.assertEqual(first.stop(), 0)
        r.dispatcher(dispatch__only_to=f"{address(1)}, {address(7)}")
        r.publish([event(n) for n in range(20)])
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"sent": 3, "refused:only_to": 21})
        self.assertEqual(sorted(self.sent_to()), [1, 1, 7])
        r.check(self)

    def test_what_expires_while_it_waits_for_a_slow_sender_is_not_sent(self):
        r = self.road
        r.people(4)
        self.slow()
        r.dispatcher()
        r.publish([event(n, expirytime=road.now(3)) for n in range(4)])
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"sent": 1, "refused:expired": 3})
        self.assertEqual(len(r.sandbox.record()), 1)
        env.wait_until(lambda: r.count("select coalesce(sum(n), 0) from postrider.bucket") == 1, 5, "the quota of what expired is given back")
        r.check(self)

    def test_what_expires_while_it_is_put_off_or_waits_for_its_retry_is_not_sent(self):
        r = self.road
        r.people(6)
        r.sandbox.fault("error", code=131016, http=500, retry_after=4, match={"to": address(5)}, times=0)
        r.dispatcher()
        r.publish([event(n, "order.later", expirytime=road.now(2)) for n in range(5)] + [event(5, expirytime=road.now(2))])
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"refused:expired": 6})
        self.assertEqual(self.sent_to(), [5])
        r.check(self)

    def test_waiting_messages_follow_their_recipients_when_the_partitions_change(self):
        """As if the topic had had two partitions when they were put off: without it no lane would ever read them again."""
        r = self.road
        r.people(10)
        r.dispatcher()
        r.publish([event(n, "order.later") for n in range(10)])
        r.settled(deferred=10)
        r.stop()
        r.pg.sql("update postrider.topic set partitions = 2; update postrider.deferred set part = 99")
        r.dispatcher("d2")
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"sent": 10})
        self.assertEqual(r.pg.sql(f"select partitions from postrider.topic where name = '{r.topic}'"), str(road.PARTITIONS))
        r.check(self)

    def test_a_rule_removed_while_its_messages_are_put_off_refuses_them(self):
        r = self.road
        r.people(10)
        process = r.dispatcher()
        r.publish([event(n, "order.later") for n in range(5)] + [event(n, "cart.abandoned") for n in range(5, 10)])
        r.settled(deferred=10)
        self.rules([one for one in road.RULES if one["name"] not in ("later", "cart")])
        r.publish([event(n, "promo.sent") for n in range(10)])
        r.settled(20, deferred=0)
        self.assertEqual(r.fates(), {"sent": 10, "refused:no_rule": 10})
        self.assertEqual(self.templates(), {"promo"})
        self.assertTrue(process.is_running())
        r.check(self)

    def test_a_rule_removed_while_its_messages_wait_for_a_slow_sender_refuses_them(self):
        r = self.road
        r.people(5)
        self.slow()
        process = r.dispatcher()
        r.publish([event(n) for n in range(5)] + [event(n, "promo.sent") for n in range(5)])  # the second of each person waits at the gate
        self.waiting_claim()
        self.rules([one for one in road.RULES if one["name"] not in ("order", "promo")])
        r.settled(SOON + 5, deferred=0)
        fates = r.fates()
        self.assertEqual((fates["refused:no_rule"], sum(fates.values())), (10 - fates["sent"], 10), fates)
        self.assertLessEqual(fates["sent"], 2)
        time.sleep(6)
        self.assertEqual(len(r.sandbox.record()), fates["sent"])
        self.assertTrue(process.is_running())
        r.check(self)

    def test_what_was_claimed_and_taken_back_and_then_refused_gives_its_quota_back(self):
        r = self.road
        r.people(4)
        self.slow()
        r.dispatcher()
        r.publish([event(n) for n in range(4)])
        self.revoke(self.waiting_claim())
        time.sleep(SOON)
        self.rules([one for one in road.RULES if one["name"] != "order"])
        r.settled(SOON + 5, deferred=0)
        fates = r.fates()
        self.assertEqual(sum(fates.values()), 4, fates)
        env.wait_until(lambda: r.count("select coalesce(sum(n), 0) from postrider.bucket") == fates["sent"], 5,
                       "the quota of who was never sent anything is given back")


if __name__ == "__main__":
    env.main()
