#!/usr/bin/env -S python3 -B
"""Roles: a dispatcher can do its work, a webhook settles receipts, a dashboard sees the capacity views and nothing else."""

import uuid

import ledger
from ledger import Job, Out, Park, after


class RoleCase(ledger.Case):
    def become(self, role):
        self.s.do(f"set local role postrider_{role}")

    def denied(self, sql):
        self.assertEqual(self.s.fails(sql), "42501", sql)

    def tables(self, schema="postrider"):
        return [r["name"] for r in self.s.rows(
            f"select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace "
            f"where n.nspname = '{schema}' and c.relkind in ('r', 'p', 'v') and not c.relispartition order by 1")]

    def granted(self, role, right):
        return [t for t in self.tables() if self.s.value(f"select has_table_privilege('postrider_{role}', 'postrider.{t}', '{right}')")]


class Dispatcher(RoleCase):
    def test_it_claims_settles_and_defers(self):
        self.become("dispatcher")
        lane = ledger.Lane(self.s, "d")
        self.set_pool_as_owner()
        jobs = [Job(n, to=n) for n in range(1, 6)]
        fences = [ledger.Fence(ledger.CANCELS_RECIPIENT, to=9, n=1)]
        self.assertEqual(lane.verdicts(jobs, fences=fences), ["send"] * 4 + ["defer"])
        lane.settle(Out(1), Out(2, ledger.OUT_REJECT, opt_out=2))
        lane.unclaim((3, 0))
        lane.refuse((4, 0))
        self.assertEqual(lane.park(Park(5, reason="quota")), [5])
        self.assertEqual(lane.verdict(Job(6, to=6), back=[(2, 2)], day=ledger.DAY, other=after(days=1).date()), "send")
        self.s.do(f"select postrider.release_v1(1, 1, '{{4}}', array['{ledger.message_id(4)}']::uuid[])")
        self.s.do((ledger.env.ROOT / "schema/queries/wake.sql").read_text())
        self.assertEqual(self.due(), [5])

    def set_pool_as_owner(self):
        self.s.do("reset role")
        self.set_pool(4)
        self.become("dispatcher")

    def test_it_writes_what_has_no_message_and_what_is_dead(self):
        self.become("dispatcher")
        self.s.do(f"select postrider.aside_v1(array['{ledger.BASE}']::timestamptz[], '{{1}}', '{{2}}', '{{3}}', '{{refused}}', '{{no_rule}}', "
                  "'{1}', '{t}', '{null}')")
        self.s.do(f"select postrider.dead_v1('{ledger.BASE}', 1::smallint, 2, 4, 'too_deep', '', null, 'x', '{{}}', '{{}}', 't', 1, null, null, 0, 0, 0, 0)")
        self.assertEqual((self.count("aside"), self.count("dead_letter")), (1, 1))

    def test_it_redrives_and_purges(self):
        self.a.claim([Job(1, part=2, off=17)])
        self.a.park(Park(1))
        self.become("dispatcher")
        self.s.do(f"select postrider.dead_v1('{ledger.BASE}', 1::smallint, 2, 17, '22P02', '', null, 'x', '{{}}', '{{}}', 't', 1, '{ledger.DAY}', "
                  f"'{ledger.message_id(1)}', 1, 0, 0, 0)")
        self.assertEqual(self.s.value(f"select postrider.redrive_v1('{ledger.DAY}', 1::smallint, 2, 17, 'x', 3)"), "redriven")
        keys = f"array['{ledger.DAY}'::date], '{{1}}', '{{2}}', '{{17}}'"
        self.assertEqual(self.s.value("select state from postrider.letter"), "redriven")
        self.assertEqual([self.s.value(f"select postrider.{f}_v1({keys})") for f in ("redriven", "purge")], [0, 1])

    def test_it_applies_control_events_and_reads_control(self):
        self.become("dispatcher")
        for kind in (1, 2, 3):
            self.s.do(f"select postrider.apply_event_v1({kind}, 1, '+1555{kind}', '{uuid.UUID(int=kind)}', '{ledger.BASE}', 15::smallint, 'SMS', '', "
                      f"'', 'pt_BR', null, null, '{ledger.BASE}', 1::smallint, 2, {kind}, 't')")
        self.s.rows((ledger.env.ROOT / "schema/queries/control.sql").read_text().replace("$1", "'1'"))
        self.assertEqual(self.count("aside"), 3)

    def test_it_reads_the_book_and_writes_roll_ups(self):
        self.become("dispatcher")
        self.assertGreater(len(self.s.rows((ledger.env.ROOT / "schema/queries/book.sql").read_text())), 0)
        sql = (ledger.env.ROOT / "schema/queries/rollup.sql").read_text()
        for name, value in (("$1", "1"), ("$2", "0::smallint"), ("$3", "'{1}'"), ("$4", "'{1}'"), ("$5", "'{1}'"), ("$6", "'{0}'"),
                            ("$7", "'{sent}'"), ("$8", "array['']"), ("$9", "'{5}'")):
            sql = sql.replace(name, value)
        self.s.do(sql)
        self.s.do(sql)
        self.assertEqual(self.s.value("select n from postrider.stat_minute"), 10)

    def test_it_keeps_its_lease_and_its_topics(self):
        self.become("dispatcher")
        lane = ledger.Lane(self.s, "d")
        self.assertEqual(len(self.s.rows(f"select * from postrider.instance_beat_v1({lane.owner}, {lane.epoch}, 15000)")), 1)
        self.s.do(f"select postrider.instance_stop_v1({lane.owner}, {lane.epoch})")
        self.assertEqual(len(self.s.rows("select * from postrider.topic_v1('postrider.new', 4)")), 1)

    def test_it_makes_and_drops_partitions_without_owning_them_and_uses_the_new_ones(self):
        self.become("dispatcher")
        self.assertGreater(self.s.value("select postrider.partition_make_v1(30, 9)"), 0)
        self.assertEqual(self.s.value("select postrider.partition_drop_v1(20)"), 1)
        lane = ledger.Lane(self.s, "d")
        self.assertEqual(lane.verdict(Job(1), day=after(days=9).date()), "send")
        lane.settle(Out(1), day=after(days=9).date())

    def test_it_cannot_change_the_schema(self):
        self.become("dispatcher")
        for sql in ("drop table postrider.message", "alter table postrider.contact add x int", "create table postrider.mine (n int)",
                    "create or replace function postrider.clock() returns timestamptz language sql as 'select now()'"):
            self.denied(sql)


