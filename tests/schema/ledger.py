"""The schema in a real PostgreSQL, the clock in a table, and the calls that a lane makes: what the tests of this folder stand on.

One server serves all tests of a process. A Case runs in one transaction that is rolled back; a RaceCase has a database of its own, for tests
with several connections. POSTRIDER_TEST_PG may name a server that runs already. PR_BUILD_DIR says where `postrider` is; when it is not
there the SQL files are loaded as they stand in the tree.
"""

import atexit
import copy
import dataclasses
import datetime
import itertools
import json
import os
import pathlib
import select
import subprocess
import sys
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import env  # noqa: E402

UTC = datetime.timezone.utc
DAY = datetime.datetime.now(UTC).date()
BASE = datetime.datetime.combine(DAY, datetime.time(10), UTC)  # where the injected clock starts
NEVER = datetime.datetime(9999, 1, 1, tzinfo=UTC)

UTILITY, MARKETING, AUTHENTICATION, SERVICE = range(4)
# core/verdict.h
CLAIMED, UNCLAIMED, DEFERRED, UNKNOWN, REDRIVEN, ACCEPTED, REFUSED, CANCELLED, SUPERSEDED, DEAD, SHADOW = range(1, 12)
VERDICTS = {1: "send", 2: "duplicate", 3: "refused", 4: "cancelled", 5: "superseded", 6: "defer", 7: "held", 8: "orphan", 9: "waiting",
            10: "no_row"}
# postrider.outcome.kind
OUT_ACCEPTED, OUT_RETRY, OUT_DEFER, OUT_REJECT, OUT_STOP_TEMPLATE, OUT_STOP_SENDER, OUT_UNKNOWN = range(1, 8)
# postrider.fence.kind
CANCELS_RECIPIENT, CANCELS_SUBJECT, SUPERSEDES_SUBJECT, SUPERSEDES_RECIPIENT = range(1, 5)

PEOPLE = 400
SETUP = f"""
create schema injected;
create table injected.clock (at timestamptz not null);
insert into injected.clock values ('{BASE.isoformat()}');
grant usage on schema injected to public;
grant select on injected.clock to public;
create or replace function postrider.clock() returns timestamptz language sql volatile parallel safe as 'select at from injected.clock';
insert into postrider.tenant (name, display_name) values ('aurora', 'Loja Aurora'), ('boreal', 'Boreal');
insert into postrider.quota_pool (tenant, name, tier, people_max) values (1, 'first', 'T', 10), (1, 'second', 'T', 10);
insert into postrider.sender (tenant, name, pool, provider, address, account, rate, secret)
values (1, 'main', 1, 'cloud-api', '+551140000001', '1', 80, 's'), (1, 'other', 2, 'cloud-api', '+551140000002', '2', 80, 's');
insert into postrider.contact (tenant, address, consent)
select 1, '+5511' || lpad(n::text, 9, '0'), 15 from generate_series(1, {PEOPLE}) n order by n;
insert into postrider.topic (name, partitions) values ('postrider.events', 4);
"""


class SqlError(Exception):
    """What PostgreSQL refused."""

    def __init__(self, state, message):
        super().__init__(f"{state}: {message}")
        self.state = state


def literal(value):
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    if isinstance(value, datetime.datetime):
        value = value.isoformat()
    return "'" + str(value).replace("'", "''") + "'"


def array(kind, values):
    return f"array[{','.join(map(literal, values))}]::{kind}[]"


def message_id(n):
    """The id of message n: greater for a greater n, as keys are ordered."""
    return uuid.UUID(int=(n << 80) | 0x8000_8000_0000_0000_0000)


def address(n):
    """Contact n of the set-up has this address."""
    return f"+5511{n:09d}"


def after(**delta):
    return BASE + datetime.timedelta(**delta)


def instant(text):
    """A timestamptz of a row."""
    return datetime.datetime.fromisoformat(text)


