#!/usr/bin/env -S python3 -B
"""The test environment itself: what it starts works, and nothing of it is left, however a test ends."""

import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

import env
import ports


class Postgres(env.Case):
    def test_settings_are_productions_and_rows_survive_a_crash(self):
        pg = self.env.postgres()
        self.assertEqual(pg.sql("show fsync; show synchronous_commit; show full_page_writes"), "on\non\non")
        pg.sql("create table t (n int, s text); insert into t values (1, 'a'), (2, null)")
        pg.crash()
        pg.start()
        self.assertEqual(pg.rows("select * from t order by n"), [{"n": "1", "s": "a"}, {"n": "2", "s": ""}])
        with self.assertRaises(RuntimeError):
            pg.sql("select nonsense")


class Broker(env.Case):
    def test_the_embedded_broker_takes_and_gives_records(self):
        kafka = self.env.broker(["a:3"])
        kafka.produce("a", "line one\nline two", key="k", headers={"content-type": "text/plain"})
        record = kafka.records("a")[0]
        self.assertEqual((record["key"], record["payload"], record["headers"]), ("k", "line one\nline two", ["content-type", "text/plain"]))
        self.assertEqual(sum(kafka.end_offsets("a", 3)), 1)


class Kafka(env.Case):
    def test_a_real_broker_keeps_records_over_kill_and_revival(self):
        kafka = self.env.kafka(topics=["a:2"])
        kafka.produce_lines("a", [f"k{i}\tv{i}" for i in range(100)])
        kafka.kill(1)
        kafka.revive(1)
        self.assertEqual(len(kafka.records("a")), 100)


class Ports(unittest.TestCase):
    def test_no_outgoing_connection_takes_the_port_of_a_server_that_is_down(self):
        given_out, _ = map(int, pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        if given_out <= ports.SPAN + 1024:
            self.skipTest(f"the kernel gives out ports from {given_out} on")
        self.assertTrue(all(port < given_out for port in ports.free_ports(50)))

    def test_ports_asked_for_together_are_distinct(self):
        self.assertEqual(len(set(ports.free_ports(50))), 50)


class Reaper(env.Case):
    def test_nothing_is_left_when_the_test_is_killed(self):
        script = f"""
import sys
sys.path.insert(0, {str(env.SUPPORT)!r})
import env, time
e = env.Env()
e.postgres()
e.broker(["a:1"])
print(e.folder, flush=True)
time.sleep(600)
"""
        child = subprocess.Popen([sys.executable, "-B", "-c", script], stdout=subprocess.PIPE, text=True)
        folder = pathlib.Path(child.stdout.readline().strip())
        self.assertTrue((folder / "pg").exists())
        child.send_signal(signal.SIGKILL)
        child.wait()
        child.stdout.close()
        env.wait_until(lambda: not folder.exists(), 20, f"{folder} is removed")
        time.sleep(0.1)
        left = [p for p in os.listdir("/proc") if p.isdigit() and str(folder) in self._command(p)]
        self.assertEqual(left, [])

    @staticmethod
    def _command(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        except OSError:
            return ""


if __name__ == "__main__":
    env.main()
