#!/usr/bin/env -S python3 -B
"""Journals of ended epochs: what was claimed and not handed over is decided again, what may be on its way stays unknown, and no other list is believed."""

import uuid

import ledger
from ledger import (ACCEPTED, CLAIMED, DEFERRED, MARKETING, OUT_ACCEPTED, OUT_RETRY, OUT_UNKNOWN, REDRIVEN, REFUSED, UNKNOWN, Job, Out, Park, after)

KEY, NEXT, THIRD = (uuid.UUID(int=n) for n in (1, 2, 3))


class JournalCase(ledger.Case):
    """j keeps a journal; it crashes and comes back, with what its journal has."""

    def setUp(self):
        super().setUp()
        self.j = ledger.Lane(self.s, "j", journal=KEY)

    def crash(self, handed=(), key=NEXT):
        """The lane that comes back under the name; `handed`: numbers of the messages that the journal has."""
        old = self.j
        self.j = ledger.Lane(self.s, "j", journal=key, left=(old.owner, old.epoch, old.journal, handed))
        return self.j


class Claimed(JournalCase):
    def test_what_was_not_handed_over_is_sent_and_what_was_is_an_orphan(self):
        jobs = [Job(n, to=n) for n in (1, 2, 3)]
        self.j.claim(jobs)
        again = self.crash(handed=[2])
        self.assertTrue(again.took_journal)
        self.assertEqual(again.verdicts([Job(n, to=n) for n in (1, 2, 3)]), ["send", "orphan", "send"])
        self.assertEqual((self.message(1)["epoch"], self.message(2)["epoch"]), (again.epoch, again.epoch - 1))

    def test_anybody_may_send_it(self):
        self.j.claim([Job(1)])
        self.crash()
        self.assertEqual(self.b.verdict(Job(1)), "send")
        self.assertEqual(self.message(1)["owner"], self.b.owner)

    def test_gen_and_attempts_stay_and_its_slot_counts_once(self):
        self.j.claim([Job(1)])
        self.j.settle(Out(1, OUT_RETRY))
        answer = self.crash().claim([Job(1)])[0]
        self.assertEqual((answer.verdict, answer.attempt, answer.resends), ("send", 1, 0))
        self.assertEqual((self.state(1), self.message(1)["gen"], self.reached()), (CLAIMED, 0, 1))

    def test_a_failure_after_it_gives_the_one_slot_back(self):
        self.j.claim([Job(1)])
        self.crash().claim([Job(1)])
        self.s.do(f"select postrider.release_v1(1, 1, '{{1}}', array['{ledger.message_id(1)}']::uuid[])")
        self.assertEqual(self.reached(), 0)

    def test_refused_now_it_gives_its_slot_back(self):
        self.j.claim([Job(1)])
        self.s.do("update postrider.contact set consent = 0 where id = 1")
        self.assertEqual(self.crash().verdict(Job(1)), "refused")
        self.assertEqual((self.state(1), self.reached()), (REFUSED, 0))

    def test_put_off_now_it_is_parked_like_any_other(self):
        self.j.claim([Job(1)])
        again = self.crash()
        self.assertEqual(again.verdict(Job(1, hold=after(minutes=5), hold_reason="sender_busy")), "defer")
        self.assertEqual(again.park(Park(1)), [1])
        self.assertEqual((self.state(1), self.message(1)["gen"]), (DEFERRED, 1))

    def test_an_accepted_attempt_is_a_duplicate_whatever_the_journal_has(self):
        for n in (1, 2):
            self.j.claim([Job(n, to=n)])
            self.j.settle(Out(n))
        self.assertEqual(self.crash(handed=[2]).verdicts([Job(1, to=1), Job(2, to=2)]), ["duplicate"] * 2)

    def test_a_living_owners_claim_is_held_whatever_an_earlier_journal_says(self):
        self.crash()
        self.j.claim([Job(1)])
        self.assertEqual(self.b.verdict(Job(1)), "held")

    def test_taken_from_deferred_and_not_handed_over_it_is_due_and_sent(self):
        self.j.claim([Job(1)])
        self.j.park(Park(1, wait_ms=0))
        self.j.claim([Job(1, gen=1)])
        self.assertEqual(self.due(), [])
        again = self.crash()
        self.assertEqual(self.due(), [1])
        self.assertEqual(again.verdict(Job(1, gen=1)), "send")
        self.assertEqual((self.deferred(1)["taken_epoch"], self.message(1)["gen"]), (again.epoch, 1))

    def test_taken_from_deferred_and_handed_over_it_is_an_orphan(self):
        self.j.claim([Job(1)])
        self.j.park(Park(1, wait_ms=0))
        self.j.claim([Job(1, gen=1)])
        self.assertEqual(self.crash(handed=[1]).verdict(Job(1, gen=1)), "orphan")

    def test_a_whole_batch_of_both_kinds(self):
        self.set_pool(None)
        self.j.claim([Job(n, to=n) for n in range(1, 301)])
        again = self.crash(handed=range(1, 301, 3))
        self.assertEqual(again.verdicts([Job(n, to=n) for n in range(1, 301)]), ["orphan" if n % 3 == 1 else "send" for n in range(1, 301)])
        self.assertEqual(self.reached(), 300)


