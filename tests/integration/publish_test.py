#!/usr/bin/env python3
"""`postrider publish` against the embedded broker: what it puts there, what it rejects, and how it goes on after every kind of stop."""

import gzip
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import env  # noqa: E402

TOPIC = "postrider.events"
PARTITIONS = 4


def event(n, **attributes):
    return {"specversion": "1.0", "id": f"e-{n}", "source": "/test", "type": "order.confirmed", "time": f"2020-01-01T00:{n // 60 % 60:02}:{n % 60:02}Z",
            "to": f"+5511900{n % 500:06}", "data": {"n": n}} | attributes


def lines(events):
    return "".join(json.dumps(e) + "\n" for e in events)


def murmur2_partition(key, partitions):
    """Kafka's Java client, written again from its description so that it does not share a mistake with ours."""
    h, m = (0x9747b28c ^ len(key)) & 0xffffffff, 0x5bd1e995
    whole = len(key) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i:i + 4], "little") * m & 0xffffffff
        h = (h * m & 0xffffffff) ^ ((k ^ k >> 24) * m & 0xffffffff)
    if key[whole:]:
        h = (h ^ int.from_bytes(key[whole:], "little")) * m & 0xffffffff
    h = (h ^ h >> 13) * m & 0xffffffff
    return ((h ^ h >> 15) & 0x7fffffff) % partitions


