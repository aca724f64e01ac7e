#!/usr/bin/env -S python3 -B
"""The verdict table: each cell of the SQL against the C, and each row through claim_v1 on real rows."""

import dataclasses
import subprocess

import ledger
from ledger import (ACCEPTED, AUTHENTICATION, CANCELLED, CLAIMED, DEAD, MARKETING, OUT_ACCEPTED, OUT_REJECT, OUT_RETRY, OUT_UNKNOWN, REDRIVEN, REFUSED,
                    SHADOW, SUPERSEDED, UNCLAIMED, UNKNOWN, UTILITY, Job, Out, Park, after)


class Cells(ledger.Case):
    def compare(self, wanted):
        """Lines of verdict_cells whose verdict differs from verdict_v1's, with what that said."""
        program = ledger.env.BUILD / "tests" / "schema" / "verdict_cells"
        if not program.exists():
            self.skipTest("verdict_cells is not built")
        cells = [line for line in subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines() if wanted(line)]
        values = ",".join("({},{},{},{}::boolean,{}::boolean,{}::boolean,{}::boolean,{}::boolean,{})".format(
            *(f"'{word}'" if 3 <= i <= 7 else word for i, word in enumerate(line.split()))) for line in cells)
        got = self.s.rows(f"select postrider.verdict_v1(s::smallint, r, g, o, a, w, x, d) as v from (values {values}) "
                          "as t (s, r, g, o, a, w, x, d, v)")
        return len(cells), [f"{cell}: SQL says {row['v']}" for cell, row in zip(cells, got) if int(cell.split()[-1]) != row["v"]]

    def test_every_cell_is_the_same_in_sql_and_in_c(self):
        cells, different = self.compare(lambda line: int(line.split()[0]) <= SHADOW)
        self.assertEqual(cells, 12 * 9 * 32)
        self.assertEqual(different, [])

    def test_a_state_of_a_newer_schema_is_never_sent_in_either(self):
        _, different = self.compare(lambda line: int(line.split()[0]) > SHADOW)
        self.assertEqual(different, [])


class NewRows(ledger.Case):
    def test_no_row_and_gen_zero_is_evaluated_and_claimed(self):
        job = Job(1, no=77, subject="1001", part=2, off=41)
        self.assertEqual(self.a.verdict(job), "send")
        row = self.message(1)
        self.assertEqual((row["state"], row["owner"], row["epoch"], row["claim_no"], row["gen"], row["contact"], row["subject"]),
                         (CLAIMED, self.a.owner, self.a.epoch, 77, 0, 1, "1001"))
        self.assertEqual((row["topic"], row["part"], row["off"], row["pool"], row["sender"]), (1, 2, 41, 1, 1))

    def test_no_row_and_a_gen_is_no_ledger_row_and_what_waited_is_kept_for_the_dead_letter(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1))
        self.s.do("delete from postrider.message")
        self.assertEqual(self.a.verdict(Job(1, gen=1)), "no_row")
        self.assertIsNone(self.message(1))
        self.assertIsNotNone(self.deferred(1))

    def test_a_larger_gen_than_the_rows_is_no_ledger_row_and_changes_nothing(self):
        self.a.claim([Job(1)])
        self.assertEqual(self.b.verdict(Job(1, gen=1)), "no_row")
        self.assertEqual((self.state(1), self.message(1)["owner"]), (CLAIMED, self.a.owner))

    def test_an_ended_lease_claims_nothing(self):
        self.a.die()
        self.assertEqual(self.s.fails(self.a.claim_sql([Job(1)])), "PR001")
        self.assertIsNone(self.message(1))

    def test_an_older_epoch_of_a_living_name_claims_nothing(self):
        ledger.Lane(self.s, "a")
        self.assertEqual(self.s.fails(self.a.claim_sql([Job(1)])), "PR001")


