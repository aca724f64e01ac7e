#!/usr/bin/env python3
"""./quickstart as a newcomer runs it: every sample event ends where make.py says, and nothing of it stays, however it ends."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "support"))
import env  # noqa: E402

SAMPLES = env.ROOT / "schema" / "samples"


def expected():
    """What make.py meant the events for, in the shape of --json."""
    counts = json.loads(subprocess.run([SAMPLES / "make.py", "--counts"], capture_output=True, text=True, check=True).stdout)
    result = {"refused": {}, "deferred": {}}
    for key, n in counts.items():
        fate, _, reason = key.partition(":")
        if reason:
            result[fate][reason] = n
        else:
            result[fate] = n
    return result


class Quickstart(unittest.TestCase):
    def setUp(self):
        for name in ("postrider", "postrider-dispatcher", "postrider-sandbox", "postrider-broker"):
            env.program(name)
        folder = tempfile.TemporaryDirectory(prefix="pr-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.folder.chmod(0o711)  # the private PostgreSQL runs as another user

    def start(self, *arguments):
        # A session of its own, to see what stays behind.
        return subprocess.Popen([env.ROOT / "quickstart", *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                env={**os.environ, "PR_BUILD_DIR": str(env.BUILD), "TMPDIR": str(self.folder)}, start_new_session=True)

    def run_it(self, *arguments, expect=0):
        process = self.start(*arguments)
        said, _ = process.communicate(timeout=240)
        self.assertEqual(process.returncode, expect, said)
        return said

    def assert_nothing_stays(self):
        self.assertEqual([f for f in self.folder.iterdir() if f.name.startswith("postrider-")], [])
        listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        self.assertNotIn(str(self.folder), listing)

    def test_the_samples_are_what_make_py_makes(self):
        subprocess.run([SAMPLES / "make.py", "--check"], check=True)

    def test_every_sample_event_ends_as_it_was_meant_to(self):
        counts = self.folder / "counts.json"
        said = self.run_it("--json", counts)
        self.assertIn("accounted for", said)
        got = json.loads(counts.read_text())
        wanted = expected()
        self.assertEqual({key: got[key] for key in wanted}, wanted)
        self.assertEqual((got["unaccounted"], got["sandbox_accepted"]), (0, got["sent"]))
        self.assert_nothing_stays()

    def test_own_events_bring_their_people(self):
        events = [{"specversion": "1.0", "id": f"o-{n}", "source": "/mine", "type": "order.confirmed", "time": "2019-05-05T05:05:05Z",
                   "to": f"+5511900{n:06}", "data": {"order": {"number": str(n), "total": 5, "currency": "BRL"}}} for n in range(300)]
        file = self.folder / "mine.ndjson"
        file.write_text("".join(json.dumps(e) + "\n" for e in events))
        counts = self.folder / "counts.json"
        self.run_it("--events", file, "--json", counts)
        got = json.loads(counts.read_text())
        self.assertEqual(got["events_in"], 300)
        self.assertEqual(got["sent"] + got["refused"]["no_consent"], 300)
        self.assertTrue(10 < got["refused"]["no_consent"] < 60, got)

    def test_ctrl_c_leaves_nothing_behind(self):
        process = self.start()
        for line in process.stdout:
            if line.startswith("loaded"):
                break
        os.killpg(process.pid, signal.SIGINT)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130)
        self.assert_nothing_stays()

    def test_keep_keeps_it_and_stop_ends_it(self):
        said = self.run_it("--keep")
        command = said[said.index("To end it: ") + 11:].split()
        folder = pathlib.Path(command[-1])
        self.assertTrue(folder.exists())
        stop = subprocess.run([env.ROOT / "quickstart", *command[1:]], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(stop.returncode, 0, stop.stderr)
        self.assert_nothing_stays()

    def test_wrong_words_are_usage_errors(self):
        self.run_it("--event", expect=2)
        self.run_it("--events", "/nonexistent.ndjson", expect=2)
        self.run_it("--stop", self.folder, expect=2)


if __name__ == "__main__":
    env.main()
