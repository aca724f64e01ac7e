#!/usr/bin/env -S python3 -B
"""The claim at its edges: commits that fail behind their rows, connections cut in front of the SYNC, poison at every place of a batch, ids that repeat."""

import contextlib
import itertools
import pathlib
import random
import socket
import subprocess
import sys
import threading
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import address, env, event, rule  # noqa: E402

HOUR_MS = 3600 * 1000
# What raises for a poison, one after the other: both blame the data, and the first is not PostgreSQL's own "no partition of relation".
POISONS = ["23514", "22P02"]
POISON = """
create schema trial;
-- Counts the rows of its transaction; of each batch's first failure the place is kept where a rollback does not reach.
create function trial.poison() returns trigger language plpgsql as $$
declare
    v_row int := coalesce(nullif(current_setting('trial.row', true), ''), '0')::int;
begin
    perform set_config('trial.row', (v_row + 1)::text, true);
    if new.subject like 'poison-%' then
        if nextval(format('trial.failures_%s', split_part(new.subject, '-', 2))) = 1 then
            perform setval(format('trial.place_%s', split_part(new.subject, '-', 2)), v_row + 1);
        end if;
        raise exception 'poison' using errcode = split_part(new.subject, '-', 3);
    end if;
    return new;
end $$;
create trigger poison before insert on postrider.message for each row execute function trial.poison();
"""
# `info` is flushed to the client with the rows before it, whatever the client asked for: what follows happens behind the rows.
LATE = """
create schema trial;
create table trial.flag (is_set boolean);
insert into trial.flag values (true);
create function trial.late() returns trigger language plpgsql as $$
begin
    if (select is_set from trial.flag) then
        raise info 'the rows are out';
        perform pg_sleep(0.2);
        raise exception 'no commit' using errcode = '{state}';
    end if;
    return null;
end $$;
create constraint trigger late after insert on postrider.message deferrable initially deferred for each row execute function trial.late();
"""
# A claim that is asked again writes its own row anew.
AGAIN = """
create schema trial;
create table trial.again (was bigint, is_now bigint);
create function trial.again() returns trigger language plpgsql as $$
begin
    insert into trial.again values (old.claim_no, new.claim_no);
    return null;
end $$;
create trigger again after update on postrider.message for each row when (old.state = 1 and new.state = 1) execute function trial.again();
"""


class Proxy:
    """TCP between a dispatcher and PostgreSQL that knows which answer belongs to which prepared statement, and may cut right before its end."""

    def __init__(self, port):
        self.target = port
        self.lock = threading.Lock()
        self.wanted = None  # (statement, how, times)
        self.cuts = 0
        self.leaves = self.is_away = False  # after a cut nobody comes in any more; nobody comes in now
        self.failed_behind_rows = 0  # claims whose rows came and whose commit did not
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def cut(self, statement, how, times):
        """`times` answers of the statement end without their SYNC: "sync", all but that arrives; "all", nothing does; "before", it is not asked at all."""
        with self.lock:
            self.cuts = 0
            self.wanted = (statement, how, times)

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                if self.is_away:
                    client.close()
                else:
                    Link(self, client)

    def wants(self, name):
        """How to cut this one; None mostly."""
        with self.lock:
            return self.wanted[1] if self.wanted and self.cuts < self.wanted[2] and name.startswith(self.wanted[0] + "_") else None

    def has_cut(self):
        with self.lock:
            self.cuts += 1
            self.is_away = self.leaves

    def close(self):
        self.listener.close()


