#!/usr/bin/env -S python3 -B
"""Dispatchers that die, freeze and come back: nothing is lost, nothing is sent twice, and what is unknown stays within its bound."""

import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import env, event  # noqa: E402

sys.path.insert(0, str(env.SUPPORT))
import receipts  # noqa: E402

SECRET = "app-secret"


class Crash(road.RoadCase):
    def wait_for_wire(self, n):
        env.wait_until(lambda: self.road.sandbox.stats()["open"] >= n, 15, f"{n} requests on the wire", every=0.005)

    def test_a_kill_with_requests_on_the_wire_loses_nothing_and_doubles_nothing(self):
        r = self.road
        r.people(600)
        r.sandbox.config(latency={"fixed_ms": 300})
        options = {"dispatch__in_flight": 40, "dispatch__claim_ahead": 30}
        bound = r.bound(**options)
        first = r.dispatcher(**options)
        r.publish([event(n) for n in range(600)])
        env.wait_until(lambda: r.sandbox.stats()["accepted"] >= 100, 20, "a hundred are sent", every=0.01)
        self.wait_for_wire(20)
        first.signal(signal.SIGKILL)
        r.dispatcher(**options)
        r.settled(40)
        fates = r.fates()
        self.assertEqual(set(fates), {"sent", "unknown"}, fates)
        self.assertEqual(sum(fates.values()), 600)
        self.assertGreaterEqual(fates["unknown"], 20)
        self.assertLessEqual(fates["unknown"], bound)
        r.check(self)
        taken = len(r.sandbox.record())
        time.sleep(2)
        self.assertEqual(len(r.sandbox.record()), taken, "something was sent again")

    def test_what_a_kill_left_is_unknown_although_its_sender_went_meanwhile(self):
        r = self.road
        r.people(100)
        r.sandbox.config(latency={"fixed_ms": 2000})
        first = r.dispatcher()
        r.publish([event(n) for n in range(100)])
        self.wait_for_wire(20)
        first.signal(signal.SIGKILL)
        r.pg.sql("update postrider.sender set status = 'disconnected'")
        r.dispatcher()
        r.settled(40)
        fates = r.fates()
        self.assertEqual(sum(fates.values()), 100)
        self.assertGreaterEqual(fates["unknown"], 20)
        r.stop()  # by its end each has let go of what it kept
        r.check(self)

    def test_two_dispatchers_one_killed_and_another_frozen_past_its_lease_and_woken(self):
        r = self.road
        r.people(900)
        r.sandbox.config(latency={"fixed_ms": 300})
        options = {"dispatch__in_flight": 30, "dispatch__claim_ahead": 20, "dispatch__lease": "6s", "dispatch__heartbeat": "500ms"}
        bound = r.bound(**options)
        first = r.dispatcher("d1", **options)
        second = r.dispatcher("d2", wait=False, **options)
        env.wait_until(lambda: first.output().count("event=assigned") >= 2 and "event=assigned" in second.output(), 60, "both have partitions")
        r.publish([event(n) for n in range(900)])
        self.wait_for_wire(40)
        first.signal(signal.SIGKILL)
        self.wait_for_wire(20)
        second.popen.send_signal(signal.SIGSTOP)
        r.dispatcher("d3", wait=False, **options)
        time.sleep(9)
        second.popen.send_signal(signal.SIGCONT)
        first = r.dispatcher("d1", wait=False, **options)
        r.settled(40)
        # Requests that were cut while it was frozen may open the sender's breaker; what that put off comes back.
        env.wait_until(lambda: not any(fate.startswith("deferred") for fate in r.fates()), 60, r.fates, every=0.2)
        r.settled(40)
        fates = r.fates()
        self.assertEqual(set(fates), {"sent", "unknown"}, fates)
        self.assertEqual(sum(fates.values()), 900)
        self.assertLessEqual(fates["unknown"], 2 * bound)
        r.check(self)

    def test_a_kill_between_deferral_and_its_return_leaves_unknown_and_not_a_second_body(self):
        r = self.road
        r.people(40)
        first = r.dispatcher()
        r.publish([event(n, "order.later") for n in range(40)])
        r.settled(deferred=40)
        r.sandbox.config(latency={"fixed_ms": 1500})
        self.wait_for_wire(40)  # claimed again, out of `deferred`
        first.signal(signal.SIGKILL)
        r.dispatcher()
        r.settled(30)
        self.assertEqual(r.fates(), {"unknown": 40})
        self.assertEqual(len(r.sandbox.record()), 40)
        r.check(self)