class Met(JournalCase):
    def test_met_before_the_journal_is_there_it_is_an_orphan_and_stays_unknown(self):
        self.j.claim([Job(1)])
        self.j.die()
        self.assertEqual(self.b.verdict(Job(1)), "orphan")
        self.b.park(Park(1, state=UNKNOWN, orphan=True, reason="unknown"))
        again = self.crash()
        self.assertEqual(again.verdict(Job(1, gen=1)), "waiting")
        self.assertEqual(again.verdict(Job(1)), "duplicate")

    def test_taken_over_between_the_verdict_and_the_parking_it_is_not_parked(self):
        self.j.claim([Job(1)])
        self.j.die()
        self.assertEqual(self.b.verdict(Job(1)), "orphan")
        self.assertEqual(self.crash().verdict(Job(1)), "send")
        self.assertEqual(self.b.park(Park(1, state=UNKNOWN, orphan=True, reason="unknown")), [])
        self.assertEqual(self.state(1), CLAIMED)

    def test_the_dead_epochs_own_late_words_change_nothing(self):
        """A process that lost its lease writes back what it had claimed; meanwhile somebody else has it."""
        self.j.claim([Job(1)])
        old = self.j
        self.crash()
        self.b.claim([Job(1)])
        old.unclaim((1, 0))
        self.assertEqual(old.park(Park(1)), [])
        self.assertEqual((self.state(1), self.message(1)["owner"]), (CLAIMED, self.b.owner))


