#!/usr/bin/env -S python3 -B
"""The ends of jobs: settle, park, unclaim, refuse, aside, dead letters, receipts and resolving by hand. Twice is once, and only the owner may."""

import ledger
from ledger import (ACCEPTED, CLAIMED, DEAD, DEFERRED, MARKETING, OUT_ACCEPTED, OUT_REJECT, OUT_RETRY, OUT_UNKNOWN, REDRIVEN, REFUSED, UNCLAIMED,
                    UNKNOWN, Job, Out, Park, after)


class Settle(ledger.Case):
    def test_an_outcome_is_written_once(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1))
        self.s.set_clock(after(minutes=1))
        before = self.outcomes(1)
        self.a.settle(Out(1))
        self.assertEqual((len(before), self.outcomes(1), self.fate(1)), (1, before, "sent"))

    def test_each_attempt_has_its_own_row(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1, OUT_RETRY, reason="rate"))
        self.a.settle(Out(1, OUT_ACCEPTED, attempt=2))
        self.assertEqual([(o["attempt"], o["kind"]) for o in self.outcomes(1)], [(1, OUT_RETRY), (2, OUT_ACCEPTED)])
        self.assertEqual(self.fate(1), "sent")

    def test_a_rejection_is_refused_with_its_reason(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1, OUT_REJECT, reason="undeliverable"))
        self.assertEqual(self.s.row("select fate, reason from postrider.fate"), {"fate": "refused", "reason": "undeliverable"})

    def test_a_retry_settles_nothing(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1, OUT_RETRY))
        self.assertEqual(self.fate(1), "claimed")

    def test_a_definite_answer_ends_the_deferred_row_of_its_gen_only(self):
        for n, kind in ((1, OUT_ACCEPTED), (2, OUT_REJECT), (3, OUT_RETRY)):
            self.a.claim([Job(n, to=n)])
            self.a.park(Park(n))
            self.a.claim([Job(n, to=n, gen=1)])
            self.a.settle(Out(n, kind, gen=0))
            self.assertIsNotNone(self.deferred(n))
            self.a.settle(Out(n, kind, attempt=2, gen=1))
        self.assertEqual([self.deferred(n) is None for n in (1, 2, 3)], [True, True, False])

    def test_a_definite_answer_is_written_whoever_owns_the_row(self):
        """The frozen process wakes up after its message was taken over: what it sent is a fact."""
        self.a.claim([Job(1)])
        self.a.die()
        self.b.park(Park(1, state=UNKNOWN, orphan=True, reason="unknown"))
        self.a.settle(Out(1))
        self.assertEqual((self.state(1), self.fate(1)), (UNKNOWN, "sent"))
        self.receipts_arrive()
        self.assertEqual(self.b.verdict(Job(1, gen=1)), "duplicate")
        self.assertIsNone(self.deferred(1))

    def test_an_answer_wins_over_unknown(self):
        for n, kind in ((1, OUT_ACCEPTED), (2, OUT_REJECT)):
            self.a.claim([Job(n, to=n)])
            self.a.settle(Out(n, OUT_UNKNOWN))
            self.a.settle(Out(n, kind))
            self.assertEqual(self.outcomes(n)[0]["kind"], kind)

    def test_unknown_does_not_win_over_an_answer(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1))
        self.a.settle(Out(1, OUT_UNKNOWN))
        self.assertEqual(self.fate(1), "sent")


