#!/usr/bin/env -S python3 -B
"""Frequency caps and quiet hours on one connection: who has to wait, until when exactly, what counts as a hit and what gives one back."""

import datetime
import random
import zoneinfo

import ledger
from ledger import (AUTHENTICATION, CLAIMED, DEFERRED, MARKETING, OUT_REJECT, REFUSED, UNKNOWN, UTC, UTILITY, Job, Out, Park, after, instant,
                    message_id)

HOUR, DAY = 3600, 86400
SLACK = datetime.timedelta(minutes=1)  # what is claimed goes out within it
SPREAD = datetime.timedelta(minutes=5)
SECOND = datetime.timedelta(seconds=1)
TICK = datetime.timedelta(microseconds=1)


class PolicyCase(ledger.Case):
    def setUp(self):
        super().setUp()
        self.next = 1000  # behind the numbers that tests give
        self.set_pool(1000)

    def policy(self, category=MARKETING, caps=(), quiet=(None, None), tenant=1):
        self.s.do(f"""insert into postrider.policy (tenant, category, cap_n, cap_s, quiet_from, quiet_to)
            values ({tenant}, {category}, {ledger.array("int", [n for n, _ in caps])}, {ledger.array("int", [s for _, s in caps])},
                    {ledger.literal(quiet[0])}, {ledger.literal(quiet[1])})
            on conflict (tenant, category) do update set cap_n = excluded.cap_n, cap_s = excluded.cap_s, quiet_from = excluded.quiet_from,
                                                         quiet_to = excluded.quiet_to""")

    def claim(self, to=1, category=MARKETING, at=None, n=None, pool=1, back=(), **more):
        """One new message; its answer."""
        if at:
            self.s.set_clock(at)
        if n is None:
            n, self.next = self.next, self.next + 1
        return self.a.claim([Job(n, to=to, category=category, **more)], pool=pool, back=back)[0]

    def verdict(self, *arguments, **more):
        return self.claim(*arguments, **more).verdict

    def hits(self, contact=1, category=MARKETING):
        row = self.s.row(f"select at, id from postrider.freq where tenant = 1 and contact = {contact} and category = {category}")
        return [(instant(at), ledger.uuid.UUID(i).int >> 80) for at, i in zip(row["at"], row["id"])] if row else None


