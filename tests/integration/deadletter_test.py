#!/usr/bin/env -S python3 -B
"""`postrider deadletter redrive` and `purge` on the whole road: what the database refused is sent once after the cure, bytes come back as they were,
and nothing goes round for ever."""

import json
import pathlib
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import env, event  # noqa: E402

# Refuses the first claim of a message, or only its return from `deferred`.
POISON = """
create schema if not exists trial;
create or replace function trial.poison() returns trigger language plpgsql as $$
begin
    if new.subject like 'poison%' then
        raise exception 'poison' using errcode = '22P02';
    end if;
    return new;
end $$;
"""
FIRST = POISON + "create trigger poison before insert on postrider.message for each row execute function trial.poison();"
RETURN = POISON + """create trigger poison before update on postrider.message for each row when (new.state = 1 and old.state in (3, 5))
                     execute function trial.poison();"""
CURE = "drop trigger poison on postrider.message"
# Everything that a letter has, to see that nothing changed.
ALL = "select md5(string_agg(l::text, '|' order by l.topic, l.part, l.off)) from postrider.dead_letter l"


class Letters(road.RoadCase):
    def run_it(self, verb, *arguments, expect=0, kafka=True, **more):
        r = self.road
        bootstrap = ["--bootstrap", r.kafka.bootstrap] if kafka else []
        return r.env.run("postrider", "deadletter", verb, *arguments, *bootstrap, "--db", r.pg.conninfo, expect=expect, **more)

    def redrive(self, *arguments, **more):
        """The result, as an object."""
        done = self.run_it("redrive", "--json", *arguments, **more)
        return json.loads(done.stdout)

    def purge(self, *arguments, **more):
        return self.run_it("purge", *arguments, kafka=False, **more)

    def status(self):
        r = self.road
        done = r.env.run("postrider", "status", "--json", "--bootstrap", r.kafka.bootstrap, "--topics", r.topic, "--group", r.group, "--db", r.pg.conninfo)
        return json.loads(done.stdout)

    def letters(self, columns="reason, redrives, state"):
        return self.road.pg.rows(f"select {columns} from postrider.letter order by at, partition, off")

    def raw(self):
        """The topic's records, byte for byte: (partition, ms, headers as kcat writes them, key, value)."""
        done = subprocess.run(["kcat", "-b", self.road.kafka.bootstrap, "-C", "-t", self.road.topic, "-o", "beginning", "-e", "-q",
                               "-f", "%p %o %T %K %S %h\n%k%s"], capture_output=True, timeout=60, check=True)
        left, records = done.stdout, []
        while left:
            head, _, left = left.partition(b"\n")
            part, _, at, key_n, n, *headers = head.split(b" ", 5)
            key_n, n = int(key_n), int(n)
            key = left[:key_n] if key_n >= 0 else None
            value = left[max(key_n, 0):max(key_n, 0) + n]
            records.append((int(part), int(at), headers[0] if headers else b"", key, value))
            left = left[max(key_n, 0) + max(n, 0):]
        return records

    def rubbish(self, n=1, value=b"\xc1 no record %d"):
        """Publishes what is no record and waits until the letters are there."""
        r = self.road
        for number in range(n):
            r.publish([(f"k{number}", value % number if b"%d" in value else value)])
        r.settled(20)

    def bad_records(self, n=1):
        self.road.dispatcher()
        self.rubbish(n)


