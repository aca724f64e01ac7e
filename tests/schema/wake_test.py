#!/usr/bin/env -S python3 -B
"""People who sleep for quota: who is woken, in which order, and how many."""

import ledger
from ledger import MARKETING, UTILITY, Job, Park, after


class Wake(ledger.Case):
    def setUp(self):
        super().setUp()
        self.set_pool(100)

    def sleep(self, n, to=None, category=UTILITY, since=None, expiry=None, pool=1):
        """A message that was denied and parked; `since` orders it."""
        self.s.do(f"update postrider.quota_pool set people_max = 1, reserve_pct = 0 where id = {pool}")
        if not self.count("reach"):
            self.a.claim([Job(9000, to=400)], pool=1)
            self.a.claim([Job(9001, to=400)], pool=2)
        job = Job(n, to=to or n, category=category, expiry=expiry)
        self.assertEqual(self.a.verdict(job, pool=pool), "defer")
        self.a.park(Park(n, reason="quota", since=since or after(minutes=n), expiry=expiry))
        self.assertTrue(self.deferred(n)["is_asleep"])

    def make_room(self, people, reserve_pct=0, pool=1):
        """One person, 400, is in the pool already."""
        self.set_pool(people + 1, reserve_pct, pool)

    def wake(self, pool=1):
        return self.s.value(f"select postrider.wake_v1(1, {pool})")

    def awake(self):
        return [ledger.uuid.UUID(r["id"]).int >> 80 for r in self.s.rows("select id from postrider.deferred where not is_asleep order by id")]

    def test_a_sleeping_row_is_not_due(self):
        self.sleep(1)
        self.assertEqual(self.due(after(days=5)), [])

    def test_a_woken_row_is_due_at_once(self):
        self.sleep(1)
        self.make_room(1)
        self.s.set_clock(after(minutes=5))
        self.assertEqual((self.wake(), self.due()), (1, [1]))

    def test_the_oldest_are_woken_first(self):
        for n, minutes in ((1, 30), (2, 10), (3, 40), (4, 20)):
            self.sleep(n, since=after(minutes=minutes))
        self.make_room(2)
        self.wake()
        self.assertEqual(self.awake(), [2, 4])

    def test_at_most_a_thousand_are_woken_at_once_and_marketing_only_with_those_before_it(self):
        self.sleep(1, category=MARKETING)
        self.sleep(2)
        self.s.do("insert into postrider.deferred select d.tenant, d.day, gen_random_uuid(), d.gen, d.part, d.due, d.is_asleep, d.reason, d.since, d.event_at, "
                  "d.kafka_at, 1000 + i, d.category, d.pool, d.waited_ms, d.topic, d.off, null, null, d.rule, d.subject, d.payload "
                  "from postrider.deferred d, generate_series(1, 1499) i where d.contact = 2")
        self.make_room(100_000)
        self.assertEqual([self.wake() for _ in range(3)], [1000, 501, 0])

    def test_pools_that_half_a_second_was_not_enough_for_come_another_time(self):
        """Each takes longer than all may: the first that is asked is the only one."""
        for n, pool in ((1, 1), (2, 2)):
            self.sleep(n, pool=pool)
        self.s.do("create or replace function postrider.wake_v1(p_tenant int, p_pool int) returns bigint language plpgsql volatile as "
                  "'begin perform pg_sleep(0.6); return 1; end'")
        self.assertEqual(self.s.value((ledger.env.ROOT / "schema/queries/wake.sql").read_text()), 1)

    def test_transactional_ones_are_woken_before_older_marketing(self):
        self.sleep(1, category=MARKETING)
        self.sleep(2, category=MARKETING)
        self.sleep(3)
        self.sleep(4, category=ledger.AUTHENTICATION)
        self.make_room(3)
        self.wake()
        self.assertEqual(self.awake(), [1, 3, 4])

    def test_no_more_people_than_the_room_less_those_awake(self):
        for n in range(1, 9):
            self.sleep(n)
        self.make_room(3)
        self.assertEqual((self.wake(), self.awake()), (3, [1, 2, 3]))
        self.assertEqual((self.wake(), self.awake()), (0, [1, 2, 3]))
        self.make_room(5)
        self.assertEqual((self.wake(), self.awake()), (2, [1, 2, 3, 4, 5]))

    def test_people_who_are_reached_use_up_the_room(self):
        for n in range(1, 4):
            self.sleep(n)
        self.make_room(3)
        self.a.claim([Job(50, to=50), Job(51, to=51)])
        self.assertEqual((self.wake(), self.awake()), (1, [1]))

    def test_a_full_pool_wakes_nobody(self):
        self.sleep(1)
        self.assertEqual((self.wake(), self.awake()), (0, []))

    def test_all_that_waits_for_a_person_is_woken_together(self):
        self.sleep(1, to=7)
        self.sleep(2, to=8)
        self.sleep(3, to=7)
        self.sleep(4, to=7, category=MARKETING)
        self.make_room(1)
        self.assertEqual((self.wake(), self.awake()), (3, [1, 3, 4]))

    def test_somebody_awake_with_several_rows_counts_once(self):
        self.sleep(1, to=7)
        self.sleep(2, to=7)
        self.sleep(3, to=8)
        self.make_room(1)
        self.wake()
        self.make_room(2)
        self.wake()
        self.assertEqual(self.awake(), [1, 2, 3])

    def test_a_person_with_many_rows_does_not_keep_others_asleep(self):
        for n in range(1, 6):
            self.sleep(n, to=7)
        self.sleep(6, to=8)
        self.make_room(2)
        self.wake()
        self.wake()
        self.assertEqual(self.awake(), [1, 2, 3, 4, 5, 6])

    def test_marketing_is_not_woken_for_the_reserve(self):
        for n in range(1, 5):
            self.sleep(n, category=MARKETING)
        self.make_room(9, reserve_pct=70)
        self.assertEqual((self.wake(), self.awake()), (2, [1, 2]))

    def test_transactional_ones_are_woken_for_the_reserve_too(self):
        for n in range(1, 5):
            self.sleep(n)
        self.make_room(3, reserve_pct=100)
        self.assertEqual((self.wake(), self.awake()), (3, [1, 2, 3]))

    def test_only_the_pools_own_sleepers_are_woken(self):
        self.sleep(1)
        self.sleep(2, pool=2)
        self.make_room(5)
        self.make_room(5, pool=2)
        self.assertEqual((self.wake(), self.awake()), (1, [1]))

    def test_an_unlimited_pool_wakes_everybody(self):
        for n in range(1, 6):
            self.sleep(n, category=MARKETING)
        self.set_pool(None, 10)
        self.assertEqual(self.wake(), 5)

    def test_who_is_woken_and_admitted_is_sent(self):
        self.sleep(1)
        self.make_room(1)
        self.wake()
        self.assertEqual(self.a.verdict(Job(1, gen=1)), "send")

    def test_who_is_woken_and_denied_sleeps_again_in_the_old_place(self):
        self.sleep(1)
        self.sleep(2)
        self.make_room(1)
        self.wake()
        self.a.claim([Job(60, to=60)])
        self.assertEqual(self.a.verdict(Job(1, gen=1)), "defer")
        self.assertTrue(self.deferred(1)["is_asleep"])
        self.make_room(2)
        self.wake()
        self.assertEqual((self.awake(), self.deferred(1)["gen"]), ([1], 1))

    def test_a_sleeper_whose_time_is_over_is_due_and_ends_as_expired(self):
        self.sleep(1, expiry=after(hours=2))
        self.assertEqual(self.due(after(hours=1, minutes=59)), [])
        self.assertEqual(self.due(after(hours=2)), [1])
        answer = self.a.claim([Job(1, gen=1, expiry=after(hours=2))])[0]
        self.assertEqual((answer.verdict, answer.reason, self.deferred(1)), ("refused", "expired", None))

    def test_admitting_a_person_wakes_the_rest_of_theirs(self):
        """The slot is there: what sleeps for the same person needs no room of its own, and the pool may never have room again."""
        self.sleep(1, to=7, category=MARKETING)
        self.sleep(2, to=8, category=MARKETING)
        self.make_room(1, reserve_pct=100)
        self.assertEqual(self.a.verdict(Job(3, to=7)), "send")
        self.wake()
        self.assertEqual(self.awake(), [1])

    def test_pools_that_somebody_sleeps_for_are_named(self):
        self.assertEqual(self.s.rows("select * from postrider.sleeping_pools_v1()"), [])
        self.sleep(1, pool=2)
        self.assertEqual(self.s.rows("select * from postrider.sleeping_pools_v1()"), [{"tenant": 1, "pool": 2}])

    def test_the_lanes_statement_wakes_all_pools(self):
        self.sleep(1)
        self.sleep(2, pool=2)
        self.make_room(1)
        self.make_room(1, pool=2)
        self.assertEqual(self.s.value((ledger.env.ROOT / "schema/queries/wake.sql").read_text()), 2)
        self.assertEqual(self.awake(), [1, 2])


class Race(ledger.RaceCase):
    def test_a_pool_that_another_process_is_at_is_left_to_it(self):
        self.set_pool(1)
        self.x.claim([Job(1), Job(2, to=2)])
        self.x.park(Park(2, reason="quota"))
        self.set_pool(2)
        self.x.session.do("begin")
        self.x.session.do("select * from postrider.lock_pool_v1(1, 1)")
        self.assertEqual(self.y.session.value("select postrider.wake_v1(1, 1)"), 0)
        self.x.session.do("commit")
        self.assertEqual(self.y.session.value("select postrider.wake_v1(1, 1)"), 1)


if __name__ == "__main__":
    ledger.main()
