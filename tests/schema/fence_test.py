#!/usr/bin/env -S python3 -B
"""Fences: what cancels and what supersedes, before, with and after the messages they end."""

import uuid

import ledger
from ledger import (CANCELLED, CANCELS_RECIPIENT, CANCELS_SUBJECT, SUPERSEDED, SUPERSEDES_RECIPIENT, SUPERSEDES_SUBJECT, UNKNOWN, Fence, Job, Park,
                    after)


def cart(n, to=1, **more):
    """A reminder that a purchase cancels."""
    return Job(n, to=to, rule="cart", type="cart.abandoned", **more)


def step(n, rank, minute=0, **more):
    """A step of shipping: a later one supersedes it."""
    return Job(n, rule="shipping", rank=rank, event_at=after(minutes=minute), subject="1001", **more)


def step_fence(n, rank, minute=0, key="1001"):
    """What the same event leaves behind."""
    return Fence(SUPERSEDES_SUBJECT, grp="shipping", key=key, at=after(minutes=minute), rank=rank, n=n)


class Cancel(ledger.Case):
    def test_an_event_cancels_by_recipient(self):
        self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        answer = self.a.claim([cart(1, event_at=after(minutes=-5))])[0]
        self.assertEqual((answer.verdict, self.state(1), self.fate(1)), ("cancelled", CANCELLED, "cancelled"))
        self.assertEqual(self.reached(), 0)

    def test_other_people_and_other_rules_are_not_cancelled(self):
        self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        self.assertEqual(self.a.verdicts([cart(1, to=2), Job(2, to=1)]), ["send", "send"])

    def test_an_event_cancels_by_subject(self):
        self.a.claim([], fences=[Fence(CANCELS_SUBJECT, key="C-7", to=3)])
        self.assertEqual(self.a.verdicts([cart(1, to=1, subject="C-7"), cart(2, to=2, subject="C-8"), cart(3, to=3)]),
                         ["cancelled", "send", "send"])

    def test_an_event_cancels_by_a_path_in_its_data(self):
        """The purchase's own subject is its order; the rule names the path of the cart's number, and the lane puts that into the key."""
        self.a.claim([Job(9, subject="order-1")], fences=[Fence(CANCELS_SUBJECT, key="cart-1", n=9)])
        self.assertEqual(self.a.verdicts([cart(1, to=2, subject="cart-1"), cart(2, to=3, subject="order-1")]), ["cancelled", "send"])

    def test_what_happened_after_the_cancelling_event_is_not_cancelled(self):
        self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        self.assertEqual(self.a.verdict(cart(1, event_at=after(seconds=1))), "send")

    def test_on_a_tie_it_is_cancelled(self):
        self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        self.assertEqual(self.a.verdict(cart(1)), "cancelled")

    def test_a_fence_without_a_subject_or_without_a_contact_ends_nothing(self):
        self.a.claim([], fences=[Fence(CANCELS_SUBJECT, key=None), Fence(CANCELS_RECIPIENT, to=ledger.PEOPLE + 50)])
        self.assertEqual(self.count("fence"), 0)
        self.assertEqual(self.a.verdict(cart(1)), "send")

    def test_a_purchase_cancels_the_reminder_of_its_own_batch(self):
        self.assertEqual(self.a.verdicts([cart(1, event_at=after(minutes=-1)), Job(2, to=2)], fences=[Fence(CANCELS_RECIPIENT, to=1, n=2)]),
                         ["cancelled", "send"])

    def test_a_reminder_after_the_purchase_of_its_own_batch_is_sent(self):
        self.assertEqual(self.a.verdicts([cart(1, event_at=after(minutes=1)), Job(2, to=2)], fences=[Fence(CANCELS_RECIPIENT, to=1, n=2)]),
                         ["send", "send"])

    def test_a_refused_event_cancels_all_the_same(self):
        self.a.claim([Job(9, refusal="no_template")], fences=[Fence(CANCELS_RECIPIENT, to=1, n=9)])
        self.assertEqual(self.a.verdict(cart(1)), "cancelled")

    def test_a_fence_alone_answers_nothing_and_stays(self):
        self.assertEqual(self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)]), [])
        self.assertEqual(self.count("fence"), 1)