class Believed(JournalCase):
    """Only the journal of the very epoch that ends."""

    def refused(self, **wrong):
        self.j.claim([Job(1)])
        left = {"owner": self.j.owner, "epoch": self.j.epoch, "key": KEY, "numbers": []} | wrong
        again = ledger.Lane(self.s, "j", journal=NEXT, left=tuple(left.values()))
        self.assertFalse(again.took_journal)
        self.assertEqual(again.verdict(Job(1)), "orphan")
        self.assertEqual((self.count("journal"), self.count("journal_message")), (0, 0))

    def test_another_owners_is_not(self):
        self.refused(owner=self.a.owner)

    def test_an_older_epochs_is_not(self):
        self.refused(epoch=self.j.epoch - 1)

    def test_a_later_epochs_is_not(self):
        self.refused(epoch=self.j.epoch + 1)

    def test_one_under_another_key_is_not(self):
        """Of another database, say, where the same name had the same number and epoch."""
        self.refused(key=NEXT)

    def test_one_without_a_key_is_not(self):
        self.refused(key=None)

    def test_an_epoch_that_kept_none_has_none(self):
        self.a.claim([Job(1)])
        again = ledger.Lane(self.s, "a", journal=KEY, left=(self.a.owner, self.a.epoch, KEY, []))
        self.assertFalse(again.took_journal)
        self.assertEqual(again.verdict(Job(1)), "orphan")

    def test_an_epoch_without_a_journal_in_between_ends_what_the_file_may_say(self):
        self.j.claim([Job(1)])
        between = ledger.Lane(self.s, "j")
        between.claim([Job(2, to=2)])
        again = ledger.Lane(self.s, "j", journal=NEXT, left=(self.j.owner, self.j.epoch, KEY, []))
        self.assertFalse(again.took_journal)
        self.assertEqual(again.verdicts([Job(1), Job(2, to=2)]), ["orphan"] * 2)

    def test_a_start_whose_answer_was_lost_takes_it_once_and_the_next_start_takes_nothing(self):
        """The epoch was raised and the file was not begun anew: it still speaks of the epoch before, which is known by now."""
        old = self.j
        self.j.claim([Job(1), Job(2, to=2)])
        self.crash(handed=[2])
        again = ledger.Lane(self.s, "j", journal=THIRD, left=(old.owner, old.epoch, KEY, [1, 2]))
        self.assertFalse(again.took_journal)
        self.assertEqual(again.verdicts([Job(1), Job(2, to=2)]), ["send", "orphan"])

    def test_two_crashes_in_a_row_have_a_journal_each(self):
        self.j.claim([Job(n, to=n) for n in (1, 2, 3)])
        self.crash(handed=[1])
        self.j.claim([Job(n, to=n) for n in (2, 4)])  # 2 is claimed anew, 1 and 3 were not met
        again = self.crash(handed=[2], key=THIRD)
        self.assertEqual(again.verdicts([Job(n, to=n) for n in (1, 2, 3, 4)]), ["orphan", "orphan", "send", "send"])

    def test_a_message_twice_or_of_nobody_does_no_harm(self):
        self.j.claim([Job(1)])
        self.assertEqual(self.crash(handed=[1, 1, 99]).verdict(Job(1)), "orphan")

    def test_the_first_start_of_a_name_takes_nothing(self):
        self.assertFalse(ledger.Lane(self.s, "new", journal=KEY, left=(1, 1, KEY, [])).took_journal)


