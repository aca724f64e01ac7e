#!/usr/bin/env -S python3 -B
"""A partition that stands still: others go on, nothing is read twice, nothing is lost when it moves; and the watchdog says why a lane stands."""

import collections
import pathlib
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import address, env, event  # noqa: E402

WINDOW = 16
HELD, FREE = 0, 1  # partitions
# The smallest memory: of a partition some 1,400 records between consumer and lane and 3,072 fetched ahead.
TIGHT = {"dispatch__memory.max": "32MiB", "dispatch__window": WINDOW, "provider__timeout": "60s"}
FETCHED = re.compile(r"Enqueue (\d+) message\(s\) \(\d+ bytes, \d+ ops\) on (\S+) \[(\d+)\] fetch queue")


class Backpressure(road.RoadCase):
    def fetched(self, *processes):
        """Records by partition that librdkafka put into its queues, by its own debug log."""
        count = collections.Counter()
        for process in processes:
            for n, topic, part in FETCHED.findall(process.output()):
                if topic == self.road.topic:
                    count[int(part)] += int(n)
        return count

    def sent(self):
        return self.road.count("select count(*) from postrider.fate where fate = 'sent'")

    def publish(self, first, n, part):
        """In sets of 1,000: a fetch brings one set."""
        events = [event(i) for i in range(first, first + n)]
        for i in range(0, n, 1000):
            self.road.publish(events[i:i + 1000], partition=part)

    def hold(self, held, free):
        """The window of one partition is full of people for whom the platform hangs."""
        r = self.road
        r.people(held + free)
        for n in range(WINDOW):
            r.sandbox.fault("hang_before", match={"to": address(n)}, times=1)
        self.publish(0, held, HELD)
        self.publish(held, free, FREE)

    def release(self):
        self.road.sandbox.admin("cut", {"how": "cut"})

    def test_a_full_partition_is_left_alone_while_another_goes_on_and_nothing_is_fetched_twice(self):
        r, held, free = self.road, 8000, 500
        self.hold(held, free)
        d = r.dispatcher(log__level="debug", kafka__debug="msg", **TIGHT)
        env.wait_until(lambda: self.sent() == free, 40, "the free partition is done")
        self.assertEqual(r.sandbox.stats()["open"], WINDOW)
        self.assertEqual(r.metric("postrider_records_total"), WINDOW + free)
        self.assertLess(self.fetched(d)[HELD], held, "fetching stops when nobody takes the records")
        env.wait_until(lambda: r.metric("postrider_lag") == held == r.metric("postrider_lag_max"), 10, "the lag is told")
        self.release()
        r.settled(60, deferred=WINDOW)
        self.assertEqual(self.fetched(d), {HELD: held, FREE: free}, "each record was fetched once")
        self.assertEqual(r.fates(), {"sent": held + free - WINDOW, "unknown": WINDOW})
        env.wait_until(lambda: r.metric("postrider_lag") == 0, 10, "no lag")
        r.check(self)

    def test_one_that_hangs_holds_back_its_own_offset_and_no_record_behind_it(self):
        r, n = self.road, 20 * WINDOW
        r.people(n)
        r.sandbox.fault("hang_before", match={"to": address(0)}, times=1)
        self.publish(0, n, HELD)
        first = r.dispatcher("d1", **TIGHT)
        env.wait_until(lambda: self.sent() == n - 1, 40, "all behind it are sent")
        self.assertEqual(r.sandbox.stats()["open"], 1)
        env.wait_until(lambda: r.metric("postrider_lag") == n, 10, "its offset, the first, is not committed")
        first.signal(signal.SIGKILL)
        self.release()
        r.dispatcher("d2", **TIGHT)  # reads them all again
        r.settled(60, deferred=1)
        self.assertEqual(r.fates(), {"sent": n - 1, "unknown": 1})
        self.assertEqual(r.metric("postrider_records_total", "d2"), n)
        r.check(self)

    def test_a_rebalance_while_a_partition_is_full_loses_nothing(self):
        r, held, free = self.road, 2500, 200
        self.hold(held, free)
        r.dispatcher("d1", **TIGHT)
        env.wait_until(lambda: self.sent() == free and r.sandbox.stats()["open"] == WINDOW, 40, "one partition is done, one is full")
        second = r.dispatcher("d2", wait=False, **TIGHT)
        second.wait_for("event=assigned", 60)
        self.release()
        self.publish(held + free, 100, HELD)  # both partitions go on after the move
        self.publish(held + free + 100, 100, FREE)
        r.people(200, first=held + free)
        r.settled(90, deferred=WINDOW)
        r.check(self)

    def test_a_partition_that_was_full_and_moved_is_empty_again_where_it_left(self):
        r = self.road
        self.hold(1500, 0)
        first = r.dispatcher("d1", **TIGHT)
        env.wait_until(lambda: r.sandbox.stats()["open"] == WINDOW, 40, "the window is full")
        first.stop(60)  # writes the unknown ones down and leaves the group
        r.dispatcher("d2", **TIGHT)
        r.settled(60, deferred=WINDOW)
        r.check(self)


    def test_the_ceiling_is_printed_and_a_limit_of_producers_beside_it_does_no_harm(self):
        for most in ("1000", "10000000", "1000000000"):
            # Shared with producers in kafka.*; librdkafka wants no consumer that fetches less than that.
            done = subprocess.run([env.program("postrider-dispatcher"), *self.road.options(**{"kafka__message.max.bytes": most}), "--check-config"],
                                  capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            self.assertRegex(done.stdout, r"(?m)^memory +ok +at most \d+ MiB and the program: messages in work 40, records on their way \d+ "
                                          r"\(5760 a partition fetched ahead\), connections 8$")


class Stall(road.RoadCase):
    def test_a_platform_that_hangs_is_told_with_the_job_and_its_partition_and_its_end_too(self):
        r = self.road
        r.people(3)
        r.sandbox.fault("hang_before", times=3)
        d = r.dispatcher(dispatch__stall_after="1s", provider__timeout="60s")
        r.publish([event(n) for n in range(3)], partition=2)
        d.wait_for("event=stalled", 30)
        line = next(line for line in d.output().splitlines() if "event=stalled" in line)
        self.assertIn("level=error", line)
        for words in ("lane=0 ", f"topic={r.topic} ", "partition=2 ", "lag=3 ", "cause=platform ", "state=sending ", "sender=main ", "sending=3 "):
            self.assertIn(words, line)
        message = re.search(r" message=(\S+)", line)[1]
        self.assertEqual(r.count(f"select count(*) from postrider.message where id = '{message}' and state <> 11"), 1)
        env.wait_until(lambda: r.metric("postrider_stalled") == 1, 10, "the metric")
        self.assertEqual((r.page("/healthz")[0], r.page("/readyz")[0]), (200, 200), "starting again would cure nothing")
        r.sandbox.admin("cut", {"how": "cut"})
        d.wait_for("event=stall_over", 30)
        env.wait_until(lambda: r.metric("postrider_stalled") == 0, 10, "the metric goes back")
        self.assertEqual(d.output().count("event=stalled"), 1)

    def test_a_database_whose_locks_stop_the_claims_is_told_as_such(self):
        r = self.road
        r.people(2)
        d = r.dispatcher(dispatch__stall_after="1s", postgres__statement_timeout="60s")
        lock = subprocess.Popen(["psql", "-X", "-q", "-At", "-d", r.pg.conninfo], stdin=subprocess.PIPE, text=True)
        self.addCleanup(lock.wait)
        lock.stdin.write("begin; lock table postrider.quota_pool in access exclusive mode;\n")
        lock.stdin.flush()
        env.wait_until(lambda: r.count("select count(*) from pg_locks where mode = 'AccessExclusiveLock' and "
                                       "relation = 'postrider.quota_pool'::regclass and granted"), 10, "the lock")
        r.publish([event(0)], partition=1)
        try:
            d.wait_for("cause=claim", 30)
        finally:
            lock.stdin.close()  # the session ends, and its lock
        r.settled()
        d.wait_for("event=stall_over", 30)

    def test_people_who_sleep_for_quota_are_no_stall(self):
        r = self.road
        r.people(30)
        r.pg.sql("update postrider.quota_pool set people_max = 10, reserve_pct = 0")
        d = r.dispatcher(dispatch__stall_after="2s")
        r.publish([event(n) for n in range(30)])
        r.settled(deferred=20)
        env.wait_until(lambda: r.metric("postrider_lag") == 0, 10, "what sleeps is no lag")
        self.assertEqual(r.count("select count(*) from postrider.deferred where is_asleep"), 20)
        time.sleep(4)
        self.assertEqual(r.metric("postrider_stalled"), 0)
        self.assertNotIn("event=stalled", d.output())

    def test_a_sender_at_its_rate_is_no_stall(self):
        r = self.road
        r.people(8)
        # The next message may go after five seconds; that is longer than the watch waits otherwise.
        r.pg.sql("update postrider.sender set rate = 0.2")
        d = r.dispatcher(dispatch__stall_after="3s")
        r.publish([event(n) for n in range(4)])
        r.settled(40)
        self.assertNotIn("event=stalled", d.output())


if __name__ == "__main__":
    env.main()