class Session:
    """One connection: a psql that stays. `send` does not wait, `receive` does, so that a test can hold several at a point."""

    def __init__(self, conninfo, log=subprocess.DEVNULL):
        self.psql = subprocess.Popen(["psql", "-XqAt", "-d", conninfo], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                                     env={**os.environ, "PGTZ": "UTC", "PGOPTIONS": "-c jit=off"})  # compiling plans over all days takes seconds
        self.sent = self.received = 0
        self.buffer = b""
        self.pid = int(self.do("select pg_backend_pid()"))

    def close(self):
        self.psql.stdin.close()
        self.psql.stdout.close()
        self.psql.wait()

    def send(self, sql):
        self.sent += 1
        text = f"\\set LAST_ERROR_SQLSTATE 00000\n{sql.strip().rstrip(';')};\n\\echo :{self.sent}: :LAST_ERROR_SQLSTATE :LAST_ERROR_MESSAGE\n"
        self.psql.stdin.write(text.encode())
        self.psql.stdin.flush()

    def is_done(self, seconds=0.0):
        """Whether the oldest answer that was not received is there, after waiting at most so long."""
        mark = f":{self.received + 1}: ".encode()
        end = time.monotonic() + seconds
        while not (self.buffer.startswith(mark) or b"\n" + mark in self.buffer) or not self.buffer.endswith(b"\n"):
            if not select.select([self.psql.stdout], [], [], max(0.0, end - time.monotonic()))[0]:
                return False
            read = os.read(self.psql.stdout.fileno(), 1 << 20)
            if not read:
                raise AssertionError("psql ended")
            self.buffer += read
        return True

    def receive(self, seconds=20.0):
        """The answer's lines as one text; raises what PostgreSQL raised."""
        if not self.is_done(seconds):
            raise AssertionError(f"no answer within {seconds} s")
        self.received += 1
        before, mark, rest = (b"\n" + self.buffer).partition(f"\n:{self.received}: ".encode())
        end, _, self.buffer = rest.partition(b"\n")
        state, _, message = end.decode().partition(" ")
        if state != "00000":
            raise SqlError(state, message)
        return before[1:].decode()

    def do(self, sql):
        self.send(sql)
        return self.receive()

    def fails(self, sql):
        """Runs a statement that must fail inside the transaction, which goes on; the SQLSTATE."""
        self.do("savepoint failing")
        try:
            self.do(sql)
        except SqlError as error:
            self.do("rollback to savepoint failing")
            return error.state
        raise AssertionError(f"did not fail: {sql[:300]}")

    def send_rows(self, query):
        self.send(f"select row_to_json(q) from ({query}) q")

    def receive_rows(self):
        return [json.loads(line) for line in self.receive().splitlines()]

    def rows(self, query):
        """A query's rows as dictionaries."""
        self.send_rows(query)
        return self.receive_rows()

    def row(self, query):
        """The one row, or None."""
        found = self.rows(query)
        if len(found) > 1:
            raise AssertionError(f"{len(found)} rows: {query}")
        return found[0] if found else None

    def value(self, query):
        """The one value of the one row."""
        return next(iter(self.row(query).values()))

    def set_clock(self, at):
        self.do(f"update injected.clock set at = {literal(at)}")


numbers = itertools.count(1000)


@dataclasses.dataclass
class Job:
    """One entry of a claim. `to`: the number of a contact, or an address."""
    n: int
    to: object = 1
    gen: int = 0
    no: int = dataclasses.field(default_factory=lambda: next(numbers))
    category: int = UTILITY
    rule: str = "order"
    type: str = "order.confirmed"
    subject: str | None = None
    rank: int = -1
    event_at: datetime.datetime = BASE
    not_before: datetime.datetime | None = None
    expiry: datetime.datetime | None = None
    sender: int = 1
    refusal: str | None = None
    hold: datetime.datetime | None = None
    hold_reason: str | None = None
    topic: int = 1
    part: int = 0
    off: int | None = None

    def address(self):
        return address(self.to) if isinstance(self.to, int) else self.to


@dataclasses.dataclass
class Fence:
    """What a cancelling or superseding event leaves. `n`: the message of that event."""
    kind: int
    grp: str = "cart"
    to: int = 1
    key: str | None = None
    at: datetime.datetime = BASE
    rank: int = 0
    n: int = 900_000


@dataclasses.dataclass
class Park:
    n: int
    gen: int = 0
    state: int = DEFERRED
    orphan: bool = False
    reason: str = "rate"
    due: datetime.datetime | None = None
    wait_ms: int = 60_000
    expiry: datetime.datetime | None = None
    since: datetime.datetime | None = None
    kafka_at: datetime.datetime | None = BASE
    attempt: int = 0
    tries: int = 0
    waited_ms: int = 0
    payload: bytes = b"record"