class Resend(JournalCase):
    """A resend whose claim came to nothing is the unknown again that it was: its first attempt may have reached the person."""

    def claim_resend(self, category=ledger.UTILITY):
        self.a.claim([Job(1, category=category)])
        self.a.settle(Out(1, OUT_UNKNOWN))
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1, wait_ms=0))
        self.receipts_arrive()
        if category == MARKETING:
            self.s.do(f"select postrider.resolve_unknown_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 'resend')")
        job = Job(1, gen=1, category=category)
        answer = self.j.claim([job])[0]
        self.assertEqual((answer.verdict, answer.resends), ("send", 1))
        return job

    def test_not_handed_over_and_receipts_arrive_it_is_sent(self):
        job = self.claim_resend()
        answer = self.crash().claim([job])[0]
        self.assertEqual((answer.verdict, answer.resends, answer.attempt), ("send", 1, 1))

    def test_not_handed_over_and_nothing_is_heard_it_waits(self):
        job = self.claim_resend()
        again = self.crash()
        self.receipts_arrive(after(minutes=-2))
        self.assertEqual(again.verdict(job), "waiting")
        self.assertEqual((self.state(1), self.message(1)["resends"], self.fate(1), self.deferred(1)["taken_owner"]), (UNKNOWN, 0, "unknown", None))
        self.receipts_arrive()
        self.assertEqual(again.verdict(job), "send")

    def test_not_handed_over_and_refused_now_it_stays_unknown(self):
        job = self.claim_resend()
        again = self.crash()
        self.s.do("update postrider.contact set consent = 0 where id = 1")
        self.assertEqual((again.verdict(job), self.fate(1)), ("waiting", "unknown"))

    def test_handed_over_it_is_unknown_and_not_resent_again(self):
        job = self.claim_resend()
        again = self.crash(handed=[1])
        self.assertEqual(again.verdict(job), "orphan")
        again.park(Park(1, gen=1, state=UNKNOWN, orphan=True, reason="unknown"))
        self.assertEqual(again.verdict(Job(1, gen=2)), "waiting")

    def test_a_receipt_of_the_first_attempt_meanwhile_ends_it(self):
        job = self.claim_resend()
        self.s.do(f"select postrider.receipt_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 1, 'w')")
        self.assertEqual((self.crash().verdict(job), self.fate(1)), ("duplicate", "sent"))

    def test_a_receipt_of_the_first_attempt_takes_back_what_was_not_handed_over(self):
        self.claim_resend()
        self.s.do("delete from postrider.control")
        self.s.do(f"select postrider.receipt_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 1, 'w')")
        self.assertEqual(self.s.rows("select tenant, kind, target from postrider.control"), [{"tenant": 1, "kind": "contact", "target": "1"}])

    def test_a_receipt_of_a_first_try_on_the_wire_takes_nothing_back(self):
        self.a.claim([Job(1)])
        self.s.do("delete from postrider.control")
        self.s.do(f"select postrider.receipt_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 1, 'w')")
        self.assertEqual(self.count("control"), 0)

    def test_that_its_sender_is_heard_is_written_once_in_five_seconds(self):
        self.a.claim([Job(1)])
        heard = []
        for seconds in (0, 4, 5, 6):
            self.s.set_clock(ledger.after(seconds=seconds))
            self.s.do(f"select postrider.receipt_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 1, 'w')")
            heard.append(ledger.instant(self.s.value("select receipt_at from postrider.sender where id = 1")))
        self.assertEqual(heard, [ledger.after(seconds=s) for s in (0, 0, 0, 6)])

    def test_let_go_by_a_person_it_still_goes(self):
        job = self.claim_resend(MARKETING)
        again = self.crash()
        self.receipts_arrive(None)
        answer = again.claim([job])[0]
        self.assertEqual((answer.verdict, answer.resends), ("send", 1))

    def test_written_back_it_is_unknown_again(self):
        job = self.claim_resend()
        self.j.unclaim((1, 1))
        self.assertEqual((self.state(1), self.message(1)["resends"], self.fate(1), self.due()), (UNKNOWN, 0, "unknown", [1]))
        self.receipts_arrive(after(minutes=-2))
        self.assertEqual(self.b.verdict(job), "waiting")

    def test_written_back_and_let_go_by_a_person_it_still_goes(self):
        job = self.claim_resend(MARKETING)
        self.j.unclaim((1, 1))
        self.assertEqual((self.state(1), self.message(1)["resends"]), (REDRIVEN, 1))
        self.assertEqual(self.b.verdict(job), "send")

    def test_claimed_again_under_its_own_number_it_is_decided_as_the_unknown_it_was(self):
        """Its answer never reached the lane; meanwhile nothing is heard any more, or it is not allowed."""
        self.claim_resend()
        job = Job(1, gen=1, no=self.message(1)["claim_no"])
        self.assertEqual((self.j.claim([job])[0].verdict, self.message(1)["resends"]), ("send", 1))
        self.s.do("update postrider.contact set consent = 0 where id = 1")
        self.assertEqual((self.j.verdict(job), self.fate(1), self.message(1)["resends"]), ("waiting", "unknown", 0))
        self.s.do("update postrider.contact set consent = 15 where id = 1")
        self.receipts_arrive(after(minutes=-2))
        self.assertEqual(self.j.verdict(job), "waiting")

    def test_let_go_by_a_person_and_asleep_for_quota_a_purchase_does_not_call_it_cancelled(self):
        self.a.claim([Job(1, rule="cart")])
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1))
        self.s.do(f"select postrider.resolve_unknown_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 'resend')")
        self.s.do("delete from postrider.reach; delete from postrider.bucket")
        self.set_pool(1)
        self.b.claim([Job(3, to=3)])
        self.assertEqual(self.b.verdict(Job(1, gen=1, rule="cart")), "defer")
        self.b.claim([Job(2, to=2)], fences=[ledger.Fence(ledger.CANCELS_RECIPIENT, to=1)])
        self.assertEqual((self.fate(1), self.deferred(1)), ("unknown", None))

    def test_put_off_by_the_platform_it_is_unknown_again_and_not_deferred(self):
        self.claim_resend()
        self.assertEqual(self.j.park(Park(1, gen=1, attempt=2, reason="sender_rate", wait_ms=60_000)), [1])
        self.assertEqual((self.state(1), self.message(1)["resends"], self.deferred(1)["reason"], self.deferred(1)["gen"]), (UNKNOWN, 0, "unknown", 2))
        self.receipts_arrive(after(minutes=-2))
        self.assertEqual(self.b.verdict(Job(1, gen=2)), "waiting")
        self.receipts_arrive()
        self.assertEqual(self.b.claim([Job(1, gen=2)])[0].attempt, 2)

    def test_put_off_and_let_go_by_a_person_it_still_goes(self):
        self.claim_resend(MARKETING)
        self.j.park(Park(1, gen=1, attempt=2, reason="sender_rate", wait_ms=60_000))
        self.assertEqual((self.state(1), self.deferred(1)["reason"]), (REDRIVEN, "resolved"))
        self.assertEqual(self.b.verdict(Job(1, gen=2, category=MARKETING)), "send")

    def test_refused_by_rendering_or_expired_in_the_lane_it_is_unknown_and_not_resent_again(self):
        job = self.claim_resend()
        self.j.refuse((1, 1))
        self.assertEqual((self.fate(1), self.message(1)["resends"], self.deferred(1)["taken_owner"]), ("unknown", 1, None))
        self.assertEqual(self.b.verdict(job), "waiting")

    def test_let_go_by_a_person_and_not_allowed_any_more_it_is_unknown(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1))
        self.s.do(f"select postrider.resolve_unknown_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 'resend')")
        self.s.do("update postrider.contact set consent = 0 where id = 1")
        self.assertEqual((self.b.verdict(Job(1, gen=1)), self.fate(1), self.deferred(1)["reason"]), ("waiting", "unknown", "unknown"))

    def test_let_go_by_a_person_a_purchase_does_not_call_it_cancelled(self):
        self.a.claim([Job(1, rule="cart")])
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1))
        self.s.do(f"select postrider.resolve_unknown_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 'resend')")
        self.b.claim([Job(2, to=2)], fences=[ledger.Fence(ledger.CANCELS_RECIPIENT, to=1)])
        self.assertNotEqual(self.fate(1), "cancelled")
        self.assertEqual((self.b.verdict(Job(1, gen=1, rule="cart")), self.fate(1)), ("waiting", "unknown"))