class Webhook(RoleCase):
    def test_it_settles_receipts(self):
        self.a.claim([Job(1), Job(2, to=2)])
        self.a.park(Park(1, state=ledger.UNKNOWN, reason="unknown", attempt=1))
        self.become("webhook")
        for n, settles in ((1, True), (2, False)):
            self.assertEqual(self.s.value(f"select postrider.receipt_v1(1, '{ledger.DAY}', '{ledger.message_id(n)}', 1, 'w')"), settles)
        self.s.do("reset role")
        self.assertEqual((self.fate(1), self.fate(2)), ("sent", "sent"))

    def test_it_changes_only_what_a_receipt_changes(self):
        self.assertEqual(self.granted("webhook", "update"), ["message", "outcome", "sender"])
        self.assertEqual(self.granted("webhook", "insert"), ["control", "outcome"])
        self.assertEqual(self.granted("webhook", "delete"), ["deferred"])

    def test_it_redrives_and_purges_nothing(self):
        keys = f"array['{ledger.DAY}'::date], '{{1}}', '{{2}}', '{{17}}'"
        self.a.claim([Job(1, part=2, off=17)])
        self.a.park(Park(1))
        self.s.do(f"select postrider.dead_v1('{ledger.BASE}', 1::smallint, 2, 17, '22P02', '', null, 'x', '{{}}', '{{}}', 't', 1, '{ledger.DAY}', "
                  f"'{ledger.message_id(1)}', 1, 0, 0, 0)")
        self.become("webhook")
        self.denied(f"select postrider.redrive_v1('{ledger.DAY}', 1::smallint, 2, 17, 'x', 3)")
        for function in ("redriven", "purge"):
            self.denied(f"select postrider.{function}_v1({keys})")

    def test_it_cannot_drop_the_ledger(self):
        self.become("webhook")
        self.denied("select postrider.partition_drop_v1(0)")


class Dashboard(RoleCase):
    def test_it_sees_the_capacity_views(self):
        self.a.claim([Job(1), Job(2, to=2)])
        self.s.do("insert into postrider.stat_minute values (29000000, 1, 1, 0, 'sent', '', 1, 0, 3), (29000000, 1, 1, 0, 'sent', '', 2, 0, 4)")
        self.become("dashboard")
        self.assertEqual(self.s.row("select tenant, portfolio, people_max, people_now from capacity.pool where portfolio = 'first'"),
                         {"tenant": "aurora", "portfolio": "first", "people_max": 10, "people_now": 2})
        self.assertEqual(self.s.row("select tenant, sender, category, fate, n from capacity.minute"),
                         {"tenant": "aurora", "sender": "main", "category": "utility", "fate": "sent", "n": 7})
        self.assertEqual({r["name"]: r["is_alive"] for r in self.s.rows("select name, is_alive from capacity.dispatcher")}, {"a": True, "b": True})

    def test_it_sees_nothing_else(self):
        self.assertEqual([self.granted("dashboard", right) for right in ("select", "insert", "update", "delete")], [[]] * 4)
        self.become("dashboard")
        for table in ("message", "contact", "fate", "consent", "control"):
            self.denied(f"select * from postrider.{table}")
        self.denied("select postrider.partition_drop_v1(0)")

    def test_no_view_shows_an_address(self):
        columns = self.s.rows("select table_name, column_name from information_schema.columns where table_schema = 'capacity'")
        self.assertGreater(len(columns), 10)
        self.assertEqual([c for c in columns if c["column_name"] in ("address", "contact", "secret", "account", "payload")], [])


class Everybody(RoleCase):
    def test_functions_that_run_as_their_owner_trust_no_search_path(self):
        found = self.s.rows("select p.proname, p.proconfig from pg_proc p join pg_namespace n on n.oid = p.pronamespace "
                            "where n.nspname = 'postrider' and p.prosecdef order by 1")
        self.assertEqual([f["proname"] for f in found], ["partition_drop_v1", "partition_make_v1"])
        for function in found:
            self.assertIn("search_path=pg_catalog, pg_temp", function["proconfig"])

    def test_nothing_in_the_functions_needs_a_search_path(self):
        """Every name is qualified: all of the dispatcher's calls work with an empty one."""
        self.s.do("set local search_path = ''")
        self.assertEqual(self.a.verdict(Job(1)), "send")
        self.a.settle(Out(1, opt_out=1))
        self.a.claim([Job(2, to=2)])
        self.a.park(Park(2))
        self.assertEqual(self.due(after(minutes=5)), [2])


if __name__ == "__main__":
    ledger.main()