class Link:
    """One connection: messages are told apart in both directions, and each ReadyForQuery is counted against the Sync it answers."""

    def __init__(self, proxy, client):
        self.proxy, self.client = proxy, client
        self.server = socket.create_connection(("127.0.0.1", proxy.target))
        self.asked = 1  # the first one ends the log-in
        self.answered = self.ended = 0
        self.names, self.cuts = {}, {}
        for one in (self.client, self.server):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for run in (self.forth, self.back):
            threading.Thread(target=self.until_end, args=(run,), daemon=True).start()

    def until_end(self, run):
        with contextlib.suppress(OSError, EOFError):
            run()
        self.ended += 1
        for one in (self.client, self.server):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            if self.ended == 2:
                one.close()

    def messages(self, source, buffer=b""):
        """Lists of (type, message) as they arrive."""
        while True:
            found, at = [], 0
            while len(buffer) - at >= 5 and len(buffer) - at > (size := int.from_bytes(buffer[at + 1:at + 5], "big")):
                found.append((buffer[at:at + 1], buffer[at:at + 1 + size]))
                at += 1 + size
            buffer = buffer[at:]
            if found:
                yield found
            read = source.recv(1 << 18)
            if not read:
                raise EOFError
            buffer += read

    def forth(self):
        start = b""
        while len(start) < 4 or len(start) < int.from_bytes(start[:4], "big"):
            read = self.client.recv(1 << 16)
            if not read:
                raise EOFError
            start += read
        size = int.from_bytes(start[:4], "big")
        self.server.sendall(start[:size])
        for found in self.messages(self.client, start[size:]):
            out = b""
            for kind, message in found:
                if kind == b"B":
                    name = message[5:].split(b"\0", 2)[1].decode()
                    self.names[self.asked + 1] = name
                    how = self.proxy.wants(name)
                    if how == "before":
                        self.proxy.has_cut()
                        raise EOFError
                    if how:
                        self.cuts[self.asked + 1] = how
                elif kind in (b"S", b"Q"):
                    self.asked += 1
                out += message
            self.server.sendall(out)

    def back(self):
        rows, has_failed = 0, False
        for found in self.messages(self.server):
            out = b""
            for kind, message in found:
                number = self.answered + 1
                how = self.cuts.get(number)
                rows += kind == b"D"
                has_failed = has_failed or kind == b"E"
                if kind == b"Z":
                    self.answered = number
                    self.proxy.failed_behind_rows += rows > 0 and has_failed and self.names.get(number, "").startswith("claim_")
                    rows, has_failed = 0, False
                    if how:
                        self.client.sendall(out)
                        self.proxy.has_cut()
                        raise EOFError
                if how != "all":
                    out += message
            self.client.sendall(out)


