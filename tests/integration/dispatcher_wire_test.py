#!/usr/bin/env -S python3 -B
"""What goes wrong between the dispatcher and the platform, each by the sandbox's script: nothing is sent twice, nothing is called what it is not."""

import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import address, env, event  # noqa: E402

# Accepted by the platform, and no definite answer.
SILENT = ["accept_then_cut", "accept_then_reset", "accept_then_half_cut", "accept_then_half_reset", "accept_then_500", "accept_then_502",
          "accept_then_garbage", "accept_then_empty", "accept_then_oversize", "cut_after_read", "reset_after_read"]
# Not accepted, and no definite answer either: nobody can tell them from the ones above.
LOST = ["cut_before", "reset_before", "500_before", "502_before", "garbage_before"]
# Fate and reason of a message whose every attempt gets this code; for a `deferred` one, when it is due (seconds from now, least and most).
# Written from platform.md, section 3, not from the dispatcher's table.
REJECTED = [100, 130403, 130472, 130497, 131008, 131009, 131021, 131026, 131030, 131047, 131051, 131055, 131062, 132005, 132008, 132012, 132018,
            137000]
STOPS_TEMPLATE = [132000, 132001, 132007, 132016, 131063, 132068]
STOPS_SENDER = [3, 10, 33, 190, 200, 299, 368, 131005, 131031, 131042, 131045, 133010]
RETRIED = [1, 2, 130429, 131000, 131016, 131053, 131056, 133004]
SLOWS_ALL = [4, 80007]  # the app's or the account's limit: for everybody of it
DEFERRED = {131049: (23.9 * 3600, 25 * 3600), 131048: (600, 7200), 132015: (3600, 4 * 3600)}