class Cap(PolicyCase):
    def setUp(self):
        super().setUp()
        self.policy(caps=[(2, DAY)])

    def test_exactly_as_many_as_the_cap_go(self):
        self.assertEqual([self.verdict() for _ in range(4)], ["send", "send", "defer", "defer"])

    def test_who_is_over_waits_until_the_oldest_hit_leaves_the_window(self):
        self.claim()
        self.claim(at=after(hours=5))
        answer = self.claim(at=after(hours=6))
        self.assertEqual((answer.verdict, answer.reason, instant(answer.until)), ("defer", "frequency_cap", after(days=1) + SLACK))
        self.assertEqual((self.state(1002), self.message(1002)["reason"]), (DEFERRED, "frequency_cap"))

    def test_the_window_opens_at_that_moment_and_not_before(self):
        self.claim()
        self.claim(at=after(hours=5))
        opens = after(days=1) + SLACK
        self.assertEqual(self.verdict(at=opens - TICK), "defer")
        self.assertEqual(self.verdict(at=opens), "send")
        self.assertEqual(self.verdict(at=opens), "defer")
        self.assertEqual(self.verdict(at=opens + datetime.timedelta(hours=5)), "send")

    def test_of_several_caps_the_one_that_holds_longest_decides(self):
        self.policy(caps=[(1, DAY), (3, 7 * DAY)])
        self.assertEqual(self.verdict(), "send")
        self.assertEqual(instant(self.claim(at=after(hours=1)).until), after(days=1) + SLACK)
        self.assertEqual(self.verdict(at=after(days=2)), "send")
        self.assertEqual(self.verdict(at=after(days=6)), "send")
        self.assertEqual(instant(self.claim(at=after(days=6, hours=1)).until), after(days=7) + SLACK)
        self.assertEqual(self.verdict(at=after(days=7) + SLACK), "send")
        self.assertEqual(instant(self.claim(at=after(days=8)).until), after(days=9) + SLACK)

    def test_a_smaller_cap_counts_what_was_sent_before(self):
        self.claim()
        self.claim(at=after(hours=2))
        self.policy(caps=[(1, DAY)])
        self.assertEqual(instant(self.claim(at=after(hours=3)).until), after(hours=26) + SLACK)

    def test_other_people_other_categories_and_other_tenants_count_for_themselves(self):
        self.policy(UTILITY, caps=[(1, HOUR)])
        self.claim(), self.claim()
        self.assertEqual([self.verdict(to=2), self.verdict(category=UTILITY), self.verdict(category=UTILITY), self.verdict(category=AUTHENTICATION)],
                         ["send", "send", "defer", "send"])
        self.policy(AUTHENTICATION, caps=[(1, HOUR)], tenant=2)
        self.assertEqual([self.verdict(category=AUTHENTICATION) for _ in range(3)], ["send"] * 3)

    def test_pools_count_together(self):
        self.assertEqual([self.verdict(pool=1), self.verdict(pool=2), self.verdict(pool=1), self.verdict(pool=2)], ["send", "send", "defer", "defer"])

    def test_people_in_an_open_window_count_too(self):
        self.s.do(f"update postrider.contact set window_until = '{after(hours=9)}' where id = 1")
        self.assertEqual([self.verdict() for _ in range(3)], ["send", "send", "defer"])

    def test_a_batch_is_decided_each_by_its_own(self):
        self.claim(to=3), self.claim(to=3)
        answers = self.a.claim([Job(100 + n, to=n, category=MARKETING if n != 4 else UTILITY) for n in range(1, 6)])
        self.assertEqual([a.verdict for a in answers], ["send", "send", "defer", "send", "send"])
        self.assertEqual([self.hits(n) is not None for n in range(1, 6)], [True, True, True, False, True])

    def test_without_a_cap_nothing_is_noted(self):
        self.s.do("delete from postrider.policy")
        self.policy(quiet=("21:00", "08:00"))
        self.assertEqual([self.verdict() for _ in range(5)], ["send"] * 5)
        self.assertEqual(self.count("freq"), 0)