class Heard(road.RoadCase):
    """With receipts."""

    def setUp(self):
        super().setUp()
        self.reader = receipts.Receipts(SECRET, self.road.pg.conninfo)
        self.addCleanup(self.reader.close)
        self.road.sandbox.config(receipts={"enabled": True, "url": self.reader.url, "app_secret": SECRET})

    def test_unknowns_that_were_taken_are_settled_by_their_receipts(self):
        r = self.road
        r.people(40)
        for n in range(0, 40, 4):
            r.sandbox.fault("accept_then_502", match={"to": road.address(n)}, times=1)
        r.dispatcher(dispatch__reconcile_window="30s")
        r.publish([event(n) for n in range(40)])
        env.wait_until(lambda: r.fates() == {"sent": 40}, 15, "all are sent by their receipts")
        self.assertEqual(r.count("select count(*) from postrider.outcome where reason = 'receipt' and wamid like 'wamid.%'"), 10)
        self.assertEqual(r.count("select count(*) from postrider.deferred"), 0)
        self.assertEqual((self.reader.badly_signed, self.reader.errors), (0, []))
        r.check(self)

    def test_what_was_really_lost_is_resent_once_if_utility_and_never_if_marketing(self):
        r = self.road
        r.people(30)
        for n in (0, 1, 2, 3):
            r.sandbox.fault("cut_before", match={"to": road.address(n)}, times=0 if n == 3 else 1)
        r.dispatcher(dispatch__reconcile_window="10s")
        r.publish([event(0), event(1), event(2, "promo.sent"), event(3)])
        env.wait_until(lambda: r.fates() == {"unknown": 4}, 15, "unknown each")
        began = time.monotonic()
        r.publish([event(n) for n in range(10, 15)])
        env.wait_until(lambda: r.fates() == {"unknown": 2, "sent": 7}, 25, "the two utility messages are sent")
        self.assertGreater(time.monotonic() - began, 8, "before the reconcile window was over")
        time.sleep(12)  # the one that was lost twice is not sent a third time
        attempts = {to: sum(line["to"].endswith(to[-9:]) for line in r.sandbox.record()) for to in map(road.address, range(4))}
        self.assertEqual(list(attempts.values()), [2, 2, 1, 2])
        r.check(self)

    def test_receipts_that_come_while_nobody_is_there_settle_what_a_crash_left(self):
        r = self.road
        r.people(60)
        r.sandbox.config(latency={"fixed_ms": 500})
        first = r.dispatcher(dispatch__reconcile_window="10s")
        r.publish([event(n) for n in range(60)])
        env.wait_until(lambda: r.sandbox.stats()["open"] >= 20, 15, "20 requests on the wire", every=0.005)
        first.signal(signal.SIGKILL)
        time.sleep(2)  # their receipts arrive while their claims are still open
        r.publish([event(n, id=f"more-{n}") for n in range(5)])
        r.dispatcher(dispatch__reconcile_window="10s")
        env.wait_until(lambda: sum(r.fates().values()) == 65 and r.busy() == 0, 20, "all have a fate")
        time.sleep(12)
        r.check(self)
        self.assertEqual(r.fates(), {"sent": 65})


if __name__ == "__main__":
    env.main()