class ComesBack(ledger.Case):
    """unclaimed, deferred, redriven: evaluated again."""

    def test_unclaimed_is_evaluated_again(self):
        self.a.claim([Job(1)])
        self.a.unclaim((1, 0))
        self.assertEqual(self.state(1), UNCLAIMED)
        self.assertEqual(self.b.verdict(Job(1)), "send")
        self.assertEqual((self.state(1), self.message(1)["owner"]), (CLAIMED, self.b.owner))

    def test_deferred_by_the_claim_and_not_parked_yet_is_evaluated_again(self):
        self.assertEqual(self.a.verdict(Job(1, not_before=after(hours=1))), "defer")
        self.assertEqual(self.b.verdict(Job(1)), "send")

    def test_deferred_is_evaluated_again_and_its_row_is_marked_taken(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1))
        self.assertEqual(self.b.verdict(Job(1, gen=1)), "send")
        row = self.deferred(1)
        self.assertEqual((row["taken_owner"], row["taken_epoch"]), (self.b.owner, self.b.epoch))
        self.assertEqual((self.state(1), self.message(1)["gen"]), (CLAIMED, 1))

    def test_deferred_again_keeps_its_row_with_the_new_time_and_reason(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1))
        answer = self.b.claim([Job(1, gen=1, hold=after(hours=2), hold_reason="sender_busy")])[0]
        self.assertEqual((answer.verdict, answer.reason, ledger.instant(answer.until)), ("defer", "sender_busy", after(hours=2)))
        row = self.deferred(1)
        self.assertEqual((row["gen"], row["reason"], ledger.instant(row["due"]), row["taken_owner"]), (1, "sender_busy", after(hours=2), None))

    def test_deferred_and_refused_when_it_comes_back_ends_its_row(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1))
        self.s.do("update postrider.contact set consent = 0 where id = 1")
        self.assertEqual(self.b.verdict(Job(1, gen=1)), "refused")
        self.assertEqual((self.state(1), self.message(1)["reason"], self.deferred(1)), (REFUSED, "no_consent", None))

    def test_redriven_is_evaluated_again_although_it_was_rejected(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1, OUT_REJECT))
        self.set_message(1, f"state = {REDRIVEN}, gen = 1")
        answer = self.b.claim([Job(1, gen=1)])[0]
        self.assertEqual((answer.verdict, answer.attempt), ("send", 1))

    def test_the_attempt_goes_on_from_the_outcomes(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1, OUT_RETRY, attempt=1))
        self.a.settle(Out(1, OUT_RETRY, attempt=2))
        self.a.park(Park(1, attempt=2, tries=1))
        answer = self.b.claim([Job(1, gen=1)])[0]
        self.assertEqual((answer.verdict, answer.attempt, answer.tries), ("send", 2, 1))