class Publish(env.Case):
    def setUp(self):
        super().setUp()
        self.kafka = self.env.broker([f"{TOPIC}:{PARTITIONS}"])

    def publish(self, *arguments, expect=0, stdin=None, **environ):
        return self.env.run("postrider", "publish", *arguments, "--bootstrap", self.kafka.bootstrap, expect=expect, stdin=stdin, environ=environ)

    def records(self):
        return self.kafka.records(TOPIC)

    def count(self):
        """Records in the topic, whatever their bytes."""
        return sum(self.kafka.end_offsets(TOPIC, PARTITIONS))

    def events(self):
        """What `--format json` put there, by id; each partition's order is Kafka's."""
        return {e["id"]: e for e in (json.loads(r["payload"]) for r in self.records())}

    def resume(self, path):
        return json.loads(pathlib.Path(f"{path}.resume").read_text())

    def start(self, *arguments):
        """In the background, for tests that interrupt it."""
        return subprocess.Popen([env.program("postrider"), "publish", *map(str, arguments), "--bootstrap", self.kafka.bootstrap],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_events_arrive_once_with_key_partition_header_and_order(self):
        file = self.env.write("e.ndjson", lines(event(n) for n in range(1000)))
        out = self.publish(file, "--format", "json").stdout
        self.assertIn("published 1,000 of 1,000 events", out)
        records = self.records()
        self.assertEqual(len(records), 1000)
        seen = {}
        for r in records:
            e = json.loads(r["payload"])
            self.assertEqual(r["key"], e["to"])
            self.assertEqual(r["partition"], murmur2_partition(r["key"].encode(), PARTITIONS))
            self.assertEqual(r["headers"], ["content-type", "application/cloudevents+json"])
            self.assertGreater(e["data"]["n"], seen.get(r["key"], -1))
            seen[r["key"]] = e["data"]["n"]
            self.assertEqual(e, event(e["data"]["n"]))

    def test_messagepack_is_the_default_and_is_a_map(self):
        file = self.env.write("e.ndjson", lines([event(1)]))
        self.publish(file)
        done = subprocess.run(["kcat", "-b", self.kafka.bootstrap, "-C", "-t", TOPIC, "-e", "-q", "-f", "%h\n%s"], capture_output=True, timeout=60, check=True)
        headers, _, value = done.stdout.partition(b"\n")
        self.assertEqual(headers, b"content-type=application/cloudevents+msgpack")
        self.assertEqual(value[:13], b"\x87\xabspecversion"[:13])  # a map of seven, its first key
        self.assertIn(b"e-1", value)

    def test_gzip_and_standard_input_give_the_same(self):
        text = lines(event(n) for n in range(50))
        packed = self.env.folder / "e.ndjson.gz"
        packed.write_bytes(gzip.compress(text.encode()))
        self.publish(packed, "--format", "json")
        first = self.events()
        self.publish("-", "--format", "json", stdin=text)
        self.assertEqual(len(self.records()), 100)
        self.assertEqual(self.events(), first)
        self.assertFalse((self.env.folder / "-.resume").exists())

    def test_rejects_name_line_field_and_reason_and_the_rest_goes_out(self):
        bad = [("", None), ("no json", "undecodable"), ('{"specversion":"1.0"', "undecodable"), (json.dumps(event(1, id="")), "bad_attribute"),
               (json.dumps(event(2, time="yesterday")), "bad_attribute"), (json.dumps(event(3, data={"x": "y" * 70000})), "too_large"),
               ("x" * 1500000, "too_large"), (json.dumps(event(4)).replace("order", "\\u0000"), "bad_utf8")]
        file = self.env.write("e.ndjson", "".join(text + "\n" for text, _ in bad) + lines([event(9)]))
        rejects = self.env.folder / "rejects.ndjson"
        done = self.publish(file, "--format", "json", "--rejects", rejects, expect=3)
        self.assertIn("published 1 of 8 events", done.stdout)
        self.assertIn("7 rejected", done.stdout)
        self.assertEqual(list(self.events()), ["e-9"])
        found = [json.loads(line) for line in rejects.read_text().splitlines()]
        self.assertEqual([(r["line"], r["reason"]) for r in found], [(n + 1, reason) for n, (_, reason) in enumerate(bad) if reason])
        self.assertEqual([r["field"] for r in found][2:4], ["id", "time"])
        self.assertEqual(found[2]["record"], event(1, id=""))
        self.assertEqual(found[0]["record"], "no json")
        self.assertTrue(all(r["text"] for r in found))
        self.assertTrue(self.resume(file)["finished"])

    def test_a_record_that_grows_over_the_limit_in_messagepack_is_rejected(self):
        # "0.1," is 4 bytes of JSON and 9 of MessagePack.
        numbers = json.dumps(event(1, data={"x": [0.1] * 15000}), separators=(",", ":"))
        self.assertLess(len(numbers), 65536)
        file = self.env.write("e.ndjson", numbers + "\n")
        self.assertIn("too_large", self.publish(file, expect=3).stderr)
        self.publish(file, "--format", "json", "--again")
        self.assertEqual(len(self.records()), 1)

    def test_raw_publishes_what_is_no_record_as_it_is(self):
        file = self.env.write("e.ndjson", 'no json\n{"specversion":"1.0"\n' + lines([event(1)]))
        self.publish(file, "--raw", "--format", "json")
        by_payload = {r["payload"]: r for r in self.records()}
        self.assertEqual(len(by_payload), 3)
        self.assertNotIn("headers", {k for k, v in by_payload["no json"].items() if v})
        self.assertIn('{"specversion":"1.0"', by_payload)

    def test_a_finished_file_is_not_published_again_unless_told(self):
        file = self.env.write("e.ndjson", lines([event(1)]))
        self.publish(file)
        self.assertIn("already published", self.publish(file).stdout)
        self.assertEqual(self.count(), 1)
        self.publish(file, "--again")
        self.assertEqual(self.count(), 2)

    def test_a_resume_file_of_another_input_topic_or_retime_is_refused(self):
        file = self.env.write("e.ndjson", lines([event(1), event(2)]))
        self.publish(file, "--limit", "1")
        self.assertIn("--retime", self.publish(file, "--retime", "now", expect=1).stderr)
        self.assertIn("topic", self.publish(file, "--topic", "other", expect=1).stderr)
        self.env.write("e.ndjson", lines([event(1), event(3)]))
        self.assertIn("changed", self.publish(file, expect=1).stderr)
        pathlib.Path(f"{file}.resume").write_text("{")
        self.assertIn("--again", self.publish(file, expect=1).stderr)
        self.publish(file, "--again")

    def test_limit_stops_and_the_same_command_goes_on(self):
        file = self.env.write("e.ndjson", lines(event(n) for n in range(10)))
        self.publish(file, "--format", "json", "--limit", "4")
        self.assertEqual(self.resume(file)["line"], 4)
        self.assertEqual(len(self.records()), 4)
        self.publish(file, "--format", "json")
        self.assertEqual(len(self.records()), 10)
        self.assertEqual(len(self.events()), 10)
        self.assertEqual(self.resume(file)["published"], 10)

    def test_retime_now_is_a_function_of_the_line_over_all_runs(self):
        events = [event(n) for n in range(6)]
        events[2] |= {"notbefore": "2020-01-01T02:00:02Z", "expirytime": "2019-12-31T23:00:02Z"}
        del events[3]["time"]
        file = self.env.write("e.ndjson", "\n" + lines(events))
        before = time.time()
        self.publish(file, "--format", "json", "--retime", "now", "--limit", "3")
        base = self.resume(file)["base"]
        self.publish(file, "--format", "json", "--retime", "now")
        self.assertEqual(self.resume(file)["base"], base)
        seen = self.events()
        base_us = micros(base)
        self.assertLess(abs(base_us / 1e6 - before), 10)
        for n in range(6):
            self.assertEqual(micros(seen[f"e-{n}"]["time"]), base_us + n + 2)
        self.assertEqual(micros(seen["e-2"]["notbefore"]) - micros(seen["e-2"]["time"]), 7200 * 10**6)
        self.assertEqual(micros(seen["e-2"]["expirytime"]) - micros(seen["e-2"]["time"]), -3600 * 10**6)

    def test_retime_faster_shortens_the_gaps_and_waits_for_each_event(self):
        events = [event(0), event(1, time="2020-01-01T00:16:40Z"), event(2, time="2020-01-01T00:33:20Z")]  # 1,000 s apart
        file = self.env.write("e.ndjson", lines(events))
        started = time.monotonic()
        self.publish(file, "--format", "json", "--retime", "1000x")
        self.assertGreaterEqual(time.monotonic() - started, 1.9)
        seen = self.events()
        times = [micros(seen[f"e-{n}"]["time"]) for n in range(3)]
        self.assertEqual([times[1] - times[0], times[2] - times[1]], [1000000, 1000000])
        self.assertEqual(times[0], micros(self.resume(file)["base"]))

    def test_rate_is_kept(self):
        file = self.env.write("e.ndjson", lines(event(n) for n in range(40)))
        started = time.monotonic()
        self.publish(file, "--rate", "20/s")
        self.assertGreaterEqual(time.monotonic() - started, 1.9)

    def test_ctrl_c_stops_cleanly_and_nothing_is_lost_or_doubled(self):
        file = self.env.write("e.ndjson", lines(event(n) for n in range(3000)))
        process = self.start(file, "--format", "json", "--rate", "1000/s")
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertIn("the same command goes on", said)
        line = self.resume(file)["line"]
        self.assertTrue(0 < line < 3000, line)
        self.assertEqual(len(self.records()), line)
        self.publish(file, "--format", "json")
        self.assertEqual(len(self.records()), 3000)
        self.assertEqual(len(self.events()), 3000)

    def test_after_kill_nothing_is_lost_and_few_are_doubled(self):
        file = self.env.write("e.ndjson", lines(event(n) for n in range(4000)))
        process = self.start(file, "--format", "json", "--rate", "1000/s")
        time.sleep(1.8)
        process.kill()
        process.communicate()
        line = self.resume(file)["line"]
        self.assertLessEqual(line, len(self.records()))
        self.publish(file, "--format", "json")
        self.assertEqual(len(self.events()), 4000)
        self.assertLessEqual(len(self.records()), 4000 + 1500)

    def test_a_pipe_is_published_as_it_comes_and_resumes_with_a_named_file(self):
        resume = self.env.folder / "pipe.resume"
        arguments = ["-", "--format", "json", "--resume", resume]
        text = lines(event(n) for n in range(2000))  # over 64 KiB, which identify it
        process = subprocess.Popen([env.program("postrider"), "publish", *map(str, arguments), "--bootstrap", self.kafka.bootstrap],
                                   stdin=subprocess.PIPE, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        process.stdin.write(text)
        process.stdin.flush()
        env.wait_until(lambda: len(self.records()) == 2000, what="all that is in the pipe is on Kafka while it is open")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 1)
        self.assertEqual(json.loads(resume.read_text())["line"], 2000)
        self.publish(*arguments, stdin=text + lines([event(2001)]))
        self.assertEqual(len(self.records()), 2001)

    def test_without_a_broker_it_fails_and_keeps_its_place(self):
        file = self.env.write("e.ndjson", lines(event(n) for n in range(5)))
        port = env.free_port()
        done = self.env.run("postrider", "publish", file, "--bootstrap", f"127.0.0.1:{port}", expect=1)
        self.assertIn("Kafka does not answer", done.stderr)
        self.assertEqual(self.resume(file)["line"], 0)
        self.publish(file)

    def test_a_broker_that_goes_away_leaves_the_place_before_what_failed(self):
        file = self.env.write("e.ndjson", lines(event(n) for n in range(2000)))
        process = self.start(file, "--rate", "500/s", "--kafka", "message.timeout.ms=2000")
        time.sleep(1.5)
        self.env.processes[0].stop()
        said = process.communicate(timeout=60)[1]
        self.assertEqual(process.returncode, 1)
        self.assertIn("could not be delivered", said)
        self.assertTrue(0 < self.resume(file)["line"] < 2000)

    def test_a_cut_gzip_fails_and_says_so(self):
        packed = gzip.compress(lines(event(n) for n in range(20000)).encode())
        file = self.env.folder / "e.ndjson.gz"
        file.write_bytes(packed[:len(packed) * 3 // 4])
        self.assertIn("cut off", self.publish(file, expect=1).stderr)
        self.assertGreater(self.resume(file)["line"], 1000)

    def test_dry_run_checks_without_kafka_and_leaves_nothing(self):
        file = self.env.write("e.ndjson", lines([event(1)]) + "no json\n")
        done = self.env.run("postrider", "publish", file, "--dry-run", expect=3)
        self.assertIn("would publish 1 of 2 events", done.stdout)
        self.assertFalse(pathlib.Path(f"{file}.resume").exists())
        self.assertEqual(self.records(), [])

    def test_settings_come_from_environment_option_and_secret_file(self):
        file = self.env.write("e.ndjson", lines([event(1)]))
        secret = self.env.write("secret", "hunter2\n")
        self.env.run("postrider", "publish", file, environ={"POSTRIDER_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap})
        self.publish(file, "--again", "--kafka", f"sasl.password_file={secret}", "--kafka=compression.codec=none", POSTRIDER_KAFKA_CONSUMER_NONSENSE="1")
        self.assertIn("No such configuration property", self.publish(file, "--again", "--kafka", "nonsense=1", expect=1).stderr)
        self.assertEqual(self.env.run("postrider", "publish", file, "--kafka", "nonsense", expect=2).stdout, "")
        without = {k: "" for k in os.environ if k.startswith("POSTRIDER_KAFKA")}
        self.assertIn("--bootstrap", self.env.run("postrider", "publish", file, "--again", expect=1, environ=without).stderr)

    def test_wrong_values_are_usage_errors(self):
        for arguments in (["--retime", "soon"], ["--retime", "0x"], ["--retime", "-5x"], ["--rate", "fast"], ["--rate", "0/s"], ["--format", "xml"],
                          ["--limit", "0"]):
            self.publish("x.ndjson", *arguments, expect=2)
        self.publish("/nonexistent.ndjson", expect=1)


def micros(text):
    whole, _, fraction = text.rstrip("Z").partition(".")
    return int(time.mktime(time.strptime(whole + " UTC", "%Y-%m-%dT%H:%M:%S %Z")) - time.timezone) * 10**6 + int((fraction + "000000")[:6])


if __name__ == "__main__":
    env.main()
