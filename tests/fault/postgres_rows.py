"""PostgreSQL restarted, killed, out of connections, out of disk, failing at commit, behind a stuck lock: all while messages flow."""

import contextlib
import pathlib
import socket
import struct
import subprocess
import threading
import time
import unittest

from kit import FULL, env, event, row

ROUNDS = 15 if FULL else 2

COMMIT_FAILS = """
create schema trial;
create table trial.failed (state text);
create sequence trial.tried;
-- One transaction in seven; a sequence keeps its count when the transaction does not hold. `info` makes the rows leave before it.
create function trial.late() returns trigger language plpgsql as $$
begin
    if nextval('trial.tried') % 7 = 0 then
        raise info 'the rows are out';
        raise exception 'no commit' using errcode = (array['40001', '40P01', '40001', '55P03', '53100', '40001', '58030', 'XX000'])[1 + (currval('trial.tried') / 7) % 8];
    end if;
    return null;
end $$;
create function trial.once() returns trigger language plpgsql as $$
begin
    if coalesce(current_setting('trial.seen', true), '') <> pg_current_xact_id()::text then
        perform set_config('trial.seen', pg_current_xact_id()::text, true);
        insert into trial.called values (tg_table_name);
    end if;
    return null;
end $$;
create table trial.called (what text);
create constraint trigger late after insert on trial.called deferrable initially deferred for each row execute function trial.late();
create trigger once after insert on postrider.message for each row execute function trial.once();
create trigger once after insert on postrider.outcome for each row execute function trial.once();
create trigger once after insert on postrider.deferred for each row execute function trial.once();
"""


# ---- load that asks PostgreSQL for nothing ----