class Hits(PolicyCase):
    def setUp(self):
        super().setUp()
        self.policy(caps=[(1, DAY)])

    def test_a_message_that_quota_denied_is_no_hit(self):
        self.set_pool(1)
        self.claim(to=9)
        self.assertEqual((self.verdict(), self.claim().reason), ("defer", "quota"))
        self.assertEqual(self.hits(), [])
        self.set_pool(2)
        self.assertEqual(self.verdict(), "send")

    def test_a_message_that_the_cap_denied_takes_no_slot(self):
        self.claim()
        self.claim(to=1)
        self.assertEqual(self.reached(), 1)

    def test_a_message_that_was_not_sent_is_no_hit(self):
        self.a.claim([Job(1, category=MARKETING, refusal="no_template"), Job(2, to=2, category=MARKETING, hold=after(hours=1), hold_reason="busy"),
                      Job(3, to=3, category=MARKETING, expiry=after(hours=-1))])
        self.assertEqual(self.count("freq"), 0)

    def test_what_is_claimed_again_counts_once_and_from_then_on(self):
        self.claim(n=1)
        self.a.unclaim((1, 0))
        self.assertEqual(self.verdict(n=1, at=after(hours=3)), "send")
        self.assertEqual(self.hits(), [(after(hours=3), 1)])

    def test_what_comes_back_for_a_retry_counts_once(self):
        self.claim(n=1)
        self.a.park(Park(1, reason="sender_rate", wait_ms=0))
        self.assertEqual(self.verdict(n=1, gen=1, at=after(hours=1)), "send")
        self.assertEqual(self.hits(), [(after(hours=1), 1)])

    def test_a_claim_that_is_repeated_under_its_number_counts_once(self):
        job = Job(1, category=MARKETING)
        self.assertEqual([self.a.verdict(job), self.a.verdict(job)], ["send", "send"])
        self.assertEqual(len(self.hits()), 1)

    def test_an_unknown_that_is_sent_again_counts_once(self):
        self.policy(UTILITY, caps=[(1, DAY)])
        self.claim(n=1, category=UTILITY)
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", wait_ms=0))
        self.receipts_arrive()
        self.assertEqual(self.verdict(n=1, gen=1, category=UTILITY), "send")
        self.assertEqual(len(self.hits(category=UTILITY)), 1)
        self.assertEqual(self.verdict(category=UTILITY, n=2), "defer")

    def test_an_unknown_that_the_cap_keeps_from_being_sent_again_stays_unknown(self):
        self.policy(UTILITY, caps=[(2, DAY)])
        self.claim(n=1, category=UTILITY)
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", wait_ms=0))
        self.claim(n=2, category=UTILITY)
        self.policy(UTILITY, caps=[(1, DAY)])
        self.receipts_arrive()
        self.assertEqual(self.verdict(n=1, gen=1, category=UTILITY), "waiting")
        self.assertEqual((self.state(1), self.message(1)["resends"]), (UNKNOWN, 0))
        self.assertEqual(instant(self.deferred(1)["due"]), after(days=1) + SLACK)

    def test_let_go_by_a_person_and_capped_beyond_its_end_it_is_unknown_and_not_refused(self):
        self.policy(UTILITY, caps=[(1, DAY)])
        self.claim(n=1, category=UTILITY)
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", wait_ms=0))
        self.s.do("delete from postrider.freq")
        self.claim(n=2, category=UTILITY)
        self.s.do(f"select postrider.resolve_unknown_v1(1, '{ledger.DAY}', '{message_id(1)}', 'resend')")
        self.assertEqual(self.verdict(n=1, gen=1, category=UTILITY, expiry=after(hours=3)), "waiting")
        self.assertEqual((self.state(1), self.message(1)["resends"]), (UNKNOWN, 1))
        self.assertEqual(instant(self.deferred(1)["due"]), after(days=1) + SLACK)

    def test_a_failure_gives_its_hit_back_with_the_next_claim(self):
        self.claim(n=1)
        self.a.settle(Out(1, OUT_REJECT))
        self.assertEqual(self.verdict(n=2), "defer")
        self.assertEqual(self.verdict(n=3, back=[(1, 1)]), "send")
        self.assertEqual([n for _, n in self.hits()], [3])

    def test_a_failure_gives_its_hit_back_with_a_claim_that_asks_for_none(self):
        self.claim(n=1)
        self.assertEqual(self.verdict(to=9, category=UTILITY, back=[(1, 1)]), "send")
        self.assertEqual(self.hits(), [])

    def test_a_failure_gives_its_hit_back_when_nobody_claims(self):
        self.claim(n=1)
        release = f"select postrider.release_v1(1, 1, '{{1}}', array['{message_id(1)}']::uuid[])"
        self.s.do(release)
        self.s.do(release)
        self.assertEqual((self.hits(), self.reached()), ([], 0))

    def test_only_the_hit_of_the_message_that_failed_is_given_back(self):
        self.policy(caps=[(3, DAY)])
        self.claim(n=1), self.claim(n=2, at=after(hours=1)), self.claim(n=3, at=after(hours=2))
        self.claim(to=9, back=[(1, 2), (2, 3)])
        self.assertEqual(self.hits(), [(after(hours=0), 1), (after(hours=2), 3)])

    def test_a_message_that_is_refused_before_it_was_sent_gives_its_hit_back(self):
        self.claim(n=1)
        self.a.unclaim((1, 0))
        self.s.do("update postrider.contact set consent = 0 where id = 1")
        self.assertEqual(self.claim(n=1).reason, "no_consent")
        self.assertEqual((self.hits(), self.reached()), ([], 0))

    def test_its_hit_and_slot_are_given_back_too_when_it_was_claimed_for_another_pool(self):
        self.claim(n=1, pool=2)
        self.a.unclaim((1, 0))
        self.s.do("update postrider.contact set is_suppressed = true where id = 1")
        self.assertEqual(self.claim(n=1, pool=1).reason, "suppressed")
        self.assertEqual((self.hits(), self.count("reach")), ([], 0))

    def test_hits_that_no_window_needs_leave_the_row(self):
        self.policy(caps=[(1, HOUR), (5, DAY)])
        for n in range(1, 4):
            self.claim(n=n, at=after(hours=2 * n))
        self.claim(n=4, at=after(hours=2 + 24) + SLACK)
        self.assertEqual([n for _, n in self.hits()], [2, 3, 4])

    def test_a_clock_that_goes_back_makes_no_hit_older_than_the_newest(self):
        self.policy(caps=[(2, DAY)])
        self.claim(n=1, at=after(hours=9))
        self.claim(n=2, at=after(hours=1))
        self.assertEqual([at for at, _ in self.hits()], [after(hours=9)] * 2)

    def test_rows_that_no_window_needs_are_tidied_away(self):
        self.policy(UTILITY, caps=[(1, HOUR)])
        self.claim(to=1), self.claim(to=2, at=after(hours=2)), self.claim(to=3, category=UTILITY), self.claim(to=4)
        self.s.do("update postrider.freq set at = '{}', id = '{}' where contact = 4")
        self.s.set_clock(after(days=1) + SLACK - TICK)
        self.s.do("select postrider.tidy_v1(30)")
        self.assertEqual(self.s.value("select array_agg(contact order by contact) from postrider.freq"), [1, 2])
        self.s.set_clock(after(days=1) + SLACK)
        self.s.do("select postrider.tidy_v1(30)")
        self.assertEqual(self.s.value("select array_agg(contact order by contact) from postrider.freq"), [2])
        self.s.do("delete from postrider.policy")
        self.s.do("select postrider.tidy_v1(30)")
        self.assertEqual(self.count("freq"), 0)