class Forward(ledger.Case):
    def fence(self):
        row = self.s.row("select at, rank, id from postrider.fence")
        return ledger.instant(row["at"]), row["rank"], uuid.UUID(row["id"]).int >> 80

    def test_a_fence_moves_forward_only(self):
        self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, at=after(hours=1), n=5)])
        self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, at=after(minutes=59), rank=9, n=9)])
        self.assertEqual(self.fence(), (after(hours=1), 0, 5))
        self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, at=after(hours=2), n=1)])
        self.assertEqual(self.fence(), (after(hours=2), 0, 1))

    def test_a_tie_of_times_is_decided_by_rank_and_then_by_id(self):
        for rank, n, wanted in ((3, 5, (3, 5)), (2, 9, (3, 5)), (3, 4, (3, 5)), (3, 6, (3, 6)), (4, 1, (4, 1))):
            self.a.claim([], fences=[step_fence(n, rank)])
            self.assertEqual(self.fence(), (ledger.BASE, *wanted))

    def test_the_latest_of_one_batch_stays(self):
        self.a.claim([], fences=[step_fence(1, 1, 5), step_fence(2, 2, 9), step_fence(3, 9, 7)])
        self.assertEqual(self.fence(), (after(minutes=9), 2, 2))


class Supersede(ledger.Case):
    def test_a_step_that_comes_after_a_later_one_is_superseded(self):
        self.a.claim([step(2, 2, 10)], fences=[step_fence(2, 2, 10)])
        self.assertEqual(self.b.verdict(step(1, 1, 5), fences=[step_fence(1, 1, 5)]), "superseded")
        self.assertEqual((self.state(1), self.fate(1)), (SUPERSEDED, "superseded"))

    def test_a_later_step_goes_on(self):
        self.a.claim([step(1, 1, 5)], fences=[step_fence(1, 1, 5)])
        self.assertEqual(self.a.verdict(step(2, 2, 10), fences=[step_fence(2, 2, 10)]), "send")

    def test_an_event_does_not_supersede_itself(self):
        self.assertEqual(self.a.verdict(step(1, 1), fences=[step_fence(1, 1)]), "send")

    def test_at_one_time_the_higher_rank_supersedes_whatever_the_id(self):
        self.a.claim([step(1, 2)], fences=[step_fence(1, 2)])
        self.assertEqual(self.a.verdict(step(9, 1, to=2), fences=[step_fence(9, 1)]), "superseded")

    def test_at_one_time_and_rank_the_higher_id_supersedes(self):
        self.a.claim([step(5, 1)], fences=[step_fence(5, 1)])
        self.assertEqual(self.a.verdict(step(4, 1, to=2), fences=[step_fence(4, 1)]), "superseded")
        self.assertEqual(self.a.verdict(step(6, 1, to=3), fences=[step_fence(6, 1)]), "send")

    def test_two_steps_of_one_batch_only_the_later_is_sent(self):
        self.assertEqual(self.a.verdicts([step(1, 1, 5), step(2, 2, 10, to=2)], fences=[step_fence(1, 1, 5), step_fence(2, 2, 10)]),
                         ["superseded", "send"])

    def test_other_subjects_are_not_superseded(self):
        self.a.claim([], fences=[step_fence(9, 9, 60, key="1002")])
        self.assertEqual(self.a.verdict(step(1, 1)), "send")

    def test_without_a_subject_the_recipient_decides(self):
        self.a.claim([], fences=[Fence(SUPERSEDES_RECIPIENT, grp="shipping", to=1, at=after(minutes=9), n=9)])
        jobs = [Job(1, rule="shipping", rank=0), Job(2, to=2, rule="shipping", rank=0), Job(3, to=1, rule="shipping", rank=0, subject="x")]
        self.assertEqual([self.a.verdict(j) for j in jobs], ["superseded", "send", "send"])

    def test_a_rule_that_does_not_supersede_is_not_superseded(self):
        self.a.claim([], fences=[step_fence(9, 9, 60)])
        self.assertEqual(self.a.verdict(Job(1, rule="shipping", rank=-1, subject="1001")), "send")