class Unknown(ledger.Case):
    def make_unknown(self, category=UTILITY, n=1):
        self.a.claim([Job(n, to=n, category=category)])
        self.a.settle(Out(n, OUT_UNKNOWN))
        self.a.park(Park(n, state=UNKNOWN, reason="unknown", attempt=1, wait_ms=120_000))
        return Job(n, to=n, gen=1, category=category)

    def test_utility_is_resent_once_while_receipts_arrive(self):
        job = self.make_unknown()
        self.receipts_arrive()
        answer = self.b.claim([job])[0]
        self.assertEqual((answer.verdict, answer.resends, answer.attempt), ("send", 1, 1))
        self.b.settle(Out(1, OUT_UNKNOWN, attempt=2))
        self.b.park(Park(1, gen=1, state=UNKNOWN, reason="unknown", attempt=2))
        self.assertEqual(self.a.verdict(Job(1, gen=2)), "waiting")

    def test_authentication_is_resent_as_well(self):
        job = self.make_unknown(AUTHENTICATION)
        self.receipts_arrive()
        self.assertEqual(self.b.verdict(job), "send")

    def test_marketing_is_never_resent(self):
        job = self.make_unknown(MARKETING)
        self.receipts_arrive()
        self.assertEqual(self.b.verdict(job), "waiting")
        self.assertEqual(self.state(1), UNKNOWN)

    def test_a_marketing_message_is_not_resent_because_the_template_became_utility(self):
        job = self.make_unknown(MARKETING)
        self.receipts_arrive()
        self.assertEqual(self.b.verdict(dataclasses.replace(job, category=UTILITY)), "waiting")

    def test_nothing_is_resent_while_no_receipt_was_ever_heard(self):
        self.assertEqual(self.b.verdict(self.make_unknown()), "waiting")

    def test_nothing_is_resent_when_the_last_receipt_is_old(self):
        job = self.make_unknown()
        self.receipts_arrive(after(seconds=-61))
        self.assertEqual(self.b.verdict(job), "waiting")
        self.receipts_arrive(after(seconds=-59))
        self.assertEqual(self.b.verdict(job), "send")

    def test_receipts_of_another_sender_do_not_count(self):
        job = self.make_unknown()
        self.s.do(f"update postrider.sender set receipt_at = '{ledger.BASE}' where id = 2")
        self.assertEqual(self.b.verdict(dataclasses.replace(job, sender=2)), "waiting")

    def test_waiting_is_kept_and_asked_again_later(self):
        self.b.claim([self.make_unknown()])
        row = self.deferred(1)
        self.assertEqual((row["gen"], row["taken_owner"], ledger.instant(row["due"])), (1, None, after(seconds=30)))
        self.assertEqual((self.state(1), self.message(1)["gen"]), (UNKNOWN, 1))

    def test_an_unknown_that_nobody_hears_of_is_asked_for_less_and_less_often(self):
        job = self.make_unknown()
        waits = []
        for age_s in (40, 60, 120, 600, 1800, 1802, 36000):
            self.s.set_clock(after(seconds=age_s))
            self.b.claim([dataclasses.replace(job, no=1000000 + age_s)])
            waits.append((ledger.instant(self.deferred(1)["due"]) - after(seconds=age_s)).total_seconds())
        self.assertEqual(waits, [30, 30, 60, 300, 900, 900, 900])

    def test_an_unknown_is_asked_for_when_it_expires_at_the_latest(self):
        job = dataclasses.replace(self.make_unknown(), expiry=after(seconds=20))
        self.b.claim([job])
        self.assertEqual(ledger.instant(self.deferred(1)["due"]), after(seconds=20))

    def test_what_is_never_resent_is_looked_at_again_only_at_its_end(self):
        marketing = dataclasses.replace(self.make_unknown(MARKETING), expiry=after(hours=5))
        self.b.claim([marketing])
        self.assertEqual(ledger.instant(self.deferred(1)["due"]), after(hours=5))
        resent = dataclasses.replace(self.make_unknown(n=2), expiry=after(hours=6))
        self.receipts_arrive()
        self.assertEqual(self.b.verdict(resent), "send")
        self.b.settle(Out(2, OUT_UNKNOWN, attempt=2))
        self.b.park(Park(2, gen=1, state=UNKNOWN, reason="unknown", attempt=2))
        self.b.claim([dataclasses.replace(resent, gen=2, no=999999)])
        self.assertEqual(ledger.instant(self.deferred(2)["due"]), after(hours=6))

    def test_without_an_end_it_is_looked_at_once_a_day(self):
        self.b.claim([self.make_unknown(MARKETING)])
        self.assertEqual(ledger.instant(self.deferred(1)["due"]), after(days=1))

    def test_waiting_ends_when_it_expires_and_stays_unknown(self):
        job = self.make_unknown()
        self.assertEqual(self.b.verdict(dataclasses.replace(job, expiry=after(seconds=-1))), "waiting")
        self.assertEqual((self.deferred(1), self.state(1), self.fate(1)), (None, UNKNOWN, "unknown"))

    def test_an_accepted_attempt_that_came_to_light_makes_it_a_duplicate(self):
        job = self.make_unknown()
        self.a.settle(Out(1, OUT_ACCEPTED, attempt=2))
        self.receipts_arrive()
        self.assertEqual(self.b.verdict(job), "duplicate")
        self.assertEqual((self.deferred(1), self.fate(1)), (None, "sent"))

    def test_what_may_have_been_sent_is_not_deferred_as_if_it_had_not(self):
        """A hold puts the resend off; it does not make the unknown an ordinary deferral, which would go out whatever is heard."""
        job = self.make_unknown()
        self.receipts_arrive()
        self.assertIn(self.b.verdict(dataclasses.replace(job, hold=after(minutes=5), hold_reason="sender_busy")), ("waiting", "defer"))
        self.assertEqual((self.state(1), self.message(1)["resends"]), (UNKNOWN, 0))
        self.assertIsNotNone(self.deferred(1))

    def test_what_may_have_been_sent_is_not_refused_as_if_it_had_not(self):
        """Expired, cancelled or without consent by now: no resend, but the first attempt's fate stays unknown."""
        for n, change in enumerate(("expiry", "refusal", "consent"), start=1):
            with self.subTest(change):
                job = self.make_unknown(n=n)
                self.receipts_arrive()
                self.s.do(f"update postrider.contact set consent = {0 if change == 'consent' else 15} where id = {n}")
                job = dataclasses.replace(job, **{"expiry": {"expiry": after(seconds=-1)}, "refusal": {"refusal": "no_template"}}.get(change, {}))
                self.assertEqual(self.b.verdict(job), "waiting")
                self.assertEqual(self.fate(n), "unknown")