class Stock:
    """People who are known before PostgreSQL is in trouble, and events to them."""

    def __init__(self, f, n):
        self.f, self.next = f, f.people_n
        f.people_n += n
        f.people(n, first=self.next)
        self.end = f.people_n

    def pour(self, n):
        made = [event(i, subject=f"s{i}") for i in range(self.next, self.next + n)]
        self.next += n
        if self.next > self.end:
            raise AssertionError("more events than people")
        self.f.publish(made)
        self.f.events.update(one["subject"] for one in made)

    @contextlib.contextmanager
    def flow(self, a_second):
        stop = threading.Event()

        def publish():
            while not stop.wait(0.25):
                self.pour(a_second // 4)
        thread = threading.Thread(target=publish, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(60)


def under_way(f):
    """Waits for a full wire; what is open then may be in doubt."""
    f.allow(f.wait_wire(20))


def goes_on(f):
    """Waits until the platform has taken a hundred more."""
    have = f.sandbox.stats()["accepted"]
    env.wait_until(lambda: f.sandbox.stats()["accepted"] >= have + 60, 60, "it goes on", every=0.05)


def in_trouble(f, trouble, rounds=ROUNDS):
    """`trouble(f)` is a context in which PostgreSQL is in trouble."""
    stock = Stock(f, 6000 if not FULL else 40000)
    f.start("d1", postgres__statement_timeout="1s")
    with stock.flow(100):
        for _ in range(rounds):
            under_way(f)
            with trouble(f):
                time.sleep(f.random.uniform(0.5, 2))
            goes_on(f)
            f.rounds += 1


# ---- away ----

@contextlib.contextmanager
def away(f, stop):
    stop()
    try:
        yield
    finally:
        f.servers.pg.start()


@row("postgres-restarted")
def restarted(f):
    in_trouble(f, lambda f: away(f, f.servers.pg.stop))


@row("postgres-killed")
def killed(f):
    in_trouble(f, lambda f: away(f, f.servers.pg.crash))


# ---- out of connections ----

class Session:
    """A session by PostgreSQL's own protocol, so that hundreds cost nothing. Refused: ConnectionError with the SQLSTATE."""

    def __init__(self, conninfo):
        info = dict(item.split("=", 1) for item in conninfo.split())
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(f"{info['host']}/.s.PGSQL.{info['port']}")
        body = struct.pack(">i", 196608) + f"user\0{info['user']}\0database\0{info['dbname']}\0application_name\0others\0\0".encode()
        self.socket.sendall(struct.pack(">i", len(body) + 4) + body)
        self.read()

    def exactly(self, n):
        got = b""
        while len(got) < n:
            more = self.socket.recv(n - len(got))
            if not more:
                raise ConnectionError("closed")
            got += more
        return got

    def read(self):
        """To ReadyForQuery; returns the first column of the last row."""
        value = None
        while True:
            kind, size = struct.unpack(">ci", self.exactly(5))
            body = self.exactly(size - 4)
            if kind == b"E":
                fields = {part[:1]: part[1:].decode() for part in body.split(b"\0") if part}
                raise ConnectionError(fields.get(b"C"))
            if kind == b"D" and body[:2] != b"\0\0":
                (length,) = struct.unpack(">i", body[2:6])
                value = body[6:6 + length].decode() if length >= 0 else None
            if kind == b"Z":
                return value

    def ask(self, sql):
        body = sql.encode() + b"\0"
        self.socket.sendall(b"Q" + struct.pack(">i", len(body) + 4) + body)
        return self.read()

    def close(self):
        self.socket.close()


def take_all(conninfo, sessions):
    """Sessions until there are none left."""
    while True:
        try:
            sessions.append(Session(conninfo))
        except ConnectionError as refused:
            if str(refused) not in ("53300", "57P03"):
                raise
            return


@contextlib.contextmanager
def taken_by_others(f):
    """All of max_connections, those kept for superusers included; the dispatcher's own are ended, and others are quicker."""
    sessions = []
    conninfo = f.servers.pg.conninfo
    ours = "from pg_stat_activity where application_name like 'postrider%' and pid <> pg_backend_pid()"
    try:
        take_all(conninfo, sessions)
        for _ in range(200):
            sessions[0].ask(f"select count(pg_terminate_backend(pid)) {ours}")
            take_all(conninfo, sessions)
            if sessions[0].ask(f"select count(*) {ours}") == "0":
                break
        else:
            raise AssertionError("the dispatcher's sessions came back each time")
        log = f.env.folder / "pg" / "log"
        refused = log.read_text().count("too many clients")
        env.wait_until(lambda: log.read_text().count("too many clients") >= refused + 4, 20, "the dispatcher is refused")
        yield
    finally:
        for session in sessions:
            session.close()


@row("postgres-out-of-connections")
def out_of_connections(f):
    in_trouble(f, taken_by_others)


# ---- out of disk ----

class Disk:
    """A small tmpfs with a tablespace on it."""

    def __init__(self, f, megabytes):
        self.folder = f.env.folder / f"disk-{f.name}"
        self.folder.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=777", "tmpfs", str(self.folder)], capture_output=True, text=True,
                              check=False)
        if done.returncode:
            self.folder.rmdir()
            raise unittest.SkipTest(f"a tmpfs could not be mounted: {done.stderr.strip()}")

    def fill(self):
        with contextlib.suppress(OSError), open(self.folder / "filler", "wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))

    def free(self):
        pathlib.Path(self.folder / "filler").unlink()

    def close(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=False)


def small_server(f, megabytes):
    """A server for this row alone whose whole data is on a small tmpfs; the row's business is in it."""
    disk = Disk(f, megabytes)
    f.after.callback(disk.close)
    server = env.Postgres(disk.folder, {"min_wal_size": "32MB", "max_wal_size": "64MB", "shared_buffers": "32MB", "restart_after_crash": "on"})
    f.after.callback(server.crash)
    f.pg = server
    business = f.env.folder / "business"
    f.env.run("postrider", "migrate", "--db", server.conninfo)
    f.env.run("postrider", "apply", *(business / f"{n}.json" for n in ("business", "templates", "rules")), "--tenant", "aurora", "--db", server.conninfo)
    server.sql(f"alter database postrider set jit = off; update postrider.sender set secret = '{f.token}'")
    return disk, server


def is_up(server):
    """Whether its postmaster is alive."""
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{(server.folder / 'pg' / 'data' / 'postmaster.pid').read_text().split()[0]}").exists()
    return False


def fill_log(server):
    """New segments of the write-ahead log until one cannot be had, over which every session ends."""
    session = Session(server.conninfo)
    try:
        for _ in range(40):
            session.ask("select pg_current_xact_id(), pg_switch_wal()")
    except OSError:
        return
    raise AssertionError("the write-ahead log found room")


@row("postgres-out-of-disk")
def out_of_disk(f):
    """Tables cannot grow, and in every second round the write-ahead log neither, over which the server ends; it is started again once there is room."""
    disk, server = small_server(f, 300)
    stock = Stock(f, 6000)
    process = f.start("d1", postgres__statement_timeout="1s")
    with stock.flow(100):
        for n in range(ROUNDS):
            under_way(f)
            said = process.output().count("No space left on device")
            disk.fill()
            # A little room is left inside files: until it is used up, things go on.
            env.wait_until(lambda: process.output().count("No space left on device") > said, 60, "PostgreSQL finds the disk full")
            if n % 2:
                fill_log(server)
            time.sleep(f.random.uniform(0.5, 2))
            disk.free()
            if not is_up(server):
                server.start()
            goes_on(f)
            f.rounds += 1


# ---- commits ----

@row("postgres-failing-at-commit")
def failing_at_commit(f):
    """One commit in seven fails behind its rows: serialization, deadlock, lock, full disk, input and output, internal error."""
    f.pg.sql(COMMIT_FAILS)
    stock = Stock(f, 6000)
    f.start("d1")
    with stock.flow(100):
        for _ in range(ROUNDS * 2):
            f.wait_wire(20)
            goes_on(f)
            f.rounds += 1
    tried = f.count("select last_value from trial.tried")
    failed = tried - f.count("select count(*) from trial.called")
    if failed < ROUNDS * 3:
        raise AssertionError(f"{failed} of {tried} commits failed, too few to show anything")
    f.settle()
    f.pg.sql("drop schema trial cascade")


# ---- locks ----

@contextlib.contextmanager
def locked(f, sql):
    session = Session(f.pg.conninfo)
    try:
        session.ask("begin")
        session.ask(sql)
        yield
    finally:
        session.close()


@row("postgres-stuck-lock")
def stuck_lock(f):
    """Longer than statement_timeout: the pool's row, the ledger, the outcomes, what is put off; and the instance's row past its lease."""
    locks = ["select from postrider.quota_pool for update", "lock table postrider.message in exclusive mode",
             "lock table postrider.outcome in exclusive mode", "lock table postrider.deferred in access exclusive mode",
             "lock table postrider.instance in exclusive mode"]
    stock = Stock(f, 20000)
    f.start("d1", postgres__statement_timeout="1s")
    with stock.flow(100):
        for sql in locks * (ROUNDS // 2):
            under_way(f)
            with locked(f, sql):
                time.sleep(8 if "instance" in sql else 2)
            goes_on(f)
            f.rounds += 1