@dataclasses.dataclass
class Out:
    """One attempt's end."""
    n: int
    kind: int = OUT_ACCEPTED
    attempt: int = 1
    gen: int = 0
    code: int = 0
    reason: str | None = None
    opt_out: int = 0


@dataclasses.dataclass
class Answer:
    ord: int
    verdict: str
    reason: str | None
    until: str | None
    contact: int
    attempt: int
    tries: int
    resends: int
    in_window: bool
    known: tuple


def _claim_sql(jobs, fences, back, scalars):
    def col(kind, get):
        return array(kind, [get(j) for j in jobs])

    def fence(kind, get):
        return array(kind, [get(f) for f in fences])
    columns = [
        col("uuid", lambda j: message_id(j.n)), col("int", lambda j: j.gen), col("bigint", lambda j: j.no), col("text", Job.address),
        *(col(kind, lambda j, name=name: getattr(j, name)) for kind, name in (
            ("smallint", "category"), ("text", "rule"), ("text", "type"), ("text", "subject"), ("int", "rank"), ("timestamptz", "event_at"),
            ("timestamptz", "not_before"), ("timestamptz", "expiry"), ("int", "sender"), ("text", "refusal"), ("timestamptz", "hold"),
            ("text", "hold_reason"), ("smallint", "topic"), ("int", "part"))),
        col("bigint", lambda j: j.n if j.off is None else j.off),
        fence("smallint", lambda f: f.kind), fence("text", lambda f: address(f.to)), fence("text", lambda f: f.key),
        fence("text", lambda f: f.grp), fence("timestamptz", lambda f: f.at), fence("int", lambda f: f.rank),
        fence("uuid", lambda f: message_id(f.n)),
        array("bigint", [contact for contact, _ in back]), array("uuid", [message_id(n) for _, n in back])]
    return f"select * from postrider.claim_v1({', '.join([*map(literal, scalars), *columns])})"