class Claimed(ledger.Case):
    def test_the_same_claim_number_again_is_the_stored_verdict(self):
        job = Job(1)
        self.a.claim([job])
        before = self.message(1)
        self.assertEqual(self.a.verdict(job), "send")
        self.assertEqual(self.message(1), before)
        self.assertEqual(self.reached(), 1)

    def test_another_claim_number_of_ours_is_held(self):
        self.a.claim([Job(1)])
        self.assertEqual(self.a.verdict(Job(1)), "held")

    def test_our_claim_number_in_anothers_hand_is_held(self):
        job = Job(1)
        self.a.claim([job])
        self.assertEqual(self.b.verdict(job), "held")

    def test_claimed_by_a_living_process_is_held_and_changes_nothing(self):
        self.a.claim([Job(1)])
        before = self.message(1)
        self.assertEqual(self.b.verdict(Job(1)), "held")
        self.assertEqual((self.message(1), self.reached()), (before, 1))

    def test_claimed_by_a_dead_process_is_an_orphan_and_not_taken_over(self):
        self.a.claim([Job(1)])
        self.a.die()
        before = self.message(1)
        self.assertEqual(self.b.verdict(Job(1)), "orphan")
        self.assertEqual(self.message(1), before)

    def test_claimed_by_an_older_epoch_of_a_living_name_is_an_orphan(self):
        job = Job(1)
        self.a.claim([job])
        again = ledger.Lane(self.s, "a")
        self.assertEqual((again.owner, again.epoch), (self.a.owner, self.a.epoch + 1))
        self.assertEqual(again.verdict(job), "orphan")

    def test_a_deferred_row_taken_by_a_dead_process_is_an_orphan(self):
        self.a.claim([Job(1)])
        self.a.park(Park(1, wait_ms=0))
        self.a.claim([Job(1, gen=1)])
        self.assertEqual(self.due(), [])
        self.a.die()
        self.assertEqual(self.due(), [1])
        self.assertEqual(self.b.verdict(Job(1, gen=1)), "orphan")
        self.assertIsNotNone(self.deferred(1))

    def test_an_accepted_attempt_makes_a_dead_owners_claim_a_duplicate(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1))
        self.a.die()
        self.assertEqual(self.b.verdict(Job(1)), "duplicate")

    def test_a_retry_outcome_does_not_make_it_a_duplicate(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1, OUT_RETRY))
        self.a.die()
        self.assertEqual(self.b.verdict(Job(1)), "orphan")

    def test_an_accepted_attempt_makes_even_our_own_claim_number_a_duplicate(self):
        job = Job(1)
        self.a.claim([job])
        self.a.settle(Out(1))
        self.assertEqual(self.a.verdict(job), "duplicate")