class Waiting(ledger.Case):
    """Rows of `deferred` that a fence ends go at once, with their message's state."""

    def wait(self, job, **more):
        self.a.claim([job])
        self.a.park(Park(job.n, **more))

    def test_a_waiting_reminder_goes_at_once_by_recipient(self):
        self.wait(cart(1))
        self.wait(cart(2, to=2))
        self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        self.assertEqual((self.deferred(1), self.state(1), self.fate(1)), (None, CANCELLED, "cancelled"))
        self.assertEqual((self.deferred(2)["gen"], self.state(2)), (1, ledger.DEFERRED))

    def test_a_waiting_reminder_goes_at_once_by_subject_and_by_path(self):
        self.wait(cart(1, subject="C-7"))
        self.wait(cart(2, to=2, subject="C-8"))
        self.a.claim([Job(9, to=3, subject="order-1")], fences=[Fence(CANCELS_SUBJECT, key="C-7", to=3, n=9)])
        self.assertEqual((self.deferred(1), self.state(1)), (None, CANCELLED))
        self.assertIsNotNone(self.deferred(2))

    def test_a_sleeping_reminder_goes_as_well(self):
        self.wait(cart(1), reason="quota")
        self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        self.assertEqual((self.deferred(1), self.state(1)), (None, CANCELLED))

    def test_a_later_reminder_waits_on_and_a_tie_goes(self):
        self.wait(cart(1, event_at=after(seconds=1)))
        self.wait(cart(2))
        self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        self.assertEqual((self.state(1), self.state(2)), (ledger.DEFERRED, CANCELLED))

    def test_an_earlier_step_that_waits_is_superseded(self):
        self.wait(step(1, 1, 5))
        self.a.claim([step(2, 2, 10)], fences=[step_fence(2, 2, 10)])
        self.assertEqual((self.deferred(1), self.state(1)), (None, SUPERSEDED))

    def test_a_step_of_the_same_time_is_decided_when_it_comes_back(self):
        self.wait(step(1, 1))
        self.a.claim([], fences=[step_fence(2, 2)])
        self.assertIsNotNone(self.deferred(1))
        self.assertEqual(self.a.verdict(step(1, 1, gen=1)), "superseded")
        self.assertIsNone(self.deferred(1))

    def test_a_later_step_that_waits_is_not_superseded_by_an_earlier_one(self):
        self.wait(step(2, 2, 10))
        self.a.claim([step(1, 1, 5)], fences=[step_fence(1, 1, 5)])
        self.assertEqual(self.state(2), ledger.DEFERRED)

    def test_what_may_have_been_sent_is_not_cancelled(self):
        self.wait(cart(1), state=UNKNOWN, reason="unknown")
        self.a.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        self.assertEqual((self.state(1), self.fate(1)), (UNKNOWN, "unknown"))
        self.assertIsNotNone(self.deferred(1))

    def test_a_claimed_message_is_past_the_point_of_no_return(self):
        self.a.claim([cart(1)])
        self.b.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        self.assertEqual(self.state(1), ledger.CLAIMED)

    def test_a_taken_row_is_past_the_point_of_no_return(self):
        self.wait(cart(1))
        self.a.claim([cart(1, gen=1)])
        self.b.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        self.assertEqual((self.state(1), self.deferred(1)["taken_owner"]), (ledger.CLAIMED, self.a.owner))

    def test_what_is_written_back_is_decided_again(self):
        self.wait(cart(1))
        self.a.claim([cart(1, gen=1)])
        self.b.claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        self.a.unclaim((1, 1))
        self.assertEqual(self.b.verdict(cart(1, gen=1)), "cancelled")
        self.assertIsNone(self.deferred(1))

    def test_a_fence_of_another_business_ends_nothing(self):
        self.wait(cart(1, subject="C-7"))
        ids = ledger.array("uuid", [ledger.message_id(9)])
        self.s.do(f"select postrider.fence_v1(2, '{{2}}', array['{ledger.address(1)}'], '{{C-7}}', '{{cart}}', "
                  f"array['{ledger.BASE}'::timestamptz], '{{0}}', {ids})")
        self.assertEqual(self.state(1), ledger.DEFERRED)


class Race(ledger.RaceCase):
    def test_a_row_that_is_being_taken_is_past_the_point_of_no_return(self):
        """The purchase comes while the reminder's claim is about to commit: the reminder goes out, and its fate must not say otherwise."""
        self.x.claim([cart(1)])
        self.x.park(Park(1, wait_ms=0))
        self.x.session.do("begin")
        self.assertEqual(self.x.verdict(cart(1, gen=1)), "send")
        self.y.send_claim([], fences=[Fence(CANCELS_RECIPIENT, to=1)])
        self.wait_blocked(self.y.session)
        self.x.session.do("commit")
        self.y.receive_claim()
        self.assertEqual(self.state(1), ledger.CLAIMED)
        self.assertEqual(self.deferred(1)["taken_owner"], self.x.owner)

    def test_a_row_that_is_being_cancelled_is_not_sent(self):
        self.x.claim([cart(2, to=2)])
        self.x.park(Park(2, wait_ms=0))
        self.x.session.do("begin")
        self.x.claim([], fences=[Fence(CANCELS_RECIPIENT, to=2)])
        self.y.send_claim([cart(2, to=2, gen=1)])
        self.wait_blocked(self.y.session)
        self.x.session.do("commit")
        self.assertIn(self.y.receive_claim()[0].verdict, ("cancelled", "duplicate"))
        self.assertEqual((self.state(2), self.deferred(2)), (CANCELLED, None))


if __name__ == "__main__":
    ledger.main()
