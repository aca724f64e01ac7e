#!/usr/bin/env -S python3 -B
"""Plans on a day's partition that was never analysed, which is every day after midnight: each look-up goes by its key."""

import datetime
import json
import tempfile

import ledger
from ledger import (CANCELS_RECIPIENT, CANCELS_SUBJECT, OUT_REJECT, SUPERSEDES_RECIPIENT, SUPERSEDES_SUBJECT, UNKNOWN, Fence, Job, Out,
                    Park)

ROWS = 20_000
DAY = ledger.DAY + datetime.timedelta(days=1)
# Tables that grow with the business; whatever reads one of them must have an index and use it to find the row.
LARGE = {"message": "id", "outcome": "id", "deferred": None, "contact": None, "consent": None, "reach": "contact", "freq": "contact", "fence": "key",
         "aside": None, "dead_letter": None, "control": None, "journal_message": "id"}
FILL = f"""
alter table postrider.message_{DAY:%Y%m%d} set (autovacuum_enabled = off);
alter table postrider.outcome_{DAY:%Y%m%d} set (autovacuum_enabled = off);
insert into postrider.contact (tenant, address, consent) select 1, '+44' || lpad(n::text, 9, '0'), 15 from generate_series(1, {ROWS}) n;
insert into postrider.consent (tenant, contact, category, event, at, is_granted) select 1, c.id, g, gen_random_uuid(), '{ledger.BASE}', true
from postrider.contact c, generate_series(0, 1) g;
insert into postrider.message (tenant, day, id, contact, state, category, gen, owner, epoch, claim_no, pool, sender, part, off, topic, at,
                               event_at, rule, type)
select 1, '{DAY}', gen_random_uuid(), n, 1, 0, 0, 99, 1, n, 1, 1, 0, n, 1, '{ledger.BASE}', '{ledger.BASE}', 'order', 't'
from generate_series(1, {ROWS}) n;
insert into postrider.outcome (tenant, day, id, attempt, kind, code, http, sender, template, latency_ms, at)
select tenant, day, id, 1, 1, 0, 200, 1, 1, 5, at from postrider.message where day = '{DAY}' and owner = 99;
insert into postrider.deferred (tenant, day, id, gen, part, due, is_asleep, reason, since, event_at, contact, category, pool, topic, off,
                                rule, subject, payload)
select 1, '{DAY}', gen_random_uuid(), 1, n % 4, '{ledger.NEVER}', n % 2 = 0, case when n % 2 = 0 then 'quota' else 'rate' end,
       '{ledger.BASE}', '{ledger.BASE}', 10000 + n, n % 3, 1, 1, n, 'cart', 's' || n, 'x' from generate_series(1, {ROWS}) n;
insert into postrider.reach select 1, 1, 1000 + n, 1, null from generate_series(1, {ROWS}) n;
insert into postrider.freq select 1, 1000 + n, 1, array['{ledger.BASE}'::timestamptz], array[gen_random_uuid()] from generate_series(1, {ROWS}) n;
insert into postrider.fence select 1, k, (5000 + n)::text, 'cart', '{ledger.BASE}', 0, gen_random_uuid()
from generate_series(1, {ROWS // 4}) n, generate_series(1, 4) k;
insert into postrider.journal values (99, 1, '{ledger.BASE}');
insert into postrider.journal_message select 99, 1, gen_random_uuid() from generate_series(1, {ROWS}) n;
insert into postrider.control (tenant, kind, target) select 1, 'contact', n::text from generate_series(1, {ROWS}) n;
"""


def nodes(plan):
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def table_of(node):
    """The large table that a node scans, or None."""
    relation = node.get("Relation Name", "")
    name = relation.rsplit("_", 1)[0] if relation[-8:].isdigit() else relation
    return name if name in LARGE else None