class Heard(JournalCase):
    def test_written_back_after_a_receipt_it_is_not_sent_again(self):
        """The answer misled us (a refusal of the rate, say), the receipt did not."""
        self.j.claim([Job(1)])
        self.s.do(f"select postrider.receipt_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 1, 'w')")
        self.j.settle(Out(1, OUT_RETRY))
        self.j.unclaim((1, 0))
        self.assertEqual((self.b.verdict(Job(1)), self.fate(1)), ("duplicate", "sent"))

    def test_a_receipt_after_lost_by_hand_says_what_is_true(self):
        self.j.claim([Job(1)])
        self.j.park(Park(1, state=UNKNOWN, reason="unknown", attempt=1))
        self.s.do(f"select postrider.resolve_unknown_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 'lost')")
        self.assertEqual(self.fate(1), "refused")
        self.s.do(f"select postrider.receipt_v1(1, '{ledger.DAY}', '{ledger.message_id(1)}', 1, 'w')")
        self.assertEqual((self.state(1), self.fate(1), [o["kind"] for o in self.outcomes(1)]), (ACCEPTED, "sent", [OUT_ACCEPTED]))


class Tidy(JournalCase):
    def tidy(self, at):
        self.s.set_clock(at)
        self.s.do("select postrider.tidy_v1(30)")
        return self.count("journal"), self.count("journal_message")

    def test_a_journal_goes_when_no_claim_of_its_epoch_can_be_in_the_ledger(self):
        self.j.claim([Job(1), Job(2, to=2)])
        self.crash(handed=[2])
        self.assertEqual(self.tidy(after(days=31)), (1, 1))
        self.assertEqual(self.tidy(after(days=32)), (1, 1))
        self.assertEqual(self.tidy(after(days=32, seconds=1)), (0, 0))
        self.assertEqual(self.j.verdicts([Job(1), Job(2, to=2)]), ["orphan"] * 2)

    def test_the_list_does_not_stay_without_its_head_nor_is_it_made_without(self):
        self.crash(handed=[1])
        self.s.do("delete from postrider.journal")
        self.assertEqual(self.count("journal_message"), 0)
        self.assertEqual(self.s.fails("insert into postrider.journal_message values (1, 1, gen_random_uuid())"), "23503")


if __name__ == "__main__":
    ledger.main()