class Lane:
    """A dispatcher's process as the database sees it, and its statements over a session. Batches are sorted as the gate's are."""

    def __init__(self, session, name, lease_s=3600, journal=None, left=None):
        """journal: the key of the journal that it keeps. left: what the journal of the one before says: (owner, epoch, key, numbers of messages)."""
        self.session, self.name, self.journal = session, name, journal
        self.numbers = {}  # of the last claim of each message
        owner, epoch, key, numbers = left or (None, None, None, [])
        started = session.row(f"select * from postrider.instance_start_v1('{name}', 'host', {lease_s * 1000}, {literal(journal)}, {literal(owner)}, "
                              f"{literal(epoch)}, {literal(key)}, {array('uuid', map(message_id, numbers))})")
        self.owner, self.epoch, self.took_journal = started["id"], started["epoch"], started["is_journal_taken"]

    def another_lane(self):
        """Of the same process."""
        other = copy.copy(self)
        other.numbers = {}
        return other

    def die(self):
        """Its lease ends."""
        self.session.do(f"update postrider.instance set lease_until = clock_timestamp() - interval '1 s' where id = {self.owner}")

    def claim_sql(self, jobs=(), fences=(), back=(), day=DAY, other=None, pool=1):
        self.numbers.update({j.n: j.no for j in jobs})
        return _claim_sql(sorted(jobs, key=lambda j: j.n), fences, back, (1, day, other or day, pool, self.owner, self.epoch))

    def send_claim(self, jobs=(), **more):
        self.session.send_rows(self.claim_sql(jobs, **more))

    def receive_claim(self):
        """Answers in the order of ids."""
        rows = self.session.receive_rows()
        return [Answer(r["ord"], VERDICTS.get(r["verdict"], f"invalid {r['verdict']}"), r["reason"], r["until"], r["contact"], r["attempt"],
                       r["tries"], r["resends"], r["in_window"], (r["known_topic"], r["known_part"], r["known_off"]))
                for r in sorted(rows, key=lambda r: r["ord"])]

    def claim(self, jobs=(), **more):
        self.send_claim(jobs, **more)
        return self.receive_claim()

    def verdicts(self, jobs, **more):
        return [a.verdict for a in self.claim(jobs, **more)]

    def verdict(self, job, **more):
        return self.verdicts([job], **more)[0]

    def park_sql(self, *parks, day=DAY):
        def col(kind, get):
            return array(kind, [get(p) for p in parks])
        columns = [col("uuid", lambda p: message_id(p.n)), *(col(kind, lambda p, name=name: getattr(p, name)) for kind, name in (
            ("int", "gen"), ("smallint", "state"), ("boolean", "orphan"), ("text", "reason"), ("timestamptz", "due"), ("bigint", "wait_ms"),
            ("timestamptz", "expiry"), ("timestamptz", "since"), ("timestamptz", "kafka_at"), ("int", "attempt"), ("int", "tries"),
            ("bigint", "waited_ms"), ("bytea", "payload")))]
        return f"select id from postrider.park_v1(1, {literal(day)}, {self.owner}, {self.epoch}, {', '.join(columns)}, {self._claims(p.n for p in parks)})"

    def _claims(self, numbers):
        return array("bigint", [self.numbers.get(n, 0) for n in numbers])

    def park(self, *parks, day=DAY):
        """Returns the numbers of those that were parked."""
        return sorted(uuid.UUID(r["id"]).int >> 80 for r in self.session.rows(self.park_sql(*parks, day=day)))

    def settle_sql(self, *outs, day=DAY):
        def col(kind, get):
            return array(kind, [get(o) for o in outs])
        columns = [col("uuid", lambda o: message_id(o.n)), col("int", lambda o: o.attempt), col("smallint", lambda o: o.kind),
                   col("int", lambda o: o.code), col("smallint", lambda o: 200), col("int", lambda o: 1), col("int", lambda o: 1),
                   col("int", lambda o: 50), col("text", lambda o: o.reason), col("text", lambda o: f"wamid.{o.n}"), col("int", lambda o: o.gen),
                   col("bigint", lambda o: o.opt_out)]
        return f"select postrider.settle_v1(1, {literal(day)}, {', '.join(columns)})"

    def settle(self, *outs, day=DAY):
        self.session.do(self.settle_sql(*outs, day=day))

    def unclaim(self, *works, day=DAY):
        """Each work is a pair of number and gen."""
        ids, gens = array("uuid", [message_id(n) for n, _ in works]), array("int", [gen for _, gen in works])
        self.session.do(f"select postrider.unclaim_v1(1, {literal(day)}, {self.owner}, {self.epoch}, {ids}, {gens}, {self._claims(n for n, _ in works)})")

    def refuse(self, *works, reason="missing_parameter", day=DAY):
        ids, gens = array("uuid", [message_id(n) for n, _ in works]), array("int", [gen for _, gen in works])
        reasons = array("text", [reason] * len(works))
        self.session.do(f"select postrider.refuse_v1(1, {literal(day)}, {self.owner}, {self.epoch}, {ids}, {gens}, {reasons}, {self._claims(n for n, _ in works)})")