class CapComesBack(PolicyCase):
    def setUp(self):
        super().setUp()
        self.policy(caps=[(1, DAY)])
        self.opens = after(days=1) + SLACK

    def test_what_waits_is_due_at_the_moment_and_goes(self):
        self.claim(n=1)
        until = instant(self.claim(n=2).until)
        self.a.park(Park(2, reason="frequency_cap", due=until))
        self.assertEqual((self.due(until - TICK), self.due(until)), ([], [2]))
        self.assertEqual(self.verdict(n=2, gen=1), "send")

    def test_what_is_over_the_cap_again_waits_in_its_old_row(self):
        self.claim(n=1)
        self.a.park(Park(1, reason="sender_rate", wait_ms=0))
        self.s.do("delete from postrider.freq")  # as if its hit had left the window while it waited
        self.claim(n=2, at=after(hours=1))
        answer = self.claim(n=1, gen=1, at=after(hours=2))
        row = self.deferred(1)
        self.assertEqual((answer.verdict, answer.reason, row["gen"], row["reason"], row["is_asleep"], row["taken_owner"], instant(row["due"])),
                         ("defer", "frequency_cap", 1, "frequency_cap", False, None, after(hours=25) + SLACK))

    def test_a_wait_that_outlasts_the_message_is_a_refusal_at_once(self):
        self.claim(n=1)
        answer = self.claim(n=2, expiry=self.opens)
        self.assertEqual((answer.verdict, answer.reason), ("refused", "frequency_cap"))
        self.assertEqual((self.state(2), self.message(2)["reason"]), (REFUSED, "frequency_cap"))
        self.assertEqual(self.verdict(n=3, expiry=self.opens + TICK), "defer")

    def test_what_came_back_and_would_wait_too_long_ends_with_its_row_and_its_slot(self):
        self.claim(n=1)
        self.a.park(Park(1, reason="sender_rate", wait_ms=0))
        self.s.do("delete from postrider.freq")
        self.claim(n=2, at=after(hours=1), to=1)
        self.s.do("delete from postrider.reach where contact = 1; update postrider.bucket set n = 0")
        self.s.do(f"insert into postrider.reach values (1, 1, 1, (select last_minute from postrider.quota_pool where id = 1), '{message_id(1)}')")
        self.s.do("update postrider.bucket set n = 1 where minute = (select last_minute from postrider.quota_pool where id = 1)")
        self.assertEqual(self.verdict(n=1, gen=1, at=after(hours=2), expiry=after(hours=9)), "refused")
        self.assertEqual((self.state(1), self.deferred(1), self.reached()), (REFUSED, None, 0))