class Psql:
    """A transaction that stays open."""

    def __init__(self, pg, sql):
        self.psql = subprocess.Popen(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", pg.conninfo], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.psql.stdin.write(f"begin; {sql};\n\\echo done\n".encode())
        self.psql.stdin.flush()
        while (line := self.psql.stdout.readline()) != b"done\n":
            if not line:
                raise RuntimeError("psql ended")

    def end(self, how="commit"):
        self.psql.stdin.write(f"{how};\n".encode())
        self.psql.stdin.close()
        self.psql.stdout.close()
        self.psql.wait()


class Exactness(road.RoadCase):
    def proxy(self):
        """A proxy and the options of a dispatcher behind it."""
        info = dict(item.split("=", 1) for item in self.road.pg.tcp().split())
        proxy = Proxy(int(info["port"]))
        self.addCleanup(proxy.close)
        info |= {"port": proxy.port, "dbname": self.road.name, "sslmode": "disable", "gssencmode": "disable"}
        return proxy, {"postgres__conninfo": " ".join(f"{k}={v}" for k, v in info.items())}

    def claiming(self, n):
        def seen():
            return self.road.metric('postrider_jobs{state="claiming"}') == n
        env.wait_until(seen, 20, f"{n} jobs ask for their claim", every=0.1)

    @contextlib.contextmanager
    def in_whole_batches(self, waiting=0, **more):
        """
        Everything that is published inside, to partition 0, is claimed in batches as large as they may be, in the order of the records: two claims,
        which is as many as a lane has under way, wait for a lock on the ledger until the end. `waiting` of them wait at the gate.
        """
        r = self.road
        r.pg.sql("update postrider.sender set rate = 100000")
        r.people(2, first=99990)
        holder = Psql(r.pg, "lock table postrider.message in share mode")
        try:
            r.dispatcher(**({"dispatch__claim_ahead": 10000, "dispatch__window": 65536, "dispatch__memory__max": "1GiB",
                             "postgres__statement_timeout": "60s"} | more))
            for n in range(2):
                r.publish([event(99990 + n, "promo.sent")], partition=0)
                self.claiming(n + 1)
            before = r.published
            yield
            self.claiming(2 + r.published - before - waiting)
        finally:
            holder.end("rollback")

    # ---- commits that fail ----

    def commit_fails(self, state):
        r = self.road
        r.people(300)
        r.pg.sql(LATE.format(state=state))
        proxy, options = self.proxy()
        r.dispatcher(**options)
        r.publish([event(n) for n in range(300)])
        env.wait_until(lambda: proxy.failed_behind_rows >= 2, 15, "two claims that failed behind their rows")
        time.sleep(2)
        self.assertEqual(r.sandbox.stats()["requests"], 0, "sent, and its claim is not committed")
        self.assertEqual(r.fates(), {})
        r.pg.sql("update trial.flag set is_set = false")
        r.settled(25)
        self.assertEqual(r.fates(), {"sent": 300})
        self.assertEqual(r.sandbox.stats()["requests"], 300)
        r.check(self)

    def test_a_commit_that_fails_behind_its_rows_by_serialization_sends_nothing(self):
        self.commit_fails("40001")

    def test_a_commit_that_fails_behind_its_rows_by_a_full_disk_sends_nothing(self):
        self.commit_fails("53100")

    # ---- connections that are cut ----

    def cut(self, how):
        r = self.road
        r.people(500)
        r.pg.sql(AGAIN)
        proxy, options = self.proxy()
        proxy.cut("claim", how, 5)
        r.dispatcher(dispatch__batch=50, dispatch__claim_ahead=100, **options)
        r.publish([event(n) for n in range(500)])
        r.settled(30)
        self.assertEqual(proxy.cuts, 5)
        self.assertEqual(r.fates(), {"sent": 500})
        self.assertEqual(r.sandbox.stats()["requests"], 500)
        r.check(self)
        return r.count("select count(*) from trial.again where was = is_now"), r.count("select count(*) from trial.again where was <> is_now")

    def test_a_claim_that_is_committed_but_for_its_sync_is_asked_again_by_its_number_and_sent_once(self):
        same, other = self.cut("sync")
        self.assertGreater(same, 0)
        self.assertEqual(other, 0)

    def test_a_claim_whose_whole_answer_is_lost_is_asked_again_by_its_number_and_sent_once(self):
        same, other = self.cut("all")
        self.assertGreater(same, 0)
        self.assertEqual(other, 0)

    def test_a_claim_that_never_arrived_is_asked_again_and_sent_once(self):
        self.assertEqual(self.cut("before"), (0, 0))

    def test_a_claim_that_was_cut_while_its_lease_ended_is_written_back_and_decided_anew(self):
        r = self.road
        r.people(100)
        proxy, options = self.proxy()
        process = r.dispatcher(dispatch__heartbeat="200ms", **options)
        proxy.leaves = True
        proxy.cut("claim", "sync", 1)
        r.publish([event(n) for n in range(100)])
        env.wait_until(lambda: proxy.cuts == 1, 10, "a claim was cut")
        r.pg.sql("update postrider.instance set lease_until = clock_timestamp() - interval '1 s' where name = 'd1'")
        process.wait_for("event=epoch name=d1 instance=1 epoch=2", 20)
        self.assertGreater(r.fates()["claimed"], 0)
        proxy.is_away = False
        r.settled(30)
        self.assertEqual(r.fates(), {"sent": 100})
        r.check(self)

    def test_each_other_statement_may_be_cut_before_its_sync_and_repeated(self):
        r = self.road
        r.people(60)
        proxy, options = self.proxy()
        r.dispatcher(**options)
        r.sandbox.fault("error", code=130429, match={"to": address(1)}, times=0, retry_after=600)
        # Made when they are published: the delay of order.later counts from their time.
        kinds = {"settle": lambda i: event(0, id=i), "park": lambda i: event(2, "order.later", id=i), "aside": lambda i: event(3, "nobody.cares", id=i),
                 "dead": lambda i: ("x", b"{"),
                 "control": lambda i: event(4, "consent.granted", id=i, data={"category": "utility", "how": "SMS"})}
        for name, record in kinds.items():
            for how in ("sync", "all"):
                proxy.cut(name, how, 1)
                r.publish([record(f"{name}-{how}")])
                env.wait_until(lambda: proxy.cuts == 1, 10, f"{name} was cut", every=0.05)
                r.settled(20)
        r.settled(20, deferred=0)
        fates = r.fates()
        dead = sum(fates.pop(f) for f in list(fates) if f.startswith("dead_letter:"))
        self.assertEqual((dead, fates), (2, {"sent": 4, "refused:no_rule": 2, "applied:consent.granted": 2}))
        r.check(self)

    # ---- poison ----

    def batches(self, size, layouts):
        """Records of one batch a layout, the places in it poisoned, in the order of their message ids."""
        began = int(time.time() * 1000) - 30000
        if began // HOUR_MS != (began + size * len(layouts)) // HOUR_MS:
            began = (began // HOUR_MS + 1) * HOUR_MS  # near midnight the hour decides which batch an id goes to
        records, n, kinds = [], 0, itertools.cycle(POISONS)
        for number, layout in enumerate(layouts):
            for place in range(size):
                # A UUIDv7's time leads the message id.
                made = uuid.UUID(int=(began + n) << 80 | 7 << 76 | 2 << 62 | n)
                subject = f"poison-{number}-{next(kinds)}" if place in layout else f"good-{number}"
                records.append(event(n, "promo.sent", id=str(made), subject=subject))
                n += 1
        return records

    def poison(self, numbers):
        self.road.pg.sql(POISON + "".join(f"create sequence trial.failures_{n}; create sequence trial.place_{n};" for n in range(numbers)))

    def only_poisons_are_dead(self, records, more=0):
        r = self.road
        poisoned = [made for made in records if made["subject"].startswith("poison")]
        fates = r.fates()
        expected = {f"dead_letter:{state}": sum(made["subject"].endswith(state) for made in poisoned) for state in POISONS}
        self.assertEqual(fates, {"sent": len(records) - len(poisoned) + more} | {k: v for k, v in expected.items() if v})
        dead = {(row["id"], row["reason"]) for row in r.pg.rows("select convert_from(value, 'UTF8')::json ->> 'id' as id, reason from postrider.dead_letter")}
        self.assertEqual(dead, {(made["id"], made["subject"].rpartition("-")[2]) for made in poisoned})
        r.check(self)

    def split(self, size, layouts, seconds):
        r = self.road
        r.people(size * len(layouts))
        self.poison(len(layouts))
        records = self.batches(size, layouts)
        with self.in_whole_batches(dispatch__batch=size, intake__dead_letters_max_per_minute=1000000):
            r.publish(records, partition=0)
        r.settled(seconds)
        self.only_poisons_are_dead(records, more=2)
        for number, layout in enumerate(layouts):
            if layout:
                self.assertEqual(r.count(f"select last_value from trial.place_{number}"), min(layout) + 1,
                                 f"batch {number} did not begin where it should: the places are not those that are meant")

    def test_each_of_a_thousand_places_of_a_batch_may_be_poisoned(self):
        # Nine batches of 1,000: each place is poisoned in one of them, which one a seeded shuffle says, so that about 111 are in each.
        places = list(range(1000))
        random.Random(7).shuffle(places)
        self.split(1000, [set(places[n::9]) for n in range(9)], 50)

    def test_one_poison_in_a_batch_of_a_thousand_is_found_wherever_it_is(self):
        self.split(1000, [{place} for place in [0, 1, 499, 500, 998, 999] + random.Random(11).sample(range(2, 998), 3)], 40)

    def test_in_batches_of_eight_every_set_of_up_to_three_poisons_and_all_eight_are_found(self):
        layouts = [set(chosen) for n in (0, 1, 2, 3, 8) for chosen in itertools.combinations(range(8), n)]
        self.split(8, layouts, 40)

    def test_poisons_among_thousands_that_wait_before_the_start_are_the_only_dead_letters(self):
        r = self.road
        r.people(4000)
        self.poison(1)
        chance = random.Random(3)
        bad = set(chance.sample(range(4000), 12))
        records = [event(n, "promo.sent", subject=f"poison-0-{chance.choice(POISONS)}" if n in bad else "good") for n in range(4000)]
        r.publish(records)
        r.pg.sql("update postrider.sender set rate = 100000")
        r.dispatcher(dispatch__claim_ahead=4000, dispatch__window=4096)
        r.settled(40)
        self.only_poisons_are_dead(records)

    # ---- what meets in a batch ----

    def test_an_id_repeated_to_one_person_is_one_message_and_a_duplicate_each(self):
        r = self.road
        r.people(100)
        with self.in_whole_batches(waiting=200):
            r.publish([event(n, "promo.sent") for n in range(100) for _ in range(3)], partition=0)
        r.settled(30)
        self.assertEqual(r.fates(), {"sent": 102, "duplicate:same_message": 200})
        r.check(self)

    def test_an_id_repeated_to_two_people_goes_to_the_first_alone(self):
        r = self.road
        r.people(200)
        with self.in_whole_batches(waiting=100):
            r.publish([event(n, "promo.sent", to=address(to)) for n in range(100) for to in (n, 100 + n)], partition=0)
        r.settled(30)
        self.assertEqual(r.fates(), {"sent": 102, "duplicate:same_message": 100})
        self.assertEqual({line["to"].lstrip("+") for line in r.sandbox.record()}, {address(n).lstrip("+") for n in [*range(100), 99990, 99991]})
        r.check(self)

    def test_a_purchase_in_the_batch_of_its_reminder_cancels_it_by_the_subject(self):
        r = self.road
        r.people(100)
        rules = road.RULES + [rule("left", "cart.left", "cart", cancel_on=[{"type": "order.paid", "match": "subject"}]), rule("paid", "order.paid", "order")]
        file = r.env.write(f"{r.name}.json", {"tenant": "aurora", "rules": rules})
        r.env.run("postrider", "apply", file, "--tenant", "aurora", "--db", r.pg.conninfo)
        with self.in_whole_batches():
            for first, second in (("cart.left", "order.paid"), ("order.paid", "cart.left")):
                people = {"cart.left": 0, "order.paid": 50}
                times = {"cart.left": road.now(-5), "order.paid": road.now(-1)}
                more = 25 * (first == "order.paid")
                r.publish([event(people[kind] + n + more, kind, subject=f"cart-{n + more}", time=times[kind]) for n in range(25) for kind in (first, second)],
                          partition=0)
        r.settled(30)
        self.assertEqual(r.fates(), {"sent": 52, "cancelled": 50})
        together = r.count("""select count(*) from postrider.message c join postrider.message p using (subject)
                              where c.rule = 'left' and p.rule = 'paid' and c.xmin = p.xmin""")
        self.assertEqual(together, 50, "they were not claimed in one statement, so this proves nothing")
        r.check(self)

    def test_a_purchase_of_the_same_person_cancels_the_reminder_in_whatever_order_they_lie(self):
        r = self.road
        r.people(60)
        records = []
        for n in range(60):
            both = [event(n, "cart.abandoned", time=road.now(300)), event(n, time=road.now(301))]
            records += both if n % 2 else both[::-1]
        r.publish(records, partition=0)
        r.dispatcher()
        r.settled(20, deferred=0)  # long before the reminders' time
        self.assertEqual(r.fates(), {"sent": 60, "cancelled": 60})
        self.assertEqual({line["template"] for line in r.sandbox.record()}, {"order"})
        r.check(self)


if __name__ == "__main__":
    env.main()