def faults(plan):
    """What is wrong with the scans of a plan."""
    for node in nodes(plan):
        table = table_of(node)
        if not table or node["Node Type"] in ("ModifyTable", "LockRows", "Tid Scan"):
            continue  # a Tid Scan reads what another node found
        condition = node.get("Index Cond") or node.get("Recheck Cond", "")
        useless = node.get("Rows Removed by Filter", 0)
        if node["Node Type"] not in ("Index Scan", "Index Only Scan", "Bitmap Heap Scan"):
            yield f"{node['Node Type']} on {table}"
        elif not condition:
            yield f"{table}: {node['Index Name']} is read from end to end"
        elif LARGE[table] and f"({LARGE[table]} = " not in condition:
            yield f"{table}: {condition} does not name the row"
        elif node["Actual Loops"] and node["Actual Rows"] + useless > 1100:
            yield f"{table}: {node['Actual Rows']} rows by {condition}, and {useless} of no use"


class Plans(ledger.RaceCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.s.do("update postrider.quota_pool set people_max = 100")
        cls.s.do("insert into postrider.policy select 1, c, '{1000, 5000}', '{3600, 86400}', '01:00', '02:00' from generate_series(0, 1) c")
        cls.log = tempfile.TemporaryFile()
        cls.addClassCleanup(cls.log.close)
        cls.watched = ledger.Session(cls.conninfo, log=cls.log)
        cls.addClassCleanup(cls.watched.close)
        cls.lane = ledger.Lane(cls.watched, "watched")
        cls.walk(cls.lane, 100)  # plans are made while the partition is empty, as just after midnight, and kept
        for statement in FILL.strip().split(";")[:-1]:
            cls.s.do(statement)

    @classmethod
    def walk(cls, lane, first):
        """Every statement that a lane runs for messages, in batches. First: a number from which ids are new."""
        jobs = [Job(first + n, to=1 + n, category=n % 2, subject=f"s{n}", rule="cart", rank=0) for n in range(50)]
        fences = [Fence(kind, to=60 + k, key=f"f{first + k}", n=first + 500 + k)
                  for k, kind in enumerate((CANCELS_RECIPIENT, CANCELS_SUBJECT, SUPERSEDES_SUBJECT, SUPERSEDES_RECIPIENT) * 5)]
        lane.claim(jobs, fences=fences, day=DAY, other=ledger.DAY, back=[(1, first + 700)])
        lane.claim(jobs, day=DAY, other=ledger.DAY)
        lane.claim([Job(first + 60 + n, to=200 + n) for n in range(3)], day=DAY, other=DAY + datetime.timedelta(days=1))
        part = [j.n for j in jobs]
        lane.settle(*(Out(n) for n in part[:10]), *(Out(n, OUT_REJECT, opt_out=n - first + 1) for n in part[10:14]), day=DAY)
        lane.park(*(Park(n, state=UNKNOWN, reason="unknown", wait_ms=0) for n in part[14:20]), *(Park(n, wait_ms=0) for n in part[20:24]), day=DAY)
        lane.unclaim(*((n, 0) for n in part[24:28]), day=DAY)
        lane.refuse(*((n, 0) for n in part[28:32]), day=DAY)
        cls.second_half(lane, first, part)
        cls.crash(lane, first)

    @classmethod
    def crash(cls, lane, first):
        """A process ends with claims, one of which its journal has, and the lane meets them."""
        jobs = [Job(first + 80 + n, to=210 + n) for n in range(3)]
        key = ledger.uuid.UUID(int=first)
        old = ledger.Lane(lane.session, f"crashed-{first}", journal=key)
        old.claim(jobs, day=DAY)
        again = ledger.Lane(lane.session, old.name, left=(old.owner, old.epoch, key, [jobs[0].n]))
        assert again.took_journal
        lane.claim([Job(j.n, to=j.to) for j in jobs], day=DAY)

    @classmethod
    def second_half(cls, lane, first, part):
        do = lane.session.do
        do(f"select * from postrider.due_v1('{{0,1,2,3}}', '-infinity', '{ledger.uuid.UUID(int=0)}', 1000)")
        lane.claim([Job(n, to=1 + n - first, gen=1, rule="cart") for n in part[14:24]], day=DAY)
        lane.settle(*(Out(n, attempt=2, gen=1) for n in part[20:22]), day=DAY)
        lane.unclaim(*((n, 1) for n in part[22:24]), day=DAY)
        do(f"select postrider.receipt_v1(1, '{DAY}', '{ledger.message_id(part[14])}', 1, 'w')")
        do(f"select postrider.resolve_unknown_v1(1, '{DAY}', '{ledger.message_id(part[15])}', 'resend')")
        do(f"select postrider.dead_v1('{ledger.BASE}', 1::smallint, 2, {first}, 'x', '', null, 'x', '{{}}', '{{}}', 't', 1, '{DAY}', "
           f"'{ledger.message_id(part[22])}', 1, 0, 0, 0)")
        letter = f"'{DAY}', 1::smallint, 2, {first}"
        arrays = f"array['{DAY}'::date], array[1::smallint], array[2], array[{first}::bigint]"
        do(f"select postrider.redrive_v1({letter}, 'x', 3)")
        do(f"select postrider.redriven_v1({arrays})")
        do(f"select postrider.purge_v1({arrays})")
        do(f"select postrider.release_v1(1, 1, '{{3}}', array['{ledger.message_id(part[2])}']::uuid[])")
        do(f"select postrider.consent_v1(1, '{ledger.address(90)}', '{ledger.message_id(first)}', 15::smallint, false, null, '', '', '')")
        do((ledger.env.ROOT / "schema/queries/wake.sql").read_text())
        xmin = do("select pg_snapshot_xmin(pg_current_snapshot())")
        do((ledger.env.ROOT / "schema/queries/control.sql").read_text().replace("$1", f"'{xmin}'"))

    def plans_of(self, session, lane, first):
        """Runs all statements once more and returns (statement, plan) of everything that was planned and run inside."""
        session.do("load 'auto_explain'")
        for name, value in (("log_min_duration", 0), ("log_nested_statements", "on"), ("log_analyze", "on"), ("log_timing", "off"),
                            ("log_format", "json")):
            session.do(f"set auto_explain.{name} = {value}")
        start = self.log.seek(0, 2)
        session.do("set client_min_messages = log")
        self.walk(lane, first)
        session.do("set client_min_messages = error")
        self.log.seek(start)
        found = []
        for text in self.log.read().decode().split("LOG:  duration:")[1:]:
            entry, _ = json.JSONDecoder().raw_decode(text[text.index("{"):])
            found.append((" ".join(entry["Query Text"].split())[:120], entry["Plan"], "JIT" in entry))
        return found

    def check(self, plans):
        seen = {table_of(node) for _, plan, _ in plans for node in nodes(plan)} - {None}
        self.assertEqual(seen, set(LARGE) - {"aside"})
        wrong = sorted({f"{fault}   in: {statement}" for statement, plan, _ in plans for fault in faults(plan)})
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong))
        self.assertEqual([statement for statement, _, is_compiled in plans if is_compiled], [])

    def test_plans_made_while_the_partition_was_empty_stay_good(self):
        self.check(self.plans_of(self.watched, self.lane, 300_000))

    def test_plans_made_on_a_filled_partition_without_statistics_are_good(self):
        session = ledger.Session(self.conninfo, log=self.log)
        self.addCleanup(session.close)
        self.check(self.plans_of(session, ledger.Lane(session, "fresh"), 400_000))

    def test_plans_of_a_statement_that_has_been_run_many_times_are_good(self):
        """From the sixth run on PostgreSQL may choose another kind of plan."""
        session = ledger.Session(self.conninfo, log=self.log)
        self.addCleanup(session.close)
        lane = ledger.Lane(session, "worn")
        for turn in range(7):
            self.walk(lane, 500_000 + 1000 * turn)
        self.check(self.plans_of(session, lane, 600_000))

    def test_without_a_policy_nobody_looks_at_hits_or_zones(self):
        session = ledger.Session(self.conninfo, log=self.log)
        self.addCleanup(session.close)
        session.do("begin; delete from postrider.policy")
        plans = self.plans_of(session, ledger.Lane(session, "free"), 700_000)
        self.assertNotIn("freq", {table_of(node) for _, plan, _ in plans for node in nodes(plan)})
        self.assertEqual([statement for statement, _, _ in plans if "quiet_there" in statement or ".zone" in statement], [])
        session.do("rollback")


if __name__ == "__main__":
    ledger.main()