class Server:
    """The one PostgreSQL of this process, with the schema in the database `postrider`, which nobody stays connected to."""

    def __init__(self):
        self.conninfo = os.environ.get("POSTRIDER_TEST_PG")
        self.env = None
        if not self.conninfo:
            self.env = env.Env()
            atexit.register(self.env.close)
            # Nothing here crashes, and these tests must not wait for a busy disk.
            self.conninfo = self.env.postgres(fsync="off", full_page_writes="off").conninfo
        self.clones = itertools.count(1)
        self.base = f"ledger_{os.getpid()}"  # a server that was given to us may have one from before
        self._run("-c", f"create database {self.base}", database="postgres")
        self._load()
        self._run("-c", SETUP)

    def _run(self, *arguments, database=None):
        done = subprocess.run(["psql", "-Xq", "-v", "ON_ERROR_STOP=1", "-d", self.in_database(database or self.base), *arguments],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"psql: {done.stderr}")

    def _load(self):
        try:
            program = env.program("postrider")
        except unittest.SkipTest:
            self._load_files()
            return
        done = subprocess.run([program, "migrate", "--db", self.in_database(self.base)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"postrider migrate: {done.stdout}\n{done.stderr}")

    def _load_files(self):
        files = [f for folder in ("migrations", "functions", "views") for f in sorted((env.ROOT / "schema" / folder).glob("*.sql"))]
        roles = "".join(f"do $$ begin create role postrider_{r} nologin; exception when duplicate_object then null; end $$;"
                        for r in ("dispatcher", "webhook", "dashboard"))
        self._run("-c", roles, "-c", "create schema postrider",
                  *itertools.chain.from_iterable(("-c", "set check_function_bodies = off", "-f", str(f)) for f in files),
                  "-c", "select postrider.partition_make_v1(30, 7)")

    def in_database(self, name):
        kept = [word for word in self.conninfo.split() if not word.startswith("dbname=")]
        return " ".join([*kept, f"dbname={name}"])

    def clone(self):
        """A new database with the schema and the set-up; its conninfo."""
        name = f"{self.base}_{next(self.clones)}"
        self._run("-c", f"create database {name} template {self.base}", database="postgres")
        return self.in_database(name)


_shared = {}


def server():
    if "server" not in _shared:
        _shared["server"] = Server()
    return _shared["server"]


class Helpers:
    """Looks at rows over `self.s`."""

    def message(self, n, day=DAY):
        return self.s.row(f"select * from postrider.message where tenant = 1 and day = '{day}' and id = '{message_id(n)}'")

    def state(self, n, day=DAY):
        return self.message(n, day)["state"]

    def deferred(self, n):
        """Its waiting row, or None."""
        return self.s.row(f"select * from postrider.deferred where id = '{message_id(n)}'")

    def fate(self, n):
        return self.s.value(f"select fate from postrider.fate where tenant = 1 and day = '{DAY}' and id = '{message_id(n)}'")

    def outcomes(self, n):
        return self.s.rows(f"select * from postrider.outcome where id = '{message_id(n)}' order by attempt")

    def count(self, table):
        return self.s.value(f"select count(*) from postrider.{table}")

    def set_pool(self, people_max, reserve_pct=0, pool=1):
        self.s.do(f"update postrider.quota_pool set people_max = {literal(people_max)}, reserve_pct = {reserve_pct} where id = {pool}")

    def set_message(self, n, assignments):
        self.s.do(f"update postrider.message set {assignments} where id = '{message_id(n)}'")

    def receipts_arrive(self, at=BASE):
        self.s.do(f"update postrider.sender set receipt_at = {literal(at)}")

    def due(self, at=None):
        """Numbers of the rows that a lane would read now, in its order."""
        if at:
            self.s.set_clock(at)
        rows = self.s.rows(f"select id from postrider.due_v1('{{0,1,2,3}}', '-infinity', '{uuid.UUID(int=0)}', 1000)")
        return [uuid.UUID(r["id"]).int >> 80 for r in rows]

    def reached(self):
        """People that the pool counts now, twice: by its buckets and by its set."""
        counts = self.s.row("select postrider.pool_used_v1(1, 1, q.last_minute::int) as used, (select count(*) from postrider.reach r "
                            "where r.pool = 1 and r.minute > q.last_minute - postrider.slot_minutes()) as people "
                            "from postrider.quota_pool q where q.id = 1")
        self.assertEqual(counts["used"], counts["people"], "buckets and set differ")
        return counts["used"]


class Case(Helpers, unittest.TestCase):
    """A test in one transaction; two processes a and b, both alive."""

    @classmethod
    def setUpClass(cls):
        if "session" not in _shared:
            _shared["session"] = Session(server().clone())
            atexit.register(_shared["session"].close)
        cls.s = _shared["session"]

    def setUp(self):
        self.s.do("begin")
        self.addCleanup(self.s.do, "rollback")
        self.a, self.b = Lane(self.s, "a"), Lane(self.s, "b")


class RaceCase(Helpers, unittest.TestCase):
    """Tests of several connections in a database of their own: s looks, x and y are lanes with a connection each."""

    @classmethod
    def setUpClass(cls):
        cls.conninfo = server().clone()
        cls.s = cls.open()
        cls.x, cls.y = Lane(cls.open(), "x"), Lane(cls.open(), "y")

    @classmethod
    def open(cls):
        session = Session(cls.conninfo)
        cls.addClassCleanup(session.close)
        return session

    def tearDown(self):
        for session in (self.x.session, self.y.session):
            session.do("rollback")  # a failed test may have left one open; a warning otherwise

    def wait_blocked(self, session):
        """Waits until the session's statement waits for a lock."""
        env.wait_until(lambda: self.s.value(f"select coalesce(max(wait_event_type), '') from pg_stat_activity where pid = {session.pid}") == "Lock",
                       10, "the statement waits for a lock", 0.005)


main = env.main