class Wire(road.RoadCase):
    def reused(self, how):
        r = self.road
        r.people(2)
        r.dispatcher()
        r.publish([event(0)])
        r.settled()
        r.sandbox.fault(how, match={"nth": 2, "on_connection": "same"}, times=1)
        r.publish([event(1)])
        env.wait_until(lambda: r.fates() == {"sent": 1, "unknown": 1}, 10, "one unknown")
        self.assertEqual([(line["nth"], line["cut"]) for line in r.sandbox.record()], [(1, ""), (2, how)])
        time.sleep(2)
        self.assertEqual(len(r.sandbox.record()), 2, "it was sent again")
        r.check(self)

    def test_a_reused_connection_closed_after_the_request_was_read_gives_one_body_and_one_unknown(self):
        self.reused("cut_after_read")

    def test_a_reused_connection_reset_after_the_request_was_read_gives_one_body_and_one_unknown(self):
        self.reused("reset_after_read")

    def test_what_got_no_definite_answer_is_unknown_and_never_sent_again_while_no_receipts_arrive(self):
        r = self.road
        faults = SILENT + LOST + ["accept_then_hang", "hang_before", "accept_then_half_hang"]
        r.people(len(faults) + 30)
        for n, what in enumerate(faults):
            r.sandbox.fault(what, match={"to": address(n)}, times=1, ms=30000)
        r.dispatcher(dispatch__reconcile_window="10s", provider__timeout="2s")
        r.publish([event(n) for n in range(len(faults) + 30)])
        env.wait_until(lambda: r.fates() == {"sent": 30, "unknown": len(faults)}, 15, f"unknown each, not {r.fates()}")
        time.sleep(12)  # past the reconcile window: the policy is asked, and says no
        self.assertEqual(r.fates(), {"sent": 30, "unknown": len(faults)})
        self.assertEqual(len(r.sandbox.record()), len(faults) + 30, "something was sent again")
        r.check(self)

    def test_what_was_refused_before_it_was_taken_is_tried_again(self):
        r = self.road
        faults = ["429_before", "503_before"]
        r.people(len(faults) + len(RETRIED))
        for n, what in enumerate(faults):
            r.sandbox.fault(what, match={"to": address(n)}, times=1)
        for n, code in enumerate(RETRIED, len(faults)):
            r.sandbox.fault("error", code=code, match={"to": address(n)}, times=1)
        r.dispatcher()
        r.publish([event(n) for n in range(len(faults) + len(RETRIED))])
        env.wait_until(lambda: r.fates() == {"sent": len(faults) + len(RETRIED)}, 30, "all are sent")
        self.assertEqual(len(r.sandbox.record()), 2 * (len(faults) + len(RETRIED)))
        r.check(self)

    def test_an_accounts_limit_slows_everybody_of_it(self):
        r = self.road
        r.people(20)
        r.dispatcher()
        for code in SLOWS_ALL[:1]:
            r.sandbox.fault("error", code=code, times=1)
        r.publish([event(0)])
        env.wait_until(lambda: len(r.sandbox.record()) == 1, 5, "the first is tried")
        r.publish([event(n) for n in range(1, 20)])
        time.sleep(5)
        self.assertLessEqual(len(r.sandbox.record()), 2, "the limit is asked again and again")
        self.assertEqual(sum(r.fates().values()), 20)
        self.assertIn("deferred:app_rate", r.fates())
        r.check(self)

    def test_each_final_code_refuses_its_message_at_once(self):
        r = self.road
        codes = REJECTED
        r.people(len(codes))
        for n, code in enumerate(codes):
            r.sandbox.fault("error", code=code, match={"to": address(n)}, times=0)
        r.dispatcher()
        r.publish([event(n) for n in range(len(codes))])
        r.settled(deferred=0)
        got = {int(row["code"]): row["fate"] for row in r.pg.rows("select fate, code from postrider.fate")}
        self.assertEqual(got, {code: "refused" for code in codes})
        self.assertEqual(len(r.sandbox.record()), len(codes), "one attempt each")
        env.wait_until(lambda: r.count("select coalesce(sum(n), 0) from postrider.bucket") == 0, 5, "the quota of definite failures is given back")
        r.check(self)

    def test_a_code_that_condemns_the_template_stops_it_and_no_other(self):
        r = self.road
        r.people(len(STOPS_TEMPLATE) + 10)
        for n, code in enumerate(STOPS_TEMPLATE):
            r.sandbox.fault("error", code=code, match={"to": address(n)}, times=0)
        # All at once: those on the wire when the first answer stops the template are answered each by its own code.
        r.sandbox.config(latency={"fixed_ms": 500})
        process = r.dispatcher()
        r.publish([event(n) for n in range(len(STOPS_TEMPLATE))])
        process.wait_for("template_stopped")
        r.settled(deferred=0)
        self.assertEqual({f.split(":")[0] for f in r.fates()}, {"refused"}, r.fates())
        tried = len(r.sandbox.record())
        self.assertEqual(tried, len(STOPS_TEMPLATE), "one attempt each")
        people = range(len(STOPS_TEMPLATE), len(STOPS_TEMPLATE) + 10)
        r.publish([event(n) for n in people] + [event(n, "promo.sent") for n in people])
        env.wait_until(lambda: r.fates().get("sent") == 10, 10, "the other template's messages are sent")
        time.sleep(1)
        self.assertEqual({line["template"] for line in r.sandbox.record()[tried:]}, {"promo"}, "a stopped template was sent")
        self.assertEqual(sum(r.fates().values()), r.published)

    def test_a_code_that_means_later_defers_for_as_long_as_it_should(self):
        r = self.road
        r.people(len(DEFERRED))
        for n, code in enumerate(DEFERRED):
            r.sandbox.fault("error", code=code, match={"to": address(n)}, times=0)
        r.sandbox.config(latency={"fixed_ms": 500})  # all are on the wire when the first of them stops the template
        r.dispatcher()
        r.publish([event(n) for n in range(len(DEFERRED))])
        r.settled(deferred=len(DEFERRED))
        waits = {int(row["code"]): float(row["wait"]) for row in r.pg.rows(
            "select o.code, extract(epoch from d.due - now()) as wait from postrider.deferred d join postrider.outcome o using (tenant, day, id)")}
        for code, (least, most) in DEFERRED.items():
            self.assertTrue(least <= waits.get(code, -1) <= most, (code, waits))
        r.check(self)

    def test_a_code_that_condemns_the_sender_stops_it_and_a_new_token_resumes_it(self):
        r = self.road
        r.people(60)
        process = r.dispatcher(dispatch__in_flight=4)
        r.sandbox.fault("error", code=190, times=0)
        r.publish([event(n) for n in range(60)])
        process.wait_for("sender_stopped")
        r.settled(deferred=60)
        self.assertLessEqual(len(r.sandbox.record()), 8, "a stopped sender went on")
        r.sandbox.admin("faults", method="DELETE")
        r.token.write_text("sandbox-token")
        process.wait_for("sender_resumed", 5)
        r.publish([event(n, id=f"new-{n}") for n in range(5)])
        env.wait_until(lambda: r.fates() == {"sent": 65}, 15, "new messages are sent, and those that waited do not wait out their minute")

    def test_all_codes_that_condemn_a_sender_defer_their_message_after_one_attempt(self):
        r = self.road
        r.people(len(STOPS_SENDER))
        for n, code in enumerate(STOPS_SENDER):
            r.sandbox.fault("error", code=code, match={"to": address(n)}, times=0)
        # All at once: those on the wire when the first answer stops the sender are answered each by its own code.
        r.sandbox.config(latency={"fixed_ms": 1500})
        r.publish([event(n) for n in range(len(STOPS_SENDER))])
        r.dispatcher()
        r.settled(deferred=len(STOPS_SENDER))
        self.assertEqual(len(r.sandbox.record()), len(STOPS_SENDER))
        self.assertEqual({f.split(":")[0] for f in r.fates()}, {"deferred"}, r.fates())
        self.assertEqual(r.count("select count(distinct code) from postrider.outcome where kind = 6"), len(STOPS_SENDER))
        r.check(self)

    def test_retry_after_is_honoured(self):
        r = self.road
        r.people(1)
        r.sandbox.fault("error", code=130429, http=429, retry_after=4, times=1)
        r.dispatcher()
        r.publish([event(0)])
        r.settled()
        record = r.sandbox.record()
        self.assertEqual(len(record), 2)
        self.assertGreaterEqual(record[1]["real"] - record[0]["real"], 4000000)
        self.assertEqual(r.fates(), {"sent": 1})

    def test_131050_writes_the_opt_out_and_nothing_marketing_follows(self):
        r = self.road
        r.people(1)
        r.sandbox.fault("error", code=131050, times=1)
        r.dispatcher()
        r.publish([event(0, "promo.sent")])
        r.settled()
        self.assertEqual(r.fates(), {"refused:opted_out": 1})
        self.assertEqual(r.pg.sql("select consent from postrider.contact"), "5")
        self.assertEqual(r.pg.sql("select how, is_granted from postrider.consent where how = 'platform'"), "platform|f")
        r.publish([event(0, "promo.sent", id="again"), event(0, id="utility")])
        r.settled()
        self.assertEqual(r.fates(), {"refused:opted_out": 1, "refused:no_consent": 1, "sent": 1})
        r.check(self)

    def test_an_unreachable_platform_is_waited_for_and_nothing_is_unknown(self):
        r = self.road
        r.people(30)
        r.sandbox.admin("listen", {"accepting": False})
        r.sandbox.admin("cut", {"how": "reset"})
        try:
            r.dispatcher()
            r.publish([event(n) for n in range(30)])
            time.sleep(3)
            self.assertEqual(r.fates().get("sent", 0), 0)
            self.assertEqual(r.fates().get("unknown", 0), 0)
        finally:
            r.sandbox.admin("listen", {"accepting": True})
        env.wait_until(lambda: r.fates() == {"sent": 30}, 35, "all are sent")
        r.check(self)


if __name__ == "__main__":
    env.main()