class ParkIt(ledger.Case):
    def test_it_leaves_with_its_record_and_one_gen_more(self):
        self.a.claim([Job(1, subject="1001", rule="cart", part=3, off=17, event_at=after(minutes=-9), category=MARKETING)])
        self.assertEqual(self.a.park(Park(1, wait_ms=90_000, kafka_at=after(minutes=-8), waited_ms=40, payload=b"\x00bytes")), [1])
        row = self.deferred(1)
        wanted = {"gen": 1, "part": 3, "off": 17, "rule": "cart", "subject": "1001", "category": MARKETING, "contact": 1, "pool": 1, "waited_ms": 40,
                  "is_asleep": False, "payload": "\\x00" + b"bytes".hex()}
        self.assertEqual({k: row[k] for k in wanted}, wanted)
        self.assertEqual([ledger.instant(row[k]) for k in ("due", "since", "event_at", "kafka_at")],
                         [after(seconds=90), ledger.BASE, after(minutes=-9), after(minutes=-8)])
        self.assertEqual((self.state(1), self.message(1)["gen"]), (DEFERRED, 1))

    def test_a_time_given_counts_more_than_a_wait(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1, due=after(hours=3), since=after(hours=-1)))
        self.assertEqual((ledger.instant(self.deferred(1)["due"]), ledger.instant(self.deferred(1)["since"])), (after(hours=3), after(hours=-1)))

    def test_parking_twice_parks_once(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1))
        self.assertEqual(self.a.park(Park(1)), [])
        self.assertEqual((self.message(1)["gen"], self.count("deferred")), (1, 1))

    def test_parking_again_replaces_the_row_of_the_gen_before(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1))
        self.a.claim([Job(1, gen=1)])
        self.a.park(Park(1, gen=1, attempt=4, tries=2))
        self.assertEqual((self.count("deferred"), self.deferred(1)["gen"], self.deferred(1)["taken_owner"]), (1, 2, None))
        self.assertEqual((self.message(1)["attempt"], self.message(1)["tries"]), (4, 2))

    def test_only_the_owner_parks_and_only_its_own_gen_and_epoch(self):
        self.a.claim([Job(1)])
        self.assertEqual(self.b.park(Park(1)), [])
        self.assertEqual(self.a.park(Park(1, gen=1)), [])
        again = ledger.Lane(self.s, "a")
        self.assertEqual(again.park(Park(1)), [])
        self.assertEqual((self.state(1), self.count("deferred")), (CLAIMED, 0))
        self.assertEqual(self.a.park(Park(1)), [1])

    def test_what_was_settled_or_written_back_is_not_parked(self):
        for state in (UNCLAIMED, UNKNOWN, REDRIVEN, ACCEPTED, REFUSED, DEAD):
            self.a.claim([Job(state, to=state)])
            self.set_message(state, f"state = {state}")
            self.assertEqual(self.a.park(Park(state)), [])

    def test_what_a_receipt_proved_accepted_does_not_come_back(self):
        """The receipt was faster than the answer, and the answer misled us: another attempt would be a second message."""
        self.a.claim([Job(1)])
        self.receipt(1, 1)
        self.a.park(Park(1, attempt=1))
        self.a.settle(Out(1, OUT_RETRY))
        self.assertEqual(self.fate(1), "sent")
        self.assertNotEqual(self.b.verdict(Job(1, gen=1)), "send")

    def receipt(self, n, attempt):
        self.s.do(f"select postrider.receipt_v1(1, '{ledger.DAY}', '{ledger.message_id(n)}', {attempt}, 'wamid.r')")

    def test_an_orphan_is_parked_as_unknown_by_anybody(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1, OUT_RETRY))
        self.a.die()
        park = Park(1, state=UNKNOWN, orphan=True, reason="unknown", wait_ms=120_000)
        self.assertEqual(self.b.park(park), [1])
        self.assertEqual((self.state(1), self.message(1)["attempt"], self.message(1)["gen"]), (UNKNOWN, 2, 1))
        self.assertEqual(ledger.instant(self.deferred(1)["due"]), after(minutes=2))
        self.assertEqual(self.b.park(park), [])

    def test_the_claim_of_a_living_process_is_no_orphan(self):
        self.a.claim([Job(1)])
        self.assertEqual(self.b.park(Park(1, state=UNKNOWN, orphan=True)), [])
        self.assertEqual((self.state(1), self.count("deferred")), (CLAIMED, 0))

    def test_an_orphan_is_parked_while_it_is_claimed_and_not_after(self):
        self.a.claim([Job(1), Job(2, to=2)])
        self.a.unclaim((1, 0))
        self.a.park(Park(2))
        self.a.die()
        self.assertEqual(self.b.park(Park(1, state=UNKNOWN, orphan=True), Park(2, state=UNKNOWN, orphan=True)), [])

    def test_an_orphan_taken_from_deferred_replaces_its_row(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1))
        self.a.claim([Job(1, gen=1)])
        self.a.die()
        self.assertEqual(self.b.park(Park(1, gen=1, state=UNKNOWN, orphan=True, reason="unknown")), [1])
        self.assertEqual((self.count("deferred"), self.deferred(1)["gen"], self.deferred(1)["taken_owner"]), (1, 2, None))

    def test_a_batch_parks_what_it_may_and_leaves_the_rest(self):
        self.a.claim([Job(1), Job(2, to=2), Job(3, to=3)])
        self.a.unclaim((2, 0))
        self.assertEqual(self.a.park(Park(1), Park(2), Park(3)), [1, 3])