class Settled(ledger.Case):
    def test_a_smaller_gen_is_a_duplicate_in_every_state_and_ends_its_own_row_only(self):
        states = range(CLAIMED, SHADOW + 1)
        self.a.claim([Job(n, to=n) for n in states], pool=1)
        self.set_pool(None)
        for n in states:
            self.set_message(n, f"state = {n}, gen = 2")
            self.s.do("insert into postrider.deferred (tenant, day, id, gen, part, due, reason, since, event_at, contact, category, pool, topic, off, "
                      f"rule, payload) select 1, day, id, g, 0, at, 'rate', at, at, contact, 0, 1, 1, {n}, rule, '' "
                      f"from postrider.message, (values (1), (2)) as x (g) where id = '{ledger.message_id(n)}'")
        self.assertEqual(set(self.b.verdicts([Job(n, to=n, gen=1) for n in states])), {"duplicate"})
        left = self.s.rows("select gen, count(*) as n from postrider.deferred group by gen")
        self.assertEqual(left, [{"gen": 2, "n": len(states)}])

    def test_every_final_state_is_a_duplicate(self):
        for n in (ACCEPTED, REFUSED, CANCELLED, SUPERSEDED, DEAD):
            self.a.claim([Job(n, to=n)])
            self.set_message(n, f"state = {n}")
        self.assertEqual(set(self.b.verdicts([Job(n, to=n) for n in (ACCEPTED, REFUSED, CANCELLED, SUPERSEDED, DEAD)])), {"duplicate"})

    def test_a_duplicate_names_the_record_that_made_the_message(self):
        self.a.claim([Job(1, part=3, off=17)])
        self.a.settle(Out(1))
        self.assertEqual(self.b.claim([Job(1, part=0, off=99)])[0].known, (1, 3, 17))

    def test_what_is_not_a_duplicate_names_no_record(self):
        self.assertEqual(self.a.claim([Job(1)])[0].known, (None, None, None))

    def test_a_repeated_batch_gives_refusals_again_and_not_duplicates(self):
        jobs = [Job(1, refusal="no_template"), Job(2, to=2, expiry=after(seconds=-1)), Job(3, to=3, rule="cart", event_at=after(hours=-1)),
                Job(4, to=4, rule="cart", subject="s", rank=0, event_at=after(hours=-1)), Job(5, to=5)]
        fences = [ledger.Fence(ledger.CANCELS_RECIPIENT, to=3), ledger.Fence(ledger.SUPERSEDES_SUBJECT, key="s")]
        first = self.a.claim(jobs, fences=fences)
        self.assertEqual([a.verdict for a in first], ["refused", "refused", "cancelled", "superseded", "send"])
        again = self.a.claim(jobs, fences=fences)
        self.assertEqual([(a.verdict, a.reason) for a in again], [(a.verdict, a.reason) for a in first])


