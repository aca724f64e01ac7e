#!/usr/bin/env -S python3 -B
"""The journal: after a crash of the process only what was on the wire is unknown, and what was claimed behind it is sent once."""

import pathlib
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import road  # noqa: E402
from road import env, event  # noqa: E402


class Journal(road.RoadCase):
    """With dispatch.state_dir: what was claimed and not handed over is sent after a restart under the same name."""

    def setUp(self):
        super().setUp()
        self.folder = self.road.env.folder / f"state-{self.road.name}"
        self.folder.mkdir()
        self.options = {"dispatch__in_flight": 24, "dispatch__claim_ahead": 200, "dispatch__state_dir": self.folder}

    def claimed(self):
        return self.road.count("select count(*) from postrider.fate where fate = 'claimed'")

    def wait_for_crash(self, sent):
        """Until so many are sent, places on the wire are taken and many more are claimed behind them."""
        env.wait_until(lambda: self.road.sandbox.stats()["accepted"] >= sent, 30, f"{sent} are sent", every=0.01)
        env.wait_until(lambda: self.road.sandbox.stats()["open"] >= 20 and self.claimed() >= 150, 20, "20 on the wire, 150 claimed", every=0.005)

    def kill(self, dispatcher):
        """How many were claimed without an answer at that moment."""
        dispatcher.signal(signal.SIGKILL)
        return self.claimed()

    def all_have_a_fate(self, messages, unknown):
        """Each message one fate; at most so many unknown, and not none: a kill with requests on the wire that leaves none was no such kill."""
        r = self.road
        r.settled(60)
        fates = r.fates()
        self.assertEqual(set(fates), {"sent", "unknown"}, fates)
        self.assertEqual(sum(fates.values()), messages)
        self.assertLessEqual(fates["unknown"], unknown)
        self.assertGreater(fates["unknown"], 0)
        r.check(self)
        self.assertEqual(r.count("select count(*) from (select contact from postrider.reach) x"), messages, "a quota slot a person")
        self.assertEqual(r.count("select sum(n) from postrider.bucket"), messages, "slots counted twice")

    def test_after_a_kill_only_what_was_on_the_wire_is_unknown(self):
        r = self.road
        r.people(600)
        r.sandbox.config(latency={"fixed_ms": 300})
        self.assertEqual(r.bound(**self.options), 24)
        first = r.dispatcher(**self.options)
        r.publish([event(n) for n in range(600)])
        self.wait_for_crash(60)
        claimed = self.kill(first)
        again = r.dispatcher(**self.options)
        self.all_have_a_fate(600, 24)
        self.assertGreater(claimed - r.fates()["unknown"], 100, "claimed, not handed over, sent")
        self.assertRegex(again.output(), r"event=journal name=d1 epoch=1 open=\d+ ")
        self.assertEqual(r.count("select count(*) from postrider.journal"), 1)
        sent_twice = r.count("select count(*) from postrider.outcome where attempt > 1")
        self.assertEqual(sent_twice, 0)

    def test_two_kills_in_a_row_leave_only_what_was_on_the_wire_at_each(self):
        """The second before everything of the first was met again."""
        r = self.road
        r.people(900)
        r.sandbox.config(latency={"fixed_ms": 400})
        first = r.dispatcher(**self.options)
        r.publish([event(n) for n in range(900)])
        self.wait_for_crash(40)
        self.kill(first)
        accepted = r.sandbox.stats()["accepted"]
        second = r.dispatcher(wait=False, **self.options)
        self.wait_for_crash(accepted + 30)
        self.kill(second)
        r.dispatcher(**self.options)
        self.all_have_a_fate(900, 48)
        self.assertEqual(r.count("select count(*) from postrider.journal"), 2)

    def test_a_kill_between_two_others_that_read_nothing_changes_nothing(self):
        """The epoch of a process that never claimed ends too, and what the one before it left stays known."""
        r = self.road
        r.people(600)
        r.sandbox.config(latency={"fixed_ms": 300})
        first = r.dispatcher(**self.options)
        r.publish([event(n) for n in range(600)])
        self.wait_for_crash(60)
        self.kill(first)
        for _ in range(3):
            process = r.dispatcher(wait=False, **self.options)
            process.wait_for("event=epoch")
            process.signal(signal.SIGKILL)
        r.dispatcher(**self.options)
        self.all_have_a_fate(600, 24)

    def test_what_came_back_and_was_not_handed_over_is_sent_too(self):
        """Out of `deferred`: claimed again there, with the payload still in its row."""
        r = self.road
        r.people(300)
        first = r.dispatcher(**self.options)
        r.publish([event(n, "order.later") for n in range(300)])
        r.settled(deferred=300)
        r.sandbox.config(latency={"fixed_ms": 800})
        env.wait_until(lambda: r.sandbox.stats()["open"] >= 20 and self.claimed() >= 150, 20, "20 on the wire, 150 claimed", every=0.005)
        self.kill(first)
        r.sandbox.config(latency={"fixed_ms": 20})
        r.dispatcher(**self.options)
        self.all_have_a_fate(300, 24)

    def test_a_journal_of_another_start_says_nothing(self):
        """Its file was put away and back meanwhile, so an epoch lies between it and the claims: all of them are unknown, as without one."""
        r = self.road
        r.people(600)
        r.sandbox.config(latency={"fixed_ms": 300})
        idle = r.dispatcher(**self.options)
        idle.stop()
        file = self.folder / "d1.journal"
        old = file.read_bytes()
        first = r.dispatcher(**self.options)
        r.publish([event(n) for n in range(600)])
        self.wait_for_crash(60)
        claimed = self.kill(first)
        with file.open("r+b") as same:  # the same file, not a copy beside it
            same.write(old)
        again = r.dispatcher(**self.options)
        r.settled(60)
        self.assertIn("event=journal_unused", again.output())
        unknown = r.fates()["unknown"]
        self.assertGreaterEqual(unknown, claimed - 24)
        r.check(self)

    def check_config(self, **more):
        done = subprocess.run([env.program("postrider-dispatcher"), *self.road.options(**(self.options | more)), "--check-config"], capture_output=True,
                              text=True, timeout=60, check=False)
        return done.returncode, done.stdout

    def test_both_bounds_are_printed_and_a_folder_that_is_not_there_is_a_fault(self):
        code, said = self.check_config()
        self.assertEqual(code, 0, said)
        self.assertIn(f"journal    ok     {self.folder}/d1.journal", said)
        self.assertIn("at most 24 messages unknown (1 lanes x in_flight 24)", said)
        self.assertIn("otherwise, or when the machine crashes, 224", said)
        self.assertEqual(list(self.folder.iterdir()), [], "looking made a file")
        code, said = self.check_config(dispatch__state_dir=self.folder / "none")
        self.assertEqual(code, 1)
        self.assertRegex(said, r"journal    FAULT  dispatch.state_dir: cannot write .*/none/d1.journal: make the folder")
        process = self.road.dispatcher(wait=False, **(self.options | {"dispatch__state_dir": self.folder / "none"}))
        process.expected.add(1)
        env.wait_until(lambda: not process.is_running(), 20, "it ends")
        self.assertIn("event=cannot_start part=journal", process.output())
        self.assertEqual(self.road.count("select count(*) from postrider.instance"), 0, "an epoch was begun")

    def test_two_under_one_name_do_not_share_a_journal(self):
        r = self.road
        r.dispatcher(**self.options)
        second = r.dispatcher(wait=False, **self.options)
        second.expected.add(1)
        env.wait_until(lambda: second.popen.poll() is not None, 20, "the second is gone")
        self.assertIn("event=cannot_start part=journal", second.output())
        self.assertIn("is another dispatcher running as this dispatch.name", second.output())
        self.assertEqual(r.count("select epoch from postrider.instance"), 1, "the first was disturbed")

    def test_a_lease_that_was_lost_and_taken_anew_leaves_nothing_unknown(self):
        """Frozen, and nobody else there: what was claimed is written back by the process itself, what was on the wire is answered."""
        r = self.road
        r.people(400)
        r.sandbox.config(latency={"fixed_ms": 200})
        options = dict(self.options, dispatch__lease="6s", dispatch__heartbeat="500ms")
        first = r.dispatcher(**options)
        r.publish([event(n) for n in range(400)])
        self.wait_for_crash(40)
        first.popen.send_signal(signal.SIGSTOP)
        time.sleep(8)
        first.popen.send_signal(signal.SIGCONT)
        r.settled(60)
        self.assertIn("event=lease_lost", first.output())
        self.assertRegex(first.output(), r"event=journal name=d1 epoch=1 ")
        # Those answers may open the sender's breaker: what it put off goes out behind its probe.
        env.wait_until(lambda: set(r.fates()) <= {"sent", "unknown"}, 90, "all are sent or unknown")
        self.assertLessEqual(r.fates().get("unknown", 0), 24)  # answers that were cut by the provider's time-out while it was frozen
        r.check(self)


if __name__ == "__main__":
    env.main()