class Unclaim(ledger.Case):
    def test_it_keeps_the_gen_and_clears_the_taken_mark(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1, wait_ms=0))
        self.a.claim([Job(1, gen=1)])
        self.a.unclaim((1, 1))
        self.assertEqual((self.state(1), self.message(1)["gen"], self.deferred(1)["taken_owner"]), (UNCLAIMED, 1, None))
        self.assertEqual(self.due(), [1])

    def test_twice_is_once(self):
        self.a.claim([Job(1)])
        self.a.unclaim((1, 0))
        self.b.claim([Job(1)])
        self.a.unclaim((1, 0))
        self.assertEqual((self.state(1), self.message(1)["owner"]), (CLAIMED, self.b.owner))

    def test_of_two_lanes_of_a_process_each_writes_back_its_own_claim_only(self):
        """The same id came to both: only one of them holds the claim, under the same owner and epoch."""
        self.a.claim([Job(1)])
        other = self.a.another_lane()
        self.assertEqual(other.verdict(Job(1)), "held")
        other.unclaim((1, 0))
        self.assertEqual(self.state(1), CLAIMED)
        self.a.settle(Out(1, OUT_UNKNOWN))
        self.assertEqual(self.a.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1, wait_ms=120_000)), [1])
        other.unclaim((1, 0))
        self.assertEqual((self.state(1), ledger.instant(self.deferred(1)["due"])), (UNKNOWN, after(minutes=2)))

    def test_a_deferral_is_not_parked_over_the_claim_of_another_lane(self):
        self.assertEqual(self.a.verdict(Job(1, hold=after(hours=1), hold_reason="sender_busy")), "defer")
        other = self.a.another_lane()
        self.assertEqual(other.verdict(Job(1)), "send")
        self.assertEqual(self.a.park(Park(1)), [])
        self.a.refuse((1, 0))
        self.a.unclaim((1, 0))
        self.assertEqual((self.state(1), self.message(1)["gen"], self.deferred(1)), (CLAIMED, 0, None))

    def taken_over(self):
        """Frozen with a claim that it did not hand over; another one meets the record and calls it unknown."""
        self.a.claim([Job(1)])
        self.a.die()
        self.assertEqual(self.b.park(Park(1, state=UNKNOWN, orphan=True, reason="unknown", wait_ms=120_000)), [1])

    def test_what_others_called_unknown_goes_on_when_its_owner_says_that_it_was_not_sent(self):
        self.taken_over()
        self.assertEqual(self.due(), [])
        self.a.unclaim((1, 0))
        self.assertEqual((self.state(1), self.message(1)["reason"], self.message(1)["gen"]), (DEFERRED, "unclaimed", 1))
        self.assertEqual(self.due(), [1])
        self.assertEqual(self.b.verdict(Job(1, gen=1)), "send")

    def test_what_others_called_unknown_stays_so_for_anybody_else(self):
        self.taken_over()
        self.b.unclaim((1, 0))
        self.a.unclaim((1, 1))
        self.assertEqual((self.state(1), self.due()), (UNKNOWN, []))

    def test_what_was_resent_meanwhile_is_not_let_go_again(self):
        self.taken_over()
        self.receipts_arrive()
        self.assertEqual(self.b.verdict(Job(1, gen=1)), "send")
        self.a.unclaim((1, 0))
        self.assertEqual((self.state(1), self.message(1)["owner"]), (CLAIMED, self.b.owner))
        self.b.park(Park(1, gen=1, state=UNKNOWN, reason="unknown", wait_ms=120_000))
        self.b.unclaim((1, 1))
        self.assertEqual(self.state(1), UNKNOWN)

    def test_only_the_owner_may(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1, wait_ms=0))
        self.a.claim([Job(1, gen=1)])
        self.b.unclaim((1, 1))
        self.a.unclaim((1, 0))
        ledger.Lane(self.s, "a").unclaim((1, 1))
        self.assertEqual((self.state(1), self.deferred(1)["taken_owner"]), (CLAIMED, self.a.owner))


