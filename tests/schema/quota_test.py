#!/usr/bin/env -S python3 -B
"""Quota on one connection: who is admitted, what makes and frees a slot, and the edges of the moving 24 hours on an injected clock."""

import datetime

import ledger
from ledger import MARKETING, OUT_REJECT, OUT_UNKNOWN, UNKNOWN, UTILITY, Job, Out, Park, after

SLOT = datetime.timedelta(minutes=1443)  # 24 h, and 3 min because the platform counts from the send


class QuotaCase(ledger.Case):
    def setUp(self):
        super().setUp()
        self.next = 1

    def jobs(self, people, category=UTILITY):
        """New messages, one each."""
        first, self.next = self.next, self.next + len(people)
        return [Job(first + i, to=person, category=category) for i, person in enumerate(people)]

    def sent(self, people, category=UTILITY, at=None, **more):
        """Claims a message for each of the people; who of them was admitted."""
        if at:
            self.s.set_clock(at)
        day = at.date() if at else ledger.DAY
        answers = self.lane().claim(self.jobs(people, category), day=day, **more)
        self.assertLessEqual({a.verdict for a in answers}, {"send", "defer"})
        return [a.contact for a in answers if a.verdict == "send"]

    def lane(self):
        return self.a


class Admission(QuotaCase):
    def test_exactly_the_tier_is_admitted(self):
        self.assertEqual(self.sent(range(1, 16)), list(range(1, 11)))
        self.assertEqual(self.reached(), 10)

    def test_what_is_denied_is_deferred_for_quota_without_a_time(self):
        answers = self.a.claim(self.jobs(range(1, 12)))
        self.assertEqual((answers[10].verdict, answers[10].reason, answers[10].until), ("defer", "quota", None))
        self.assertEqual((self.state(11), self.message(11)["reason"]), (ledger.DEFERRED, "quota"))

    def test_marketing_leaves_the_reserve_to_others(self):
        self.set_pool(10, reserve_pct=30)
        self.assertEqual(len(self.sent(range(1, 16), MARKETING)), 7)
        self.assertEqual(len(self.sent(range(21, 36))), 3)
        self.assertEqual(self.reached(), 10)

    def test_the_reserve_is_rounded_up(self):
        self.set_pool(15, reserve_pct=10)
        self.assertEqual(len(self.sent(range(1, 21), MARKETING)), 13)

    def test_a_reserve_of_everything_stops_new_marketing_only(self):
        self.set_pool(10, reserve_pct=100)
        self.assertEqual(self.sent([1, 2], MARKETING), [])
        self.assertEqual(self.sent([3, 4]), [3, 4])
        self.assertEqual(self.sent([3], MARKETING), [3])

    def test_transactional_messages_of_a_batch_go_first(self):
        self.set_pool(5)
        mixed = [Job(n, to=n, category=MARKETING if n <= 4 else UTILITY) for n in range(1, 9)]
        self.assertEqual([a.contact for a in self.a.claim(mixed) if a.verdict == "send"], [1, 5, 6, 7, 8])

    def test_no_transactional_message_is_denied_for_marketing_in_its_batch(self):
        self.set_pool(10, reserve_pct=20)
        mixed = [Job(n, to=n, category=MARKETING if n % 2 else UTILITY) for n in range(1, 25)]
        sent = [a.contact for a in self.a.claim(mixed) if a.verdict == "send"]
        self.assertEqual(sent, [n for n in range(1, 21) if n % 2 == 0])

    def test_a_person_who_was_reached_uses_no_second_slot(self):
        self.sent(range(1, 11))
        self.assertEqual(self.sent([1, 2, 3, 11]), [1, 2, 3])
        self.assertEqual(self.sent([4, 12], MARKETING), [4])
        self.assertEqual(self.reached(), 10)

    def test_people_in_an_open_window_do_not_count(self):
        self.s.do(f"update postrider.contact set window_until = '{after(hours=1)}' where id between 11 and 15")
        self.assertEqual(len(self.sent(range(1, 21))), 15)
        self.assertEqual(self.reached(), 10)
        self.assertEqual(self.sent(range(9, 17)), [9, 10, 11, 12, 13, 14, 15])

    def test_an_unlimited_pool_admits_everybody(self):
        self.set_pool(None, reserve_pct=10)
        self.assertEqual(len(self.sent(range(1, 201), MARKETING)), 200)
        self.assertEqual(self.reached(), 200)

    def test_a_smaller_tier_admits_nobody_new_until_there_is_room(self):
        self.sent(range(1, 11))
        self.set_pool(5)
        self.assertEqual(self.sent([1, 11]), [1])
        self.assertEqual(self.reached(), 10)

    def test_a_larger_tier_admits_more_at_once(self):
        self.sent(range(1, 11))
        self.set_pool(12)
        self.assertEqual(self.sent([11, 12, 13]), [11, 12])

    def test_pools_do_not_count_each_others_people(self):
        self.sent(range(1, 11))
        self.assertEqual(self.sent([11, 12], pool=2), [11, 12])
        self.assertEqual(self.reached(), 10)

    def test_what_is_not_sent_uses_no_slot(self):
        self.a.claim([Job(1, refusal="no_template"), Job(2, to=2, hold=after(hours=1), hold_reason="busy"), Job(3, to=3, expiry=after(hours=-1))])
        self.assertEqual(self.reached(), 0)


