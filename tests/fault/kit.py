"""The matrix's kit: servers that all rows share, a Field for each row, the count at its end, and the line that says it.

A row is a function of one Field in a file NAME_rows.py:

    @row("kill-random", heard=True)
    def kill_at_random(f):
        victim = f.start("d1")
        f.load(300)
        f.wait_wire()
        f.kill(victim)
        f.start("d1")
        f.rounds += 1

What a row leaves is waited for and counted by the kit (Field.end). A row that fails says why, and the matrix goes on.
"""

import collections
import contextlib
import dataclasses
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import threading
import time
import traceback
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "integration"))
import offsets  # noqa: E402
import road  # noqa: E402
from road import PARTITIONS, callback, env, event  # noqa: E402

sys.path.insert(0, str(env.SUPPORT))
import receipts  # noqa: E402

LEAST = 20  # a kill counts only with so many requests on the wire
RECONCILE_S = 10  # the shortest that dispatch.reconcile_window may be
SECRET = "app-secret"
FULL = bool(os.environ.get("PR_FULL"))

# What all dispatchers of the matrix run with; a row may say otherwise.
OPTIONS = {"dispatch__in_flight": 100, "dispatch__claim_ahead": 50, "dispatch__lease": "6s", "dispatch__heartbeat": "200ms",
           "dispatch__reconcile_window": f"{RECONCILE_S}s", "dispatch__window": 256,
           "kafka__session.timeout.ms": 2000, "kafka__heartbeat.interval.ms": 300,
           # Back soon after a fault, not after librdkafka's ten seconds and its minute.
           "kafka__reconnect.backoff.max.ms": 1000, "kafka__socket.timeout.ms": 6000}
KAFKA = {"auto_create_topics_enable": "true", "num_partitions": PARTITIONS, "group_min_session_timeout_ms": 1000,
         "broker_session_timeout_ms": 6000, "broker_heartbeat_interval_ms": 1000}


@dataclasses.dataclass
class Row:
    """One line of the matrix."""

    name: str
    group: str
    run: object
    heard: bool
    brokers: int
    exercises: tuple


ROWS = {}


def row(name, heard=False, brokers=1, exercises=()):
    """Registers a row. `heard`: the platform's receipts arrive, so what is unknown may be resent; `brokers`: 1 or 3;
    `exercises`: names of fault points that it strikes at."""
    def register(function):
        group = function.__module__.removesuffix("_rows")
        if name in ROWS:
            raise ValueError(f"two rows are called {name}")
        ROWS[name] = Row(name, group, function, heard, brokers, tuple(exercises))
        return function
    return register