class Refuse(ledger.Case):
    def test_what_rendering_refused_is_refused_and_comes_back_no_more(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1))
        self.a.claim([Job(1, gen=1)])
        self.a.refuse((1, 1), reason="too_long")
        self.assertEqual((self.state(1), self.message(1)["reason"], self.deferred(1)), (REFUSED, "too_long", None))

    def test_twice_is_once(self):
        self.a.claim([Job(1)])
        self.a.refuse((1, 0), reason="too_long")
        self.a.refuse((1, 0), reason="other")
        self.assertEqual(self.message(1)["reason"], "too_long")

    def test_only_the_owner_may_and_nothing_of_others_is_ended(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1))
        self.a.claim([Job(1, gen=1)])
        self.b.refuse((1, 1))
        self.a.refuse((1, 0))
        ledger.Lane(self.s, "a").refuse((1, 1))
        self.assertEqual(self.state(1), CLAIMED)
        self.assertIsNotNone(self.deferred(1))


class Aside(ledger.Case):
    def aside(self, off, reason="no_rule", kafka_at=ledger.BASE):
        self.s.do(f"select postrider.aside_v1(array[{ledger.literal(kafka_at)}]::timestamptz[], '{{1}}', '{{2}}', '{{{off}}}', '{{refused}}', "
                  f"'{{{reason}}}', '{{1}}', '{{order.confirmed}}', '{{null}}')")

    def test_one_row_an_origin_however_often_it_comes(self):
        self.aside(17)
        self.aside(17, "other")
        self.aside(18)
        self.assertEqual(self.s.rows("select off, reason from postrider.aside order by off"),
                         [{"off": 17, "reason": "no_rule"}, {"off": 18, "reason": "no_rule"}])

    def test_wild_and_missing_times_have_a_place(self):
        for off, at in enumerate((None, "1970-06-01", "2999-01-01", "infinity", after(days=-400), ledger.BASE)):
            self.aside(off, kafka_at=at)
        days = [r["day"] for r in self.s.rows("select day from postrider.aside order by off")]
        self.assertEqual(days, ["1970-01-01"] * 5 + [str(ledger.DAY)])


class Receipt(ledger.Case):
    def receipt(self, n=1, attempt=1):
        return self.s.value(f"select postrider.receipt_v1(1, '{ledger.DAY}', '{ledger.message_id(n)}', {attempt}, 'wamid.r')")

    def make_unknown(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1, OUT_UNKNOWN))
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1))

    def test_it_settles_an_unknown_once(self):
        self.make_unknown()
        self.assertTrue(self.receipt())
        self.assertEqual((self.state(1), self.fate(1), self.deferred(1)), (ACCEPTED, "sent", None))
        self.assertEqual([(o["attempt"], o["kind"], o["wamid"]) for o in self.outcomes(1)], [(1, OUT_ACCEPTED, "wamid.r")])
        self.assertFalse(self.receipt())
        self.assertEqual(self.b.verdict(Job(1, gen=1)), "duplicate")

    def test_it_settles_an_orphan_of_which_no_attempt_was_recorded(self):
        self.a.claim([Job(1)])
        self.a.die()
        self.b.park(Park(1, state=UNKNOWN, orphan=True, reason="unknown"))
        self.assertTrue(self.receipt())
        self.assertEqual(self.fate(1), "sent")

    def test_a_receipt_before_the_take_over_is_not_forgotten(self):
        """It often comes within a second, long before the lease of the process that sent it has ended."""
        self.a.claim([Job(1)])
        self.assertFalse(self.receipt())
        self.a.die()
        self.receipts_arrive()
        self.assertEqual(self.b.verdict(Job(1)), "duplicate")
        self.assertEqual(self.fate(1), "sent")

    def test_a_receipt_before_the_answer_is_overwritten_by_what_the_answer_says(self):
        self.a.claim([Job(1)])
        self.receipt()
        self.a.settle(Out(1))
        self.assertEqual([(o["kind"], o["http"], o["latency_ms"]) for o in self.outcomes(1)], [(OUT_ACCEPTED, 200, 50)])

    def test_a_receipt_while_the_resend_waits_stops_it(self):
        self.make_unknown()
        self.receipts_arrive()
        self.b.claim([Job(1, gen=1, hold=after(minutes=5), hold_reason="sender_busy")])
        self.receipt()
        self.assertEqual((self.state(1), self.deferred(1)), (ACCEPTED, None))

    def test_it_shows_that_its_sender_is_heard_even_when_there_is_nothing_to_settle(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1))
        self.s.set_clock(after(minutes=3))
        self.receipt()
        heard = self.s.rows("select receipt_at from postrider.sender order by id")
        self.assertEqual([r["receipt_at"] and ledger.instant(r["receipt_at"]) for r in heard], [after(minutes=3), None])

    def test_it_changes_no_settled_message(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1, OUT_REJECT))
        self.set_message(1, f"state = {REFUSED}")
        self.assertFalse(self.receipt(attempt=1))
        self.assertEqual([o["kind"] for o in self.outcomes(1)], [OUT_REJECT])

    def test_a_receipt_of_a_message_that_is_not_ours_is_nothing(self):
        self.assertFalse(self.receipt(77))
        self.assertEqual(self.count("outcome"), 0)


