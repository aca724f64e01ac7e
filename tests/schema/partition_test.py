#!/usr/bin/env -S python3 -B
"""Day partitions: made ahead, dropped when old and nothing waits; and what each role may do."""

import datetime
import time

import ledger
from ledger import Job, Out, Park, after

TABLES = ("aside", "dead_letter", "message", "outcome")


def day(offset):
    return ledger.DAY + datetime.timedelta(days=offset)


class PartitionCase(ledger.Case):
    def make(self, back=30, ahead=7):
        return self.s.value(f"select postrider.partition_make_v1({back}, {ahead})")

    def drop(self, retention=30):
        """Until there is nothing more to drop; how many."""
        dropped = 0
        while self.s.value(f"select postrider.partition_drop_v1({retention})"):
            dropped += 1
        return dropped

    def ahead(self):
        return self.s.value("select postrider.partition_ahead_v1()")

    def days(self, table):
        names = self.s.value("select array_agg(right(c.relname, 8) order by c.relname) from pg_inherits i join pg_class c on c.oid = i.inhrelid "
                             f"where i.inhparent = 'postrider.{table}'::regclass")
        return [datetime.date(int(n[:4]), int(n[4:6]), int(n[6:])) for n in names]


class Made(PartitionCase):
    def test_migrating_makes_them_thirty_days_back_and_seven_ahead(self):
        for table in TABLES:
            undated = [datetime.date(1970, 1, 1)] if table in ("aside", "dead_letter") else []
            self.assertEqual(self.days(table), undated + [day(n) for n in range(-30, 8)])
        self.assertEqual(self.ahead(), 7)

    def test_each_day_the_next_one_is_made(self):
        self.s.set_clock(after(days=3))
        self.assertEqual(self.ahead(), 4)
        self.assertEqual((self.make(), self.ahead()), (3 * len(TABLES), 7))
        self.assertEqual(self.make(), 0)

    def test_less_than_two_days_ahead_can_be_seen(self):
        self.s.set_clock(after(days=6))
        self.assertEqual(self.ahead(), 1)
        self.s.set_clock(after(days=8))
        self.assertEqual(self.ahead(), -1)

    def test_a_gap_is_filled(self):
        self.s.do(f"drop table postrider.message_{day(2):%Y%m%d}")
        self.assertEqual((self.make(), self.days("message")), (1, [day(n) for n in range(-30, 8)]))

    def test_a_new_partition_has_the_keys_and_settings_of_the_others(self):
        self.s.set_clock(after(days=1))
        self.make()
        for table in TABLES:
            shapes = self.s.rows(
                "select distinct c.relhassubclass, c.relpersistence, c.reloptions, "
                "(select count(*) from pg_index x where x.indrelid = c.oid and x.indisprimary) "
                f"from pg_class c where c.oid in ('postrider.{table}_{day(8):%Y%m%d}'::regclass, 'postrider.{table}_{day(0):%Y%m%d}'::regclass)")
            self.assertEqual((len(shapes), shapes[0]["count"]), (1, 1))

    def test_messages_of_the_first_and_of_the_last_day_have_a_place(self):
        for n, offset in ((1, -30), (2, 7)):
            self.assertEqual(self.a.verdict(Job(n, to=n), day=day(offset)), "send")
            self.a.settle(Out(n), day=day(offset))
        self.assertEqual(self.s.fails(self.a.claim_sql([Job(3, to=3)], day=day(8))), "23514")

    def test_a_new_partition_takes_messages(self):
        self.s.set_clock(after(days=5))
        self.make()
        self.assertEqual(self.a.verdict(Job(1), day=day(12)), "send")


class Dropped(PartitionCase):
    def test_what_is_older_than_the_retention_goes_and_nothing_else(self):
        self.a.claim([Job(1)], day=day(-10))
        self.a.claim([Job(2)], day=day(-11))
        self.assertEqual(self.drop(10), 20 * len(TABLES))
        for table in TABLES:
            self.assertEqual([d for d in self.days(table) if d.year > 1970], [day(n) for n in range(-10, 8)])
        self.assertEqual((self.message(1, day(-10))["state"], self.count("message")), (ledger.CLAIMED, 1))

    def test_the_undated_ones_stay(self):
        self.drop(1)
        self.assertEqual([self.days(t)[0].year for t in ("aside", "dead_letter")], [1970, 1970])

    def test_nothing_is_dropped_inside_the_retention(self):
        self.assertEqual(self.drop(30), 0)

    def test_a_day_that_something_waits_for_stays_and_goes_later(self):
        self.a.claim([Job(1)], day=day(-20))
        self.a.park(Park(1), day=day(-20))
        self.drop(10)
        for table in ("message", "outcome"):
            self.assertIn(day(-20), self.days(table))
            self.assertNotIn(day(-21), self.days(table))
        self.s.do("delete from postrider.deferred")
        self.drop(10)
        self.assertNotIn(day(-20), self.days("message"))

    def test_making_again_after_dropping_with_one_retention_makes_nothing(self):
        self.drop(10)
        self.assertEqual(self.make(10), 0)


class AtOnce(ledger.RaceCase):
    def names(self):
        return self.s.value("select count(*) from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_namespace n on n.oid = c.relnamespace "
                            "where n.nspname = 'postrider' and c.relkind = 'r'")

    def test_dropping_waits_a_second_at_most_and_leaves_all_as_it_was(self):
        while self.s.value("select postrider.partition_drop_v1(29)"):
            pass
        before = self.names()
        self.x.session.do("begin")
        self.x.session.do("select count(*) from postrider.aside")
        started = time.monotonic()
        self.assertEqual(self.y.session.value("select postrider.partition_drop_v1(28)"), 0)
        self.assertLess(time.monotonic() - started, 8)
        self.assertEqual(self.names(), before)
        self.x.session.do("commit")
        self.assertEqual(self.y.session.value("select postrider.partition_drop_v1(28)"), 1)

    def test_only_one_process_at_a_time_makes_or_drops(self):
        self.x.session.do("begin")
        self.x.session.do("select pg_advisory_xact_lock(7236832, 1)")
        self.assertEqual(self.y.session.value("select postrider.partition_make_v1(30, 9)"), 0)
        self.assertEqual(self.y.session.value("select postrider.partition_drop_v1(1)"), 0)
        self.x.session.do("commit")

    def test_claims_go_on_while_partitions_are_made(self):
        self.x.session.do("begin")
        self.assertGreater(self.x.session.value("select postrider.partition_make_v1(30, 10)"), 0)
        self.assertEqual(self.y.verdict(Job(1)), "send")
        self.y.settle(Out(1))
        self.x.session.do("commit")


if __name__ == "__main__":
    ledger.main()