class Field(road.Road):
    """A row's database, topic and group, the dispatchers on them, and what is counted."""

    def __init__(self, environ, servers, name, heard, seed):
        super().__init__(environ, servers, name)
        self.servers = servers
        self.random = random.Random(f"{seed} {name}")
        self.rounds = self.kills = self.allowed = self.uncounted = 0
        self.always = {}  # options of all its dispatchers, and of the printed bound
        self.people_n = 0
        self.events = set()  # subjects of all that was published
        self.lock = threading.Lock()
        self.reader = None
        self.after = contextlib.ExitStack()  # what ends after the row has been counted
        self.config(latency={"min_ms": 150, "max_ms": 450})
        if heard:
            self.reader = receipts.Receipts(SECRET, self.pg.conninfo)
            self.config(receipts={"enabled": True, "url": self.reader.url, "app_secret": SECRET, "delivered": 0, "read": 0})
        self.is_heard = heard

    def make_topic(self):
        """By asking each broker for it: a tenth of a second instead of a JVM's start."""
        def is_there(broker):
            done = subprocess.run(["kcat", "-b", broker, "-L", "-t", self.topic], capture_output=True, text=True, timeout=30, check=False)
            return f"with {PARTITIONS} partitions" in done.stdout and "leader -1" not in done.stdout
        for broker in self.kafka.bootstrap.split(","):
            env.wait_until(lambda b=broker: is_there(b), 90, f"topic {self.topic}", every=0.1)

    def config(self, **settings):
        self.sandbox.config(**settings)

    # ---- dispatchers ----

    def options(self, name="d1", **more):
        return super().options(name, **{**OPTIONS, **self.always, **more})

    def start(self, name="d1", fault=None, wait=True, **options):
        """A dispatcher; with `fault` ("NAME:kill:MIN_ON_WIRE:NTH") one that strikes itself. `wait`: until it has partitions."""
        process = self.env.start("postrider-dispatcher", *self.options(name, **options), environ={"POSTRIDER_FAULT": fault or ""})
        self.processes.append(process)
        if wait:
            process.wait_for("event=assigned")
        return process

    def both_assigned(self):
        """Waits until the two dispatchers started last share the partitions."""
        def shared():
            last = [re.findall(r"event=assigned partitions=(\d+)", process.output())[-1:] for process in self.processes[-2:]]
            return all(last) and sum(int(n) for (n,) in last) == PARTITIONS and all(int(n) > 0 for (n,) in last)
        env.wait_until(shared, 90, "two dispatchers share the partitions")

    def bound(self, **options):
        """What --check-config says that one crash leaves at most."""
        done = self.env.run("postrider-dispatcher", *self.options("bound", **options), "--check-config")
        return int(re.search(r"at most (\d+) messages unknown", done.stdout)[1])

    # ---- load ----

    def load(self, n, kind="order.confirmed", partition=None, **attributes):
        """Publishes n events, each to another person with consent."""
        with self.lock:
            first = self.people_n
            self.people_n += n
        self.people(n, first=first)
        made = [event(i, kind, subject=f"s{i}", **attributes) for i in range(first, first + n)]
        with self.lock:
            self.publish(made, partition=partition)
            self.events.update(one["subject"] for one in made)

    def load_while(self, process, part=60, seconds=90, **more):
        """Events, a part at a time while `process` lives, so that there are records to fetch while requests are on the wire."""
        ends = time.monotonic() + seconds
        while process.is_running() and time.monotonic() < ends:
            self.load(part, **more)

    @contextlib.contextmanager
    def flow(self, a_second, kind="order.confirmed"):
        """Events all the while, in a thread: `with f.flow(100): …`."""
        stop, failed = threading.Event(), []

        def publish():
            while not stop.wait(0.25):
                try:
                    self.load(max(1, a_second // 4), kind)
                except (RuntimeError, subprocess.SubprocessError) as failure:
                    failed.append(failure)
        thread = threading.Thread(target=publish, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(120)
        if failed:
            raise failed[0]

    # ---- faults ----

    def wire(self):
        """Requests that the platform has read and not answered."""
        return self.sandbox.stats()["open"]

    def wait_wire(self, least=LEAST, seconds=60):
        env.wait_until(lambda: self.wire() >= least, seconds, f"{least} requests on the wire", every=0.005)
        return self.wire()

    def kill(self, process):
        """kill -9 from outside. False, and nothing counted, when fewer than 20 requests were on the wire right before."""
        wire = self.wire()
        process.signal(signal.SIGKILL)
        self.kills += wire >= LEAST
        return wire >= LEAST

    def fallen(self, process, seconds=90, least=LEAST):
        """Waits for a dispatcher that kills itself at a fault point. Returns the requests that it had on the wire; it counts with `least` of them."""
        process.expected.add(-signal.SIGKILL)
        try:
            process.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{process.name} did not reach its fault point within {seconds} s") from None
        said = re.search(r"event=fault name=\S+ on_wire=(\d+)", process.output())
        if not said:
            raise AssertionError(f"{process.name} ended with {process.popen.returncode} and not at its fault point:\n{process.output()[-2000:]}")
        self.kills += int(said[1]) >= least
        return int(said[1])

    def frozen(self, process, seconds=60):
        """Waits until a dispatcher has stopped itself at a fault point, or was stopped. Returns the requests it had on the wire, 0 if it does not say."""
        stat = pathlib.Path(f"/proc/{process.pid}/stat")
        env.wait_until(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T", seconds, f"{process.name} is stopped", every=0.005)
        said = re.search(r"event=fault name=\S+ on_wire=(\d+)", process.output())
        return int(said[1]) if said else 0

    def wake(self, process):
        process.popen.send_signal(signal.SIGCONT)

    def allow(self, n):
        """In a row that does not kill: n more requests were open at a fault, or were left without a definite answer."""
        self.allowed += n

    def repeat(self, n, one):
        """Calls `one()`, which ends settled, until it has said n times that its round counts. Another is repeated, within bounds, and what it left
        counts nowhere."""
        for _ in range(2 * n + 3):
            kills, unknown = self.kills, self.unknown()
            if one():
                self.rounds += 1
                if self.rounds >= n:
                    return
            else:
                self.kills = kills
                self.uncounted += self.unknown() - unknown
        raise AssertionError(f"only {self.rounds} of {n} rounds had {LEAST} requests on the wire")

    # ---- the end ----

    def lag(self):
        """Records in the topic beyond the group's committed offsets; the reason why while that cannot be asked."""
        try:
            ends = self.kafka.end_offsets(self.topic, PARTITIONS)
            done = offsets.committed(self.kafka.bootstrap, self.group, self.topic, PARTITIONS)
        except (RuntimeError, offsets.Moving) as away:
            return str(away)
        return sum(end - max(at, 0) for end, at in zip(ends, done))

    def unresolved(self):
        """Unknown messages of a sender that is heard whose window is not over: a receipt or their resend is still to come."""
        return self.count("select count(*) from postrider.deferred where reason = 'unknown' and not is_asleep "
                          f"and due <= postrider.clock() + interval '{RECONCILE_S + 2} s'") if self.is_heard else 0

    def coming_back(self):
        """Messages put off for no more than the matrix waits for."""
        return self.count("select count(*) from postrider.deferred where reason <> 'unknown' and not is_asleep "
                          "and due <= postrider.clock() + interval '30 s'")

    def settle(self, seconds=120):
        """Until every record has a fate, nothing is claimed, overdue or soon to come back, and lag is 0."""
        end = sum(self.kafka.end_offsets(self.topic, PARTITIONS))

        def left():
            return {"without a fate": end - self.answered(), "claimed or overdue": self.busy(), "coming back": self.coming_back(), "lag": self.lag(),
                    "to be resolved": self.unresolved()}
        try:
            env.wait_until(lambda: not any(n != 0 for n in left().values()), seconds, "quiet", every=0.1)
        except AssertionError:
            raise AssertionError(f"not quiet within {seconds} s: {left()} of {end} records; {self.fates()}") from None

    def taken(self):
        """{message id: [(attempt, when), …]} of the bodies that the sandbox accepted."""
        taken = collections.defaultdict(list)
        for line in self.sandbox.record():
            if line["verdict"] == "accepted":
                _, _, message, attempt, _ = callback(line["callback"])
                taken[message].append((attempt, line["real"]))
        return taken

    def unrecorded(self):
        """Bodies that the sandbox took and no dispatcher wrote an answer of."""
        answered = {(r["id"], r["attempt"]) for r in self.pg.rows("select id, attempt from postrider.outcome where reason <> 'receipt'")}
        return sum((message, str(attempt)) not in answered for message, bodies in self.taken().items() for attempt, _ in bodies)

    def lost(self):
        """Records, or published events, that are in none of the fates."""
        records = sum(self.kafka.end_offsets(self.topic, PARTITIONS)) - self.answered()
        known = {r["subject"] for r in self.pg.rows("select subject from postrider.fate")}
        return max(records, len(self.events - known))

    def count_bodies(self):
        """(ids with two accepted bodies, ids of which the second was an allowed resend of an unknown): told apart by the ledger and by the clock."""
        resends = {r["id"]: r for r in self.pg.rows("select id, resends, category from postrider.message where resends > 0")}
        doubled = resent = 0
        for message, bodies in self.taken().items():
            if len(bodies) < 2:
                continue
            told = resends.get(message)
            (before, first), (after, second) = sorted(bodies, key=lambda b: b[1])[:2]
            is_allowed = (self.is_heard and len(bodies) == 2 and told and told["resends"] == "1" and told["category"] != "1" and
                          after > before and second - first >= (RECONCILE_S - 0.5) * 1e6)
            resent += bool(is_allowed)
            doubled += not is_allowed
        return doubled, resent

    def unknown(self):
        """Messages that are unknown, or were until a receipt or a resend settled them."""
        return self.count("""select count(distinct id) from (
            select id from postrider.fate where fate = 'unknown'
            union all select id from postrider.message where resends > 0
            union all select id from postrider.outcome where reason = 'receipt') x""")

    def mismatches(self):
        """What the ledger says against what the platform took."""
        faults = []
        taken = set(self.taken())
        fate = {r["id"]: r["fate"] for r in self.pg.rows("select id, fate from postrider.fate")}
        sent = {message for message, what in fate.items() if what == "sent"}
        if sent - taken:
            faults.append(f"{len(sent - taken)} called sent and not taken by the platform")
        wrong = [message for message in taken if fate.get(message) not in ("sent", "unknown")]
        if wrong:
            faults.append(f"{len(wrong)} taken by the platform and neither sent nor unknown: {[(m, fate.get(m)) for m in wrong[:3]]}")
        if self.sandbox.stats()["accepted_without_callback"]:
            faults.append("bodies without callback data")
        return faults

    def end(self, name):
        """Waits for the rest, counts, prints the row's line; returns what is wrong."""
        faults = []
        try:
            self.settle()
        except AssertionError as failure:
            faults.append(str(failure))
        doubled, resent = self.count_bodies()
        lost, unknown = self.lost(), self.unknown()
        bound = self.kills * self.bound() + self.allowed + self.uncounted
        print(f"fault {name} rounds={self.rounds} messages={len(self.events)} lost={lost} doubled={doubled} unknown={unknown} resent={resent}",
              flush=True)
        faults += [] if self.rounds else ["no round counted"]
        faults += [f"lost {lost}"] if lost else []
        faults += [f"doubled {doubled}"] if doubled else []
        faults += [f"unknown {unknown}, more than {bound}"] if unknown > bound else []
        faults += ["resent without receipts"] if resent and not self.is_heard else []
        return faults + self.mismatches()

    def close(self):
        """Ends the dispatchers; returns what was wrong with any."""
        faults = []
        for process in self.processes:
            try:
                process.stop()
            except AssertionError as hung:
                faults.append(str(hung))
        if self.reader:
            self.reader.close()
        self.after.close()
        return faults + [fault for fault in (process.fault() for process in self.processes) if fault]


class Matrix:
    """Runs rows one after the other, on servers that start when the first row needs them."""

    def __init__(self, seed, tells_times=False):
        self.seed = seed
        self.tells_times = tells_times
        self.servers = {}
        self.count = 0
        self.skipped = []

    def servers_of(self, brokers):
        if brokers not in self.servers:
            environ = env.Env()
            self.servers[brokers] = (environ, None)
            self.servers[brokers] = (environ, road.Servers(environ, True, ("--record-memory", "256"), brokers=brokers, **KAFKA))
        return self.servers[brokers]

    def field(self, one):
        environ, servers = self.servers_of(one.brokers)
        self.count += 1
        servers.sandbox.clear()
        servers.sandbox.config(receipts={"enabled": False})
        return Field(environ, servers, f"r{self.count}", one.heard, self.seed)

    def run(self, one):
        """True when the row holds. One that cannot be run here says so and counts as skipped, never as held."""
        began = time.monotonic()
        field, faults = None, []
        try:
            field = self.field(one)
            one.run(field)
            faults = field.end(one.name)
        except unittest.SkipTest as why:
            self.skipped.append(one.name)
            print(f"fault {one.name} SKIPPED: {why}", flush=True)
        except Exception:  # pylint: disable=broad-except
            faults = [traceback.format_exc()]
        if field:
            faults += field.close()
        if self.tells_times:
            print(f"  {one.name}: {time.monotonic() - began:.1f} s, {field.kills if field else 0} kills", file=sys.stderr, flush=True)
        if faults:
            print(f"FAILED {one.name} (seed {self.seed}):\n  " + "\n  ".join(faults), flush=True)
            for process in field.processes if field else []:
                print(f"--- {process.log.name}\n{process.output()[-3000:]}", flush=True)
        return not faults

    def close(self):
        """What was wrong with any program, sandboxes included."""
        return [fault for environ, _ in self.servers.values() for fault in environ.close()]