class Resolve(ledger.Case):
    def setUp(self):
        super().setUp()
        self.a.claim([Job(1, category=MARKETING)])
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1, wait_ms=120_000))

    def resolve(self, what, n=1):
        return self.s.value(f"select postrider.resolve_unknown_v1(1, '{ledger.DAY}', '{ledger.message_id(n)}', '{what}')")

    def test_accepted_is_sent_and_comes_back_no_more(self):
        self.assertTrue(self.resolve("accepted"))
        self.assertEqual((self.fate(1), self.deferred(1)), ("sent", None))

    def test_lost_is_refused_and_comes_back_no_more(self):
        self.assertTrue(self.resolve("lost"))
        self.assertEqual((self.fate(1), self.message(1)["reason"], self.deferred(1)), ("refused", "resolved_lost", None))

    def test_resend_lets_even_marketing_go_at_once(self):
        self.assertTrue(self.resolve("resend"))
        self.assertEqual((self.state(1), self.due()), (REDRIVEN, [1]))
        answer = self.b.claim([Job(1, gen=1, category=MARKETING)])[0]
        self.assertEqual((answer.verdict, answer.resends, answer.attempt), ("send", 1, 1))

    def test_once_resolved_nothing_more_is_resolved(self):
        self.resolve("accepted")
        self.assertEqual([self.resolve(what) for what in ("accepted", "lost", "resend")], [False] * 3)
        self.assertEqual(self.fate(1), "sent")

    def test_what_is_not_unknown_is_not_resolved(self):
        self.a.claim([Job(2, to=2)])
        self.assertFalse(self.resolve("lost", 2))
        self.assertFalse(self.resolve("lost", 3))
        self.assertEqual(self.state(2), CLAIMED)

    def test_what_is_gone_cannot_be_resent_and_stays_unknown(self):
        """It expired: its record is not kept any more."""
        self.s.do("delete from postrider.deferred")
        self.assertFalse(self.resolve("resend"))
        self.assertEqual((self.state(1), self.message(1)["resends"]), (UNKNOWN, 0))


class Lease(ledger.Case):
    def beat(self, lane):
        return len(self.s.rows(f"select * from postrider.instance_beat_v1({lane.owner}, {lane.epoch}, 15000)"))

    def alive(self, lane):
        return self.s.value(f"select postrider.is_alive_v1({lane.owner}, {lane.epoch})")

    def test_a_beat_prolongs_and_a_stop_ends(self):
        self.assertEqual((self.beat(self.a), self.alive(self.a)), (1, True))
        self.s.do(f"select postrider.instance_stop_v1({self.a.owner}, {self.a.epoch})")
        self.assertEqual((self.alive(self.a), self.beat(self.a)), (False, 0))

    def test_a_lease_that_ended_is_not_prolonged(self):
        self.a.die()
        self.assertEqual((self.beat(self.a), self.alive(self.a)), (0, False))

    def test_a_new_epoch_ends_the_old_one(self):
        again = ledger.Lane(self.s, "a")
        self.assertEqual((self.beat(self.a), self.alive(self.a), self.beat(again), self.alive(again)), (0, False, 1, True))
        self.s.do(f"select postrider.instance_stop_v1({self.a.owner}, {self.a.epoch})")
        self.assertTrue(self.alive(again))

    def test_leases_keep_the_real_clock(self):
        self.s.set_clock(after(days=3))
        self.assertTrue(self.alive(self.a))


if __name__ == "__main__":
    ledger.main()