class OnKafka(Letters):
    """The real one: what the embedded one might take more easily."""

    real_kafka = True

    def test_key_value_headers_and_time_are_the_same_byte_for_byte(self):
        r = self.road
        every = bytes(range(256))
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"\x00" + every + b"\n")
            file.flush()
            for key, headers in (("k-1", ["a=1", "b=", "a=2", "none", "content-type=application/x", b"\xff\xfe=\xfd"]), (None, []), ("", ["x=y"]), ("é", [])):
                arguments = [] if key is None else ["-k", key]
                for header in headers:
                    arguments += ["-H", header]
                subprocess.run(["kcat", "-b", r.kafka.bootstrap, "-P", "-t", r.topic, "-X", "topic.partitioner=murmur2_random", *arguments, file.name],
                               check=True, timeout=60)
                r.published += 1
        before = self.raw()
        self.assertEqual(len(before), 4)
        process = r.dispatcher()
        r.settled(20)
        process.stop()
        self.assertEqual(self.redrive()["through_kafka"], 4)
        after = self.raw()
        expected = sorted((at, b"postrider-redrives=1" + (b"," + headers if headers else b""), key or b"", value) for _, at, headers, key, value in before)
        again = [record for record in after if b"postrider-redrives" in record[2]]
        self.assertEqual(sorted((at, headers, key or b"", value) for _, at, headers, key, value in again), expected)
        self.assertEqual(sorted(record for record in after if record not in again), sorted(before))
        parts = {key: part for part, _, _, key, _ in before if key}
        self.assertEqual({key: part for part, _, _, key, _ in again if key}, parts, "a key keeps its partition")

    def test_a_topic_that_is_gone_is_named_with_the_way_round_it(self):
        r = self.road
        self.bad_records(2)
        r.stop()
        r.pg.sql("insert into postrider.topic (name) values ('nowhere'); "
                 "update postrider.dead_letter set topic = (select id from postrider.topic where name = 'nowhere') where key = 'k0'")
        self.assertIn("--where \"topic <> 'nowhere'\"", self.run_it("redrive", expect=1).stderr)
        self.assertEqual(self.letters("state"), [{"state": "open"}] * 2)
        self.assertEqual(self.redrive("--where", "topic <> 'nowhere'")["redriven"], 1)


