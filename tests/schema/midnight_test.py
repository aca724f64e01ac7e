#!/usr/bin/env -S python3 -B
"""Ids without a time of their own, published again across a midnight: the key stands in both days."""

import datetime

import ledger
from ledger import SHADOW, Job, Out, Park

TODAY, TOMORROW = ledger.DAY, ledger.DAY + datetime.timedelta(days=1)
MIDNIGHT = datetime.datetime.combine(TOMORROW, datetime.time(), ledger.UTC)
LATE, EARLY = {"day": TODAY, "other": TOMORROW}, {"day": TOMORROW, "other": TODAY}


def around(minutes):
    return MIDNIGHT + datetime.timedelta(minutes=minutes)


class Midnight(ledger.Case):
    def setUp(self):
        super().setUp()
        self.s.set_clock(around(-5))

    def test_the_key_stands_in_both_days_and_the_message_in_one(self):
        self.assertEqual(self.a.verdict(Job(1, part=2, off=9), **LATE), "send")
        self.assertEqual((self.state(1, TODAY), self.state(1, TOMORROW)), (ledger.CLAIMED, SHADOW))
        self.assertEqual(self.s.rows("select day, fate from postrider.fate"), [{"day": str(TODAY), "fate": "claimed"}])

    def test_the_same_id_after_midnight_is_a_duplicate(self):
        self.a.claim([Job(1)], **LATE)
        self.a.settle(Out(1))
        self.s.set_clock(around(5))
        self.assertEqual(self.a.verdict(Job(1, off=50), **EARLY), "duplicate")
        self.assertEqual(self.reached(), 1)

    def test_the_same_id_before_midnight_is_a_duplicate(self):
        """The publisher's clock, or the order of two partitions, puts the second one into the day before."""
        self.a.claim([Job(1)], **EARLY)
        self.assertEqual(self.a.verdict(Job(1, off=50), **LATE), "duplicate")
        self.assertEqual((self.state(1, TODAY), self.state(1, TOMORROW)), (SHADOW, ledger.CLAIMED))

    def test_a_duplicate_on_the_other_day_names_the_first_record(self):
        self.a.claim([Job(1, part=3, off=17)], **LATE)
        self.assertEqual(self.a.claim([Job(1, part=0, off=50)], **EARLY)[0].known, (1, 3, 17))

    def test_the_first_was_not_near_midnight_and_the_second_is(self):
        self.assertEqual(self.a.verdict(Job(1), day=TODAY), "send")
        self.assertEqual(self.a.verdict(Job(1, off=50), **EARLY), "duplicate")
        self.assertIsNone(self.message(1, TOMORROW))
        self.assertEqual(self.a.verdict(Job(1, off=50), **EARLY), "duplicate")

    def test_a_redelivery_meets_its_own_row(self):
        job = Job(1)
        self.a.claim([job], **LATE)
        self.assertEqual(self.a.verdict(job, **LATE), "send")
        self.assertEqual(self.b.verdict(job, **LATE), "held")
        self.a.unclaim((1, 0))
        self.assertEqual(self.b.verdict(job, **LATE), "send")

    def test_what_is_refused_or_deferred_is_known_on_the_other_day_as_well(self):
        self.set_pool(1)
        self.a.claim([Job(1, refusal="no_template"), Job(2, to=2), Job(3, to=3)], **LATE)
        self.assertEqual(self.a.verdicts([Job(n, to=n, off=50 + n) for n in (1, 2, 3)], **EARLY), ["duplicate"] * 3)
        self.a.park(Park(3, reason="quota"))
        self.assertEqual(self.a.verdict(Job(3, to=3, off=60), **EARLY), "duplicate")

    def test_what_comes_back_has_the_day_of_its_message(self):
        self.a.claim([Job(1)], **LATE)
        self.a.park(Park(1))
        self.s.set_clock(around(5))
        self.assertEqual(self.a.verdict(Job(1, gen=1), **LATE), "send")
        self.a.settle(Out(1, gen=1))
        self.assertEqual((self.deferred(1), self.state(1, TOMORROW)), (None, SHADOW))
        self.assertEqual(self.a.verdict(Job(1, off=50), **EARLY), "duplicate")

    def test_an_id_with_a_time_of_its_own_has_one_row(self):
        self.a.claim([Job(1)], day=TODAY, other=TODAY)
        self.assertIsNone(self.message(1, TOMORROW))

    def test_a_batch_of_new_and_known_ids_is_told_apart(self):
        self.set_pool(None)
        self.a.claim([Job(n, to=n) for n in (2, 4, 6)], **LATE)
        self.a.claim([Job(3, to=3)], day=TODAY)
        self.assertEqual(self.a.verdicts([Job(n, to=n, off=70 + n) for n in range(1, 8)], **EARLY),
                         ["send", "duplicate", "duplicate", "duplicate", "send", "duplicate", "send"])
        self.assertEqual(self.reached(), 7)

    def test_nothing_is_settled_or_parked_on_the_shadow(self):
        self.a.claim([Job(1)], **LATE)
        self.assertEqual(self.a.park(Park(1), day=TOMORROW), [])
        self.a.unclaim((1, 0), day=TOMORROW)
        self.a.refuse((1, 0), day=TOMORROW)
        self.assertEqual(self.state(1, TOMORROW), SHADOW)


class Race(ledger.RaceCase):
    def test_two_days_at_once_send_one(self):
        for n, (first, second) in enumerate(((LATE, EARLY), (EARLY, LATE)), start=1):
            self.x.session.do("begin")
            self.assertEqual(self.x.verdict(Job(n), **first), "send")
            self.y.send_claim([Job(n, off=50)], **second)
            self.wait_blocked(self.y.session)
            self.x.session.do("commit")
            self.assertEqual(self.y.receive_claim()[0].verdict, "duplicate")

    def test_the_keys_decide_without_a_deadlock(self):
        """x is stopped between its first day and its second, by a row that s holds there; y comes from the other side."""
        self.s.do("set deadlock_timeout = '100ms'")
        for lane in (self.x, self.y):
            lane.session.do("set deadlock_timeout = '100ms'")
        self.s.do("begin")
        holder = ledger.Lane(self.s, "holder")
        holder.claim([Job(10, to=10)], day=TOMORROW)
        self.x.send_claim([Job(10, to=10, off=50), Job(11, to=11)], **LATE)
        self.wait_blocked(self.x.session)
        self.y.send_claim([Job(11, to=11, off=50)], **EARLY)
        self.wait_blocked(self.y.session)
        self.s.do("rollback")
        self.assertEqual([a.verdict for a in self.x.receive_claim()], ["send", "send"])
        self.assertEqual(self.y.receive_claim()[0].verdict, "duplicate")


if __name__ == "__main__":
    ledger.main()