class QuietCase(PolicyCase):
    """São Paulo is three hours behind UTC all year; the injected clock starts at ten, that is seven in the morning there."""

    def setUp(self):
        super().setUp()
        self.s.do("update postrider.tenant set time_zone = 'America/Sao_Paulo' where id = 1")
        self.policy(quiet=("21:00", "08:00"))

    def assert_until(self, answer, end):
        self.assertEqual((answer.verdict, answer.reason), ("defer", "quiet_hours"))
        self.assertLessEqual(end, instant(answer.until))
        self.assertLess(instant(answer.until), end + SPREAD)


class Quiet(QuietCase):
    def test_a_message_waits_until_they_are_over(self):
        self.assert_until(self.claim(n=1), after(hours=1))
        self.assertEqual((self.state(1), self.message(1)["reason"], self.reached()), (DEFERRED, "quiet_hours", 0))

    def test_they_begin_and_end_at_the_moment(self):
        evening, morning = after(hours=14), after(hours=25)
        self.assertEqual(self.verdict(at=evening - TICK), "send")
        self.assert_until(self.claim(at=evening), morning)
        self.assert_until(self.claim(at=morning - TICK), morning)
        self.assertEqual(self.verdict(at=morning), "send")

    def test_they_need_not_pass_midnight(self):
        self.policy(quiet=("12:00", "14:00"))
        noon = after(hours=5)
        self.assertEqual([self.verdict(at=noon - SECOND), self.verdict(at=noon + datetime.timedelta(hours=2))], ["send", "send"])
        self.assert_until(self.claim(at=noon), after(hours=7))

    def test_they_are_those_of_the_persons_zone(self):
        self.s.do("update postrider.contact set zone = 'Europe/Berlin' where id = 2")
        self.s.do("update postrider.contact set zone = 'Asia/Kathmandu' where id = 3")
        self.s.do("update postrider.contact set zone = 'Asia/Tokyo' where id = 4")
        answers = self.a.claim([Job(n, to=n, category=MARKETING) for n in range(1, 6)])
        self.assertEqual([a.verdict for a in answers], ["defer", "send", "send", "send", "defer"])
        self.s.set_clock(after(hours=6))  # 16 UTC: 13 h here, 17 or 18 h in Berlin, 21:45 in Kathmandu, 1 h in Tokyo
        answers = self.a.claim([Job(n + 20, to=n, category=MARKETING) for n in range(1, 6)])
        self.assertEqual([a.verdict for a in answers], ["send", "send", "defer", "defer", "send"])
        self.assert_until(answers[2], after(hours=16, minutes=15))
        self.assert_until(answers[3], after(hours=13))

    def test_each_category_has_its_own(self):
        self.policy(AUTHENTICATION, quiet=("03:00", "04:00"))
        self.assertEqual([self.verdict(category=UTILITY), self.verdict(category=AUTHENTICATION), self.verdict()], ["send", "send", "defer"])

    def test_a_zone_that_the_database_does_not_know_is_the_businesss(self):
        self.s.do("update postrider.contact set zone = 'Mars/Phobos' where id = 1")
        self.assert_until(self.claim(), after(hours=1))

    def test_a_business_whose_zone_is_not_known_is_in_utc(self):
        self.s.do("update postrider.tenant set time_zone = 'Mars/Phobos' where id = 1")
        self.assertEqual(self.verdict(), "send")
        self.assert_until(self.claim(at=after(hours=11)), after(hours=22))

    def test_they_are_spread_over_five_minutes_by_message(self):
        answers = self.a.claim([Job(n, to=n, category=MARKETING) for n in range(1, 301)])
        waits = sorted(int((instant(a.until) - after(hours=1)).total_seconds()) for a in answers)
        self.assertGreater(len(set(waits)), 150)
        self.assertLess(max(sum(w // 30 == part for w in waits) for part in range(10)), 60)
        self.assertEqual(instant(answers[6].until), instant(self.b.claim([Job(7, to=7, category=MARKETING)])[0].until))

    def test_a_wait_that_outlasts_the_message_is_a_refusal_at_once(self):
        answer = self.claim(n=1, expiry=after(hours=1))
        self.assertEqual((answer.verdict, answer.reason, self.state(1)), ("refused", "quiet_hours", REFUSED))
        last = self.claim(n=2, expiry=after(hours=1) + TICK)
        self.assertEqual((last.verdict, instant(last.until)), ("defer", after(hours=1)))

    def test_what_comes_back_in_quiet_hours_waits_in_its_row(self):
        self.claim(n=1, at=after(hours=2))
        self.a.park(Park(1, reason="sender_rate", wait_ms=0))
        answer = self.claim(n=1, gen=1, at=after(hours=14))
        self.assert_until(answer, after(hours=25))
        row = self.deferred(1)
        self.assertEqual((row["gen"], row["reason"], row["due"], row["taken_owner"]), (1, "quiet_hours", answer.until, None))
        self.assertEqual(self.verdict(n=1, gen=1, at=instant(answer.until)), "send")

    def test_an_unknown_is_not_sent_again_in_quiet_hours_and_stays_unknown(self):
        self.policy(UTILITY, quiet=("21:00", "08:00"))
        self.claim(n=1, category=UTILITY, at=after(hours=2))
        self.a.park(Park(1, state=UNKNOWN, reason="unknown", wait_ms=0))
        self.receipts_arrive(after(hours=14))
        self.assertEqual(self.verdict(n=1, gen=1, category=UTILITY, at=after(hours=14)), "waiting")
        self.assertEqual(self.state(1), UNKNOWN)
        self.assertLessEqual(after(hours=25), instant(self.deferred(1)["due"]))

    def test_whoever_is_refused_anyway_does_not_wait_for_the_morning(self):
        self.s.do("update postrider.contact set consent = 0 where id = 1")
        self.assertEqual(self.claim().reason, "no_consent")

    def test_quiet_hours_come_before_the_cap(self):
        self.policy(caps=[(1, DAY)], quiet=("21:00", "08:00"))
        self.claim()
        self.assertIsNone(self.hits())


def end_by_hand(at, zone, begin, end):
    """The first whole minute from `at` on that is not quiet, looked for one by one; None when it is not quiet now."""
    def is_quiet(moment):
        wall = moment.astimezone(zone).time()
        return begin <= wall < end if begin < end else wall >= begin or wall < end
    if not is_quiet(at):
        return None
    moment = at.replace(second=0, microsecond=0)
    while is_quiet(moment) or moment <= at:
        moment += datetime.timedelta(minutes=1)
    return moment


class Clocks(QuietCase):
    """When the clocks change the end may be skipped or come twice: it is the first moment that is not quiet."""

    def until(self, at, zone, begin, end):
        found = self.s.value(f"select postrider.quiet_until_v1({ledger.literal(at)}, '{zone}', '{begin}', '{end}') as x")
        return found and instant(found)

    def test_nights_on_which_the_clocks_change(self):
        for at, zone, begin, end, until in (
                ("2026-03-28T22:00Z", "Europe/Berlin", "22:00", "08:00", "2026-03-29T06:00Z"),  # an hour shorter
                ("2026-10-24T22:00Z", "Europe/Berlin", "22:00", "08:00", "2026-10-25T07:00Z"),  # an hour longer
                ("2026-03-29T00:30Z", "Europe/Berlin", "22:00", "02:30", "2026-03-29T01:00Z"),  # 02:30 is skipped
                ("2026-10-24T23:30Z", "Europe/Berlin", "22:00", "02:30", "2026-10-25T00:30Z"),  # 02:30 for the first time
                ("2026-10-25T01:00Z", "Europe/Berlin", "22:00", "02:30", "2026-10-25T01:30Z"),  # and for the second
                ("2026-10-25T00:30Z", "Europe/Berlin", "22:00", "02:30", None),
                ("2026-09-06T02:00Z", "America/Santiago", "20:00", "00:30", "2026-09-06T04:00Z"),  # midnight is skipped
                ("2026-11-01T00:00Z", "America/Sao_Paulo", "21:00", "08:00", "2026-11-01T11:00Z"),
                ("2018-11-04T01:00Z", "America/Sao_Paulo", "21:00", "08:00", "2018-11-04T10:00Z")):  # when there was summer time
            with self.subTest(at=at, zone=zone, end=end):
                at, until = instant(at.replace("Z", ":00+00:00")), until and instant(until.replace("Z", ":00+00:00"))
                self.assertEqual(self.until(at, zone, begin, end), until)

    def test_any_moment_is_as_found_minute_by_minute(self):
        dice = random.Random(5)
        changes = [datetime.datetime(2026, m, d, tzinfo=UTC) for m, d in ((3, 8), (3, 29), (4, 5), (9, 6), (10, 4), (10, 25), (11, 1), (6, 1))]
        zones = ["Europe/Berlin", "America/Sao_Paulo", "America/Santiago", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"]
        for _ in range(800):
            at = dice.choice(changes) + datetime.timedelta(seconds=dice.randrange(-DAY // 2, DAY // 2), microseconds=dice.choice((0, 1, 999_999)))
            zone, (begin, end) = dice.choice(zones), dice.sample([datetime.time(h, m) for h in range(24) for m in (0, 30)], 2)
            with self.subTest(at=at, zone=zone, begin=begin, end=end):
                self.assertEqual(self.until(at, zone, begin, end), end_by_hand(at, zoneinfo.ZoneInfo(zone), begin, end))


class Zones(PolicyCase):
    def known(self, zone):
        return self.s.value(f"select postrider.zone_is_known_v1({ledger.literal(zone)}) as x")

    def test_names_that_the_database_knows(self):
        for zone in ("America/Sao_Paulo", "Europe/Berlin", "UTC", "Etc/GMT+3", "america/sao_paulo", "Brazil/East"):
            self.assertIs(self.known(zone), True, zone)
        for zone in (None, "", "Mars/Phobos", "America/Sao Paulo", "BRT3", "America/Sao_Paulo3", "+3", "5", "x" * 300, "../../etc/passwd", "é"):
            self.assertIs(self.known(zone), False, zone)

    def event(self, zone, off, suppressed="null"):
        self.s.do(f"""select postrider.apply_event_v1(1, 1, '{ledger.address(1)}', '{message_id(off)}', '{after(minutes=off)}', 0::smallint, null, null,
            null, 'pt_BR', {ledger.literal(zone)}, {suppressed}, '{ledger.BASE}', 1::smallint, 0, {off}, 'contact.updated')""")
        contact = self.s.row("select zone, locale, is_suppressed from postrider.contact where id = 1")
        reason = self.s.value(f"select reason from postrider.aside where off = {off}")
        return contact["zone"], contact["is_suppressed"], reason

    def test_an_event_with_an_unknown_zone_is_applied_but_for_its_zone(self):
        self.s.set_clock(after(hours=9))
        self.assertEqual(self.event("Europe/Berlin", 1), ("Europe/Berlin", False, "contact.updated"))
        self.assertEqual(self.event("Mars/Phobos", 2, "true"), ("Europe/Berlin", True, "unknown_zone"))
        self.assertEqual(self.event(None, 3), ("Europe/Berlin", True, "contact.updated"))


class Sleepers(PolicyCase):
    """What is woken for quota and then meets a cap or quiet hours is no sleeper any more: it has a time."""

    def test_a_woken_message_over_its_cap_waits_for_the_cap(self):
        self.policy(caps=[(1, DAY)])
        self.set_pool(1)
        self.claim(n=1, to=9)
        self.assertEqual(self.claim(n=2).reason, "quota")
        self.a.park(Park(2, reason="quota"))
        self.set_pool(2)
        self.assertEqual(self.verdict(n=3), "send")
        self.assertFalse(self.deferred(2)["is_asleep"])
        self.assertEqual(self.claim(n=2, gen=1).reason, "frequency_cap")
        self.assertEqual((self.deferred(2)["is_asleep"], instant(self.deferred(2)["due"])), (False, after(days=1) + SLACK))

    def test_what_is_claimed_keeps_its_state(self):
        self.policy(caps=[(1, DAY)])
        self.claim(n=1)
        self.assertEqual(self.state(1), CLAIMED)


if __name__ == "__main__":
    ledger.main()