class MovingDay(QuotaCase):
    def test_a_slot_lasts_to_the_minute(self):
        self.sent(range(1, 11))
        self.assertEqual(self.sent([11], at=ledger.BASE + SLOT - datetime.timedelta(minutes=1)), [])
        self.assertEqual(self.sent([12], at=ledger.BASE + SLOT), [12])

    def test_minutes_round_up(self):
        self.sent(range(1, 11), at=after(seconds=1))
        self.assertEqual(self.sent([11], at=after(seconds=0) + SLOT), [])
        self.assertEqual(self.sent([12], at=after(seconds=1) + SLOT), [12])

    def test_a_hit_at_23_59_keeps_the_slot_for_another_day(self):
        """The platform counts everybody reached within 24 h: somebody reached again holds the slot from then on."""
        self.sent(range(1, 11))
        self.assertEqual(self.sent(range(1, 11), at=after(hours=23, minutes=59)), list(range(1, 11)))
        self.assertEqual(self.sent(range(11, 21), at=after(hours=24, minutes=10)), [])
        self.assertEqual(self.sent(range(11, 21), at=after(hours=47, minutes=59)), [])
        self.assertEqual(len(self.sent(range(11, 21), at=after(hours=23, minutes=59) + SLOT)), 10)

    def test_people_hit_again_and_people_who_are_not_leave_at_their_own_time(self):
        self.sent(range(1, 11))
        self.sent(range(1, 5), at=after(hours=23, minutes=59))
        self.assertEqual(len(self.sent(range(11, 21), at=after(hours=24, minutes=3))), 6)
        self.assertEqual(self.reached(), 10)

    def test_time_does_not_go_back_behind_the_pools_last_stamp(self):
        self.sent(range(1, 6), at=after(hours=30))
        self.sent(range(6, 11), at=after(hours=1))
        self.assertEqual(self.s.rows("select distinct minute from postrider.reach"),
                         [{"minute": int(after(hours=30).timestamp()) // 60}])
        self.assertEqual(self.sent([11], at=after(hours=1) + SLOT), [])
        self.assertEqual(self.sent([12], at=after(hours=30) + SLOT), [12])

    def test_counts_that_left_the_day_are_removed(self):
        self.sent(range(1, 4))
        self.sent(range(4, 6), at=after(hours=12))
        self.sent([6], at=ledger.BASE + SLOT)
        self.assertEqual(self.s.value("select array_agg(n order by minute) from postrider.bucket"), [2, 1])


class Release(QuotaCase):
    def release(self, *pairs, pool=1):
        self.s.do(f"select postrider.release_v1(1, {pool}, {ledger.array('bigint', [c for c, _ in pairs])}, "
                  f"{ledger.array('uuid', [ledger.message_id(n) for _, n in pairs])})")

    def test_the_slot_of_a_failure_goes_to_somebody_else(self):
        self.sent(range(1, 11))
        self.release((3, 3), (4, 4))
        self.assertEqual(self.reached(), 8)
        self.assertEqual(self.sent([11, 12, 13]), [11, 12])

    def test_a_slot_given_back_with_the_claim_is_free_for_that_batch(self):
        self.sent(range(1, 11))
        self.assertEqual(self.sent([11, 12], back=[(5, 5)]), [11])

    def lower(self, people):
        """The limit falls below what is used."""
        self.s.do(f"update postrider.quota_pool set people_max = {people}")

    def test_who_holds_a_slot_passes_when_the_limit_was_lowered(self):
        self.sent(range(1, 11))
        self.lower(8)
        self.assertEqual(self.sent([1, 11]), [1])

    def test_who_may_not_have_been_reached_waits_when_the_limit_was_lowered(self):
        self.sent(range(1, 11))
        self.sent([3])
        self.release((3, 11))  # another message keeps the slot, and nobody knows whether that one arrived
        self.s.do("select postrider.release_v1(1, 1, '{4}', array['00000000-0000-0000-0000-000000000000']::uuid[])")
        self.assertEqual(self.sent([3, 4]), [3, 4])
        self.lower(8)
        self.assertEqual(self.sent([3, 4, 5]), [5])
        self.lower(10)
        self.assertEqual(self.sent([3, 4]), [3, 4])

    def test_who_may_have_left_the_day_waits_when_the_limit_was_lowered(self):
        self.sent(range(1, 11))
        self.lower(8)
        self.assertEqual(self.sent([1], at=after(hours=23, minutes=56)), [1])
        self.assertEqual(self.sent([2], at=after(hours=23, minutes=57)), [])
        self.lower(10)
        self.assertEqual(self.sent([2], at=after(hours=23, minutes=57)), [2])

    def test_a_slot_made_anew_is_not_in_doubt(self):
        self.sent(range(1, 11))
        self.s.do("select postrider.release_v1(1, 1, '{4}', array['00000000-0000-0000-0000-000000000000']::uuid[])")
        self.assertEqual(self.sent([4], at=after(hours=48)), [4])
        self.assertFalse(self.s.value("select in_doubt from postrider.reach where contact = 4"))

    def test_slots_are_given_back_by_a_claim_that_asks_for_none(self):
        self.sent(range(1, 11))
        self.a.claim([Job(50, to=20, refusal="no_template")], back=[(5, 5)])
        self.assertEqual(self.reached(), 9)

    def test_slots_are_given_back_by_a_claim_that_asks_for_none_while_somebody_sleeps(self):
        self.sent(range(1, 11))
        self.a.claim([Job(40, to=19)])
        self.a.park(Park(40, reason="quota"))
        self.assertEqual([a.verdict for a in self.a.claim([Job(50, to=20, refusal="no_template")], back=[(5, 5)])], ["refused"])
        self.assertEqual(self.reached(), 9)

    def test_a_failure_after_another_hit_frees_nothing(self):
        """The other message may have reached the person."""
        self.sent(range(1, 11))
        self.sent([1])
        self.release((1, 1))
        self.assertEqual(self.reached(), 10)
        self.release((1, 11))
        self.assertEqual((self.reached(), self.sent([12])), (10, []))

    def test_a_failed_second_hit_leaves_the_slot_to_the_first(self):
        self.sent([1])
        self.sent([1], at=after(hours=5))
        self.release((1, 2))
        self.assertEqual(self.reached(), 1)

    def test_releasing_twice_frees_once(self):
        self.sent(range(1, 11))
        self.release((1, 1))
        self.release((1, 1))
        self.assertEqual(self.reached(), 9)

    def test_a_message_that_came_back_is_still_alone_with_its_slot(self):
        self.sent([1])
        self.a.park(Park(1))
        self.s.set_clock(after(minutes=10))
        self.assertEqual(self.a.verdict(Job(1, gen=1)), "send")
        self.release((1, 1))
        self.assertEqual(self.reached(), 0)

    def test_a_slot_made_anew_belongs_to_the_message_that_made_it(self):
        self.sent([1])
        self.sent([1], at=ledger.BASE + SLOT)
        self.release((1, 1))
        self.assertEqual(self.reached(), 1)
        self.release((1, 2))
        self.assertEqual(self.reached(), 0)

    def test_releasing_after_the_slot_ended_counts_nobody_twice(self):
        self.sent([1])
        self.sent([2], at=ledger.BASE + SLOT)
        self.release((1, 1))
        self.assertEqual(self.reached(), 1)
        self.assertEqual(self.s.value("select min(n) from postrider.bucket"), 1)

    def test_nothing_is_freed_in_another_pool(self):
        self.sent([1])
        self.release((1, 1), pool=2)
        self.assertEqual(self.reached(), 1)

    def test_a_rejected_resend_of_an_unknown_frees_nothing(self):
        """The first attempt may have reached the person, so the message's later failure proves nothing about the slot."""
        self.sent([1])
        self.a.settle(Out(1, OUT_UNKNOWN))
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1))
        self.receipts_arrive()
        self.assertEqual(self.a.verdict(Job(1, gen=1)), "send")
        self.a.settle(Out(1, OUT_REJECT, attempt=2, gen=1))
        self.release((1, 1))
        self.assertEqual(self.reached(), 1)


class Denied(QuotaCase):
    """A message that came back and is denied again."""

    def test_it_sleeps_until_its_expiry_and_is_not_taken(self):
        self.set_pool(1)
        self.a.claim([Job(1), Job(2, to=2, expiry=after(hours=3))])
        self.assertEqual(self.a.park(Park(2, reason="quota", expiry=after(hours=3))), [2])
        self.assertEqual(self.a.verdict(Job(2, to=2, gen=1, expiry=after(hours=3))), "defer")
        row = self.deferred(2)
        self.assertEqual((row["is_asleep"], row["gen"], row["taken_owner"], ledger.instant(row["due"])), (True, 1, None, after(hours=3)))
        self.assertEqual((self.state(2), self.due()), (ledger.DEFERRED, []))

    def test_the_right_rows_of_a_mixed_batch_are_denied(self):
        """Refused, new and returning ones between each other, and people who need no slot."""
        self.set_pool(2)
        self.a.claim([Job(20, to=20), Job(21, to=21)])
        self.a.claim([Job(4, to=4), Job(6, to=21)])
        self.a.park(Park(4, reason="quota"), Park(6, reason="quota"))
        jobs = [Job(1, refusal="no_template"), Job(2, to=20), Job(3, to=3), Job(4, to=4, gen=1), Job(5, to="+1"), Job(6, to=21, gen=1), Job(7, to=7)]
        answers = self.b.claim(jobs)
        self.assertEqual([a.verdict for a in answers], ["refused", "send", "defer", "defer", "refused", "send", "defer"])
        self.assertEqual([self.state(j.n) for j in jobs], [ledger.REFUSED, ledger.CLAIMED, ledger.DEFERRED, ledger.DEFERRED, ledger.REFUSED,
                                                          ledger.CLAIMED, ledger.DEFERRED])
        self.assertEqual([self.message(j.n)["reason"] for j in jobs], ["no_template", None, "quota", "quota", "no_contact", None, "quota"])
        self.assertEqual([(self.deferred(n)["is_asleep"], self.deferred(n)["taken_owner"]) for n in (4, 6)], [(True, None), (False, self.b.owner)])

    def test_a_row_that_another_pool_admitted_sleeps_no_more(self):
        """Its lane may die; then the row must be read again, not sleep on until a pool that has nothing to do with it wakes it."""
        self.set_pool(1)
        self.a.claim([Job(1), Job(2, to=2)])
        self.a.park(Park(2, reason="quota"))
        self.assertEqual(self.a.verdict(Job(2, to=2, gen=1, sender=1)), "defer")
        self.assertEqual(self.a.verdict(Job(2, to=2, gen=1, sender=2), pool=2), "send")
        self.a.die()
        self.assertEqual(self.due(), [2])

    def test_a_row_that_another_pool_denied_waits_for_that_pool(self):
        self.set_pool(1)
        self.set_pool(1, pool=2)
        self.a.claim([Job(1), Job(2, to=2)])
        self.a.claim([Job(3, to=3)], pool=2)
        self.a.park(Park(2, reason="quota"))
        self.a.claim([Job(2, to=2, gen=1)])
        self.a.claim([Job(2, to=2, gen=1, sender=2)], pool=2)
        self.assertEqual((self.deferred(2)["pool"], self.message(2)["pool"]), (2, 2))


if __name__ == "__main__":
    ledger.main()