class Batches(ledger.Case):
    def test_each_job_of_a_mixed_batch_gets_its_own_verdict(self):
        self.set_pool(None)
        self.a.claim([Job(n, to=n) for n in (2, 4, 5, 6, 8, 10)])
        self.a.settle(Out(2))
        self.a.unclaim((4, 0))
        self.a.park(Park(5), Park(6, state=UNKNOWN, reason="unknown"))
        self.set_message(10, f"state = {CANCELLED}")
        jobs = [Job(1, to=1), Job(2, to=2), Job(3, to=3, refusal="no_template"), Job(4, to=4), Job(5, to=5, gen=1), Job(6, to=6, gen=1),
                Job(7, to=7, gen=3), Job(8, to=8), Job(9, to=9, hold=after(minutes=1), hold_reason="sender_busy"), Job(10, to=10), Job(11, to="+1")]
        answers = self.b.claim(jobs)
        self.assertEqual([a.verdict for a in answers],
                         ["send", "duplicate", "refused", "send", "send", "waiting", "no_row", "held", "defer", "duplicate", "refused"])
        self.assertEqual([a.ord for a in answers], list(range(1, 12)))
        self.assertEqual([a.reason for a in answers if a.verdict in ("refused", "defer")], ["no_template", "sender_busy", "no_contact"])

    def test_the_same_id_to_one_recipient_in_a_later_batch_is_a_duplicate(self):
        self.a.claim([Job(1)])
        self.a.settle(Out(1))
        self.assertEqual(self.a.verdict(Job(1)), "duplicate")
        self.assertEqual(self.reached(), 1)

    def test_the_same_id_to_another_recipient_in_a_later_batch_is_a_duplicate_too(self):
        self.a.claim([Job(1, to=1)])
        self.a.settle(Out(1))
        self.assertEqual(self.b.verdict(Job(1, to=2)), "duplicate")
        self.assertEqual((self.message(1)["contact"], self.reached()), (1, 1))


class Decisions(ledger.Case):
    """What a new row becomes, check by check."""

    def verdict_and_reason(self, job):
        answer = self.a.claim([job])[0]
        return answer.verdict, answer.reason

    def test_each_check_gives_its_own_reason(self):
        self.s.do("update postrider.contact set is_suppressed = true where id = 2; update postrider.contact set consent = 13 where id = 3")
        cases = [(Job(1, expiry=after(seconds=0)), "refused", "expired"), (Job(2, to=2), "refused", "suppressed"),
                 (Job(3, to=3, category=MARKETING), "refused", "no_consent"), (Job(4, to="+19"), "refused", "no_contact"),
                 (Job(5, category=ledger.SERVICE), "refused", "outside_window"), (Job(6, refusal="no_template"), "refused", "no_template"),
                 (Job(7, not_before=after(minutes=1)), "defer", "not_before"), (Job(8, hold=after(minutes=1), hold_reason="busy"), "defer", "busy")]
        for job, verdict, reason in cases:
            with self.subTest(reason):
                self.assertEqual(self.verdict_and_reason(job), (verdict, reason))
                self.assertEqual(self.reached(), 0)

    def test_consent_counts_by_category(self):
        for category in (UTILITY, MARKETING, AUTHENTICATION):
            self.s.do(f"update postrider.contact set consent = {1 << category} where id = 1")
            verdicts = [self.a.verdict(Job(10 * category + c + 1, category=c)) for c in (UTILITY, MARKETING, AUTHENTICATION)]
            self.assertEqual(verdicts, ["send" if c == category else "refused" for c in (UTILITY, MARKETING, AUTHENTICATION)])

    def test_service_messages_go_in_an_open_window_without_consent(self):
        self.s.do(f"update postrider.contact set consent = 0, window_until = '{after(minutes=1)}' where id = 1")
        self.assertEqual(self.a.verdict(Job(1, category=ledger.SERVICE)), "send")

    def test_times_that_have_come_hold_nothing_back(self):
        self.assertEqual(self.a.verdict(Job(1, not_before=after(seconds=0), expiry=after(seconds=1))), "send")

    def test_a_hold_that_is_over_by_now_puts_off_all_the_same(self):
        """Who holds a message has no room to send it in; it comes back at once."""
        answer = self.a.claim([Job(1, hold=after(seconds=-1), hold_reason="sender_busy")])[0]
        self.assertEqual((answer.verdict, answer.reason), ("defer", "sender_busy"))

    def test_a_refusal_waits_for_nothing(self):
        """What will never be sent is refused at once, not deferred first."""
        self.s.do("update postrider.contact set consent = 0 where id = 1")
        self.assertEqual(self.verdict_and_reason(Job(1, not_before=after(hours=1))), ("refused", "no_consent"))


if __name__ == "__main__":
    ledger.main()