class DeadLetter(Letters):
    # ---- redriven after the cure ----

    def test_what_the_database_refused_at_its_first_claim_is_sent_once_after_the_cure(self):
        r = self.road
        r.people(20)
        r.pg.sql(FIRST)
        r.dispatcher()
        r.publish([event(n, subject="poison" if n < 3 else "good") for n in range(20)])
        r.settled(20)
        self.assertEqual(r.fates(), {"sent": 17, "dead_letter:22P02": 3})
        self.assertEqual([x["type"] for x in self.letters("type")], ["order.confirmed"] * 3)
        r.pg.sql(CURE)
        done = self.redrive()
        self.assertEqual([done[k] for k in ("letters", "redriven", "through_kafka", "in_ledger")], [3, 3, 3, 0])
        r.published += 3
        r.settled(20)
        self.assertEqual(r.fates(), {"sent": 20, "dead_letter:22P02": 3})
        r.check(self)
        self.assertEqual(self.redrive(expect=4)["letters"], 0)
        self.assertEqual((self.status()["dead_letters"], self.status()["unaccounted"]), (3, 0))

    def test_what_the_database_refused_when_it_came_back_is_sent_once_after_the_cure(self):
        r = self.road
        r.people(6)
        r.pg.sql(RETURN)
        r.dispatcher()
        r.publish([event(n, "order.later", subject="poison" if n < 2 else "good") for n in range(6)])
        r.settled(30, deferred=0)
        self.assertEqual(r.fates(), {"sent": 4, "dead_letter:22P02": 2})
        self.assertEqual([x["message"] is not None for x in self.letters("message")], [True, True])
        # Not cured yet: it fails again, and the letter is open again and counts.
        done = self.redrive(kafka=False)
        self.assertEqual([done[k] for k in ("letters", "redriven", "through_kafka", "in_ledger")], [2, 2, 0, 2])
        env.wait_until(lambda: self.letters() == [{"reason": "22P02", "redrives": "1", "state": "open"}] * 2, 20, "they failed again")
        self.assertEqual(self.status()["unaccounted"], 0)
        r.pg.sql(CURE)
        self.assertEqual(self.redrive(kafka=False)["in_ledger"], 2)
        env.wait_until(lambda: r.fates() == {"sent": 6}, 20, "all are sent")
        r.settled(20, deferred=0)
        r.check(self)
        self.assertEqual(self.letters("redrives, state"), [{"redrives": "2", "state": "redriven"}] * 2)
        self.assertEqual([self.status()[k] for k in ("sent", "dead_letters", "unaccounted")], [6, 0, 0])
        self.assertIn("redriven", self.run_it("list", kafka=False).stdout)

    def test_a_crash_between_kafka_and_the_mark_publishes_again_and_sends_once(self):
        r = self.road
        r.people(2)
        r.pg.sql(FIRST)
        r.dispatcher()
        r.publish([event(0, subject="poison")])
        r.settled(20)
        r.pg.sql(CURE)
        r.pg.sql("alter function postrider.redriven_v1(date[], smallint[], int[], bigint[]) rename to redriven_v0")
        failed = self.run_it("redrive", expect=1)
        self.assertIn("1 letters are on Kafka and could not be marked", failed.stderr)
        self.assertEqual(self.letters("redrives, state"), [{"redrives": "0", "state": "open"}])
        r.pg.sql("alter function postrider.redriven_v0(date[], smallint[], int[], bigint[]) rename to redriven_v1")
        self.assertEqual(self.redrive()["redriven"], 1)
        r.published += 2
        r.settled(20)
        self.assertEqual(r.fates(), {"sent": 1, "duplicate:same_message": 1, "dead_letter:22P02": 1})
        r.check(self)

    # ---- which, and how many ----

    def test_a_dry_run_counts_and_changes_nothing(self):
        r = self.road
        self.bad_records(3)
        self.rubbish(1, b'{"specversion":"1.0","id":""}')
        before, ends = r.pg.sql(ALL), r.kafka.end_offsets(r.topic, road.PARTITIONS)
        done = self.redrive("--dry-run", kafka=False)
        self.assertEqual([done[k] for k in ("letters", "redriven", "dry_run")], [4, 0, True])
        self.assertEqual({(h["reason"], h["topic"], h["type"], h["letters"]) for h in done["histogram"]},
                         {("undecodable", r.topic, None, 3), ("bad_attribute", r.topic, None, 1)})
        text = self.run_it("redrive", "--dry-run", kafka=False).stdout
        self.assertRegex(text, r"undecodable +\S+ +\S+ +3 +\d+\n")
        self.assertIn("would redrive 4 letters: 4 through Kafka, 0 in the ledger; nothing was changed", text)
        self.assertIn("would purge 4 letters, 4 of them open; nothing was changed", self.purge("--all", "--dry-run").stdout)
        self.assertEqual((r.pg.sql(ALL), r.kafka.end_offsets(r.topic, road.PARTITIONS)), (before, ends))

    def test_max_takes_the_oldest(self):
        self.bad_records(5)
        self.assertEqual(self.redrive("--max", "2", "--dry-run")["letters"], 2)
        self.road.stop()
        self.assertEqual(self.redrive("--max", "2")["redriven"], 2)
        self.assertEqual([x["state"] for x in self.letters()], ["redriven"] * 2 + ["open"] * 3)
        self.assertEqual(self.redrive("--max", "3")["redriven"], 3)
        self.assertEqual(self.redrive(expect=4)["redriven"], 0)

    def test_where_since_and_before_choose(self):
        r = self.road
        self.bad_records(3)
        r.stop()
        r.pg.sql("update postrider.dead_letter set at = at - interval '2 days' where key = 'k0'")

        def n(*arguments):
            return self.redrive("--dry-run", *arguments, expect=0 if arguments[-1] != "none" else 4)["letters"]
        self.assertEqual([n("--since", "1d"), n("--before", "1d"), n("--since", "3d")], [2, 1, 3])
        self.assertEqual([n("--where", w) for w in ("key = 'k1'", "reason like 'undec%' -- a comment", "bytes > 5 and day = current_date", "tenant is null")],
                         [1, 3, 2, 3])
        self.assertEqual(n("--since", "1d", "--where", "key = 'k0' or key = 'k1'"), 1)
        self.assertEqual(self.redrive("--where", "reason = 'none'", expect=4)["letters"], 0)

    def test_a_condition_that_cannot_be_read_is_shown_with_the_columns(self):
        self.bad_records(1)
        before = self.road.pg.sql(ALL)
        for where, says in (("reson = 'x'", "reson"), ("reason = ", "syntax error"), ("1", "boolean"), ("bytes > 'x'", "integer"),
                            ("true; select 1", "syntax error"), ("no_such(1)", "no_such"), ("(select n from nowhere) = 1", "nowhere"),
                            ("postrider.purge_v1(array[ledger_day], array[ledger_topic], array[partition], array[off]) > 0", "read-only")):
            done = self.run_it("redrive", "--where", where, expect=2)
            self.assertIn(says, done.stderr)
            self.assertIn("kafka_at, tenant, type", done.stderr)
        self.assertEqual(self.road.pg.sql(ALL), before)

    def test_wrong_options_are_usage_errors(self):
        for arguments in (["--rate", "fast"], ["--rate", "0/s"], ["--max", "0"], ["--since", "yesterday"], ["--before", "x"], ["word"]):
            self.run_it("redrive", *arguments, expect=2)
        for arguments in ([], ["--all", "--where", "true"], ["--max", "3"], ["--all", "word"]):
            self.purge(*arguments, expect=2)

    # ---- round and round ----

    def test_what_came_back_three_times_is_left_alone_until_told(self):
        r = self.road
        self.bad_records(1)
        for n in (1, 2, 3):
            self.assertEqual(self.redrive()["redriven"], 1)
            r.published += 1
            env.wait_until(lambda n=n: r.count("select count(*) from postrider.letter where state = 'open'") == 1 and len(self.letters()) == n + 1, 20, "it came back")
            self.assertEqual(self.letters()[-1], {"reason": "undecodable", "redrives": str(n), "state": "open"})
        done = self.run_it("redrive", expect=3)
        self.assertIn("redriven 3 times already", done.stdout)
        self.assertEqual(self.redrive("--dry-run", expect=3)["often"], 1)
        self.rubbish(1)  # another one goes, and does not wait for room behind the one that is left alone
        done = self.redrive("--max", "1", expect=3)
        self.assertEqual((done["redriven"], done["often"]), (1, 1))
        r.published += 1
        r.stop()
        self.assertEqual(self.redrive("--again", "--where", "redrives >= 3")["redriven"], 1)
        self.assertEqual(sorted(record[2] for record in self.raw())[-1], b"postrider-redrives=4")
        self.assertEqual(sum(b"postrider-redrives" in record[2] for record in self.raw()), 5)

    def test_interrupted_it_stops_between_two_letters_and_goes_on_later(self):
        r = self.road
        self.bad_records(3)
        r.stop()
        process = subprocess.Popen([env.program("postrider"), "deadletter", "redrive", "--rate", "1/h", "--bootstrap", r.kafka.bootstrap, "--db", r.pg.conninfo],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.kill)
        env.wait_until(lambda: [x["state"] for x in self.letters()] == ["redriven", "open", "open"], 20, "the first is marked and the pace holds the next")
        self.assertIn("another redrive is running", self.run_it("redrive", expect=1).stderr)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("redrove 1 of 3 letters", out)
        self.assertIn("the same command goes on", err)
        self.assertEqual(self.redrive()["redriven"], 2)
        self.assertEqual(sum(b"postrider-redrives" in record[2] for record in self.raw()), 3)

    # ---- what cannot be done ----

    def test_without_kafka_nothing_is_marked(self):
        self.bad_records(1)
        self.assertIn("--bootstrap", self.run_it("redrive", kafka=False, expect=1).stderr)
        self.assertEqual(self.letters("state"), [{"state": "open"}])

    def test_what_kafka_refuses_for_its_size_is_skipped_and_stays_open(self):
        r = self.road
        self.bad_records(1)
        self.rubbish(1, b"\xc1" + b"x" * 200000)
        r.stop()
        done = self.redrive("--kafka", "message.max.bytes=100000", expect=3)
        self.assertEqual((done["redriven"], done["refused"]), (1, 1))
        self.assertEqual([x["state"] for x in self.letters("state")], ["redriven", "open"])

    # ---- purge ----

    def test_purge_asks_empties_and_leaves_the_account_as_it_was(self):
        r = self.road
        self.bad_records(3)
        before = self.status()
        self.assertIn("--yes", self.purge("--all", expect=1).stderr)
        self.assertEqual([x["state"] for x in self.letters()], ["open"] * 3)
        self.assertIn("purged 1 of 1 letters", self.purge("--where", "key = 'k1'", "--yes").stdout)
        done = json.loads(self.purge("--all", "--yes", "--json").stdout)
        self.assertEqual([done[k] for k in ("letters", "open", "purged")], [2, 2, 2])
        self.assertEqual(r.count("select count(*) from postrider.dead_letter where key is not null or value is not null or detail <> ''"), 0)
        self.run_it("list", kafka=False, expect=4)
        self.purge("--all", "--yes", expect=4)
        self.redrive(expect=4)
        after = self.status()
        self.assertEqual([after[k] for k in ("dead_letters", "unaccounted")], [before["dead_letters"], 0])
        r.check(self)


if __name__ == "__main__":
    env.main()
