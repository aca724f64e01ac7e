"""What an integration test starts: PostgreSQL, Kafka and our programs in one temporary folder, all of which ends with the test.

Python's standard library only. Use it through Case:

    class Send(env.Case):
        def test_a_message_arrives(self):
            pg = self.env.postgres()
            kafka = self.env.kafka(topics=["postrider.events:4"])
            ...

Everything is stopped and removed by a separate reaper process as soon as the test's process lets go of a pipe, which also happens when
it is killed. PR_KEEP=1 keeps the folder. PR_BUILD_DIR says where the programs are (build/dev by default).
"""

import contextlib
import csv
import io
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import ports

SUPPORT = pathlib.Path(__file__).resolve().parent
ROOT = SUPPORT.parent.parent
BUILD = pathlib.Path(os.environ.get("PR_BUILD_DIR", ROOT / "build" / "dev"))

# Where CMake puts each program below the build folder.
PROGRAMS = {
    "postrider": "control",
    "postrider-dispatcher": "dispatcher",
    "postrider-sandbox": "bench/sandbox",
    "postrider-broker": "bench/broker",
    "postrider-webhook": "producer/webhook",
    "postrider-broadcaster": "producer/broadcast",
}

# Any of these in a program's output fails the test, whatever its exit code.
REPORTS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "WARNING: ThreadSanitizer", "runtime error:", "invariant broken")


def program(name):
    """The path of one of our programs; SkipTest when it is not part of this build."""
    path = BUILD / PROGRAMS[name] / name
    if not path.exists():
        raise unittest.SkipTest(f"{name} is not built in {BUILD}")
    return str(path)


def wait_until(condition, seconds=15.0, what="the condition", every=0.02):
    """Calls `condition` until it returns something true, and returns that; AssertionError with `what`, or what it returns, after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what() if callable(what) else what}")
        time.sleep(every)


def free_port():
    return ports.free_ports(1)[0]


def _script(name, *arguments):
    done = subprocess.run([str(SUPPORT / name), *map(str, arguments)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{name} {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def _start_time(pid):
    """A number that tells two processes with one pid apart; None when there is no such process or it is a zombie."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


class Process:
    """A program of ours in the background; its output goes to `log`. Must end with exit code 0 unless the test ended it itself."""

    def __init__(self, folder, name, arguments, environ=None):
        self.name = name
        count = len(list((folder / "log").glob(f"{name}.*.log")))
        self.log = folder / "log" / f"{name}.{count}.log"
        self.expected = {0}
        with open(self.log, "wb") as out:
            self.popen = subprocess.Popen(
                [program(name), *map(str, arguments)], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                env={**os.environ, **(environ or {})}, start_new_session=True)
        self.pid = self.popen.pid
        (folder / "pids" / f"{self.pid}").write_text(f"{self.pid} {_start_time(self.pid)}\n")

    def output(self):
        return self.log.read_text(errors="replace")

    def is_running(self):
        return self.popen.poll() is None

    def wait_for(self, text, seconds=20.0):
        """Waits until the output contains `text`; fails at once when the program ends before."""
        def seen():
            if text in self.output():
                return True
            if not self.is_running():
                raise AssertionError(f"{self.name} ended with {self.popen.returncode} before it said {text!r}:\n{self.output()[-2000:]}")
            return False
        wait_until(seen, seconds, lambda: f"{self.name} says {text!r}; it said:\n{self.output()[-2000:]}")

    def signal(self, number):
        """Sends a signal; after SIGKILL waits for the end, which is then an expected one."""
        self.popen.send_signal(number)
        if number == signal.SIGKILL:
            self.expected.add(-signal.SIGKILL)
            self.popen.wait(10)

    def stop(self, seconds=40.0):
        """SIGTERM, waits, returns the exit code."""
        if self.is_running():
            self.popen.send_signal(signal.SIGCONT)
            self.popen.terminate()
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise AssertionError(f"{self.name} did not end within {seconds} s of SIGTERM:\n{self.output()[-2000:]}") from None

    def fault(self):
        """What is wrong with how it ran, or None."""
        said = self.output()
        for report in REPORTS:
            if report in said:
                return f"{self.name}: {report}:\n{said[said.index(report):][:6000]}"
        code = self.popen.poll()
        if code is not None and code not in self.expected:
            return f"{self.name} ended with {code}:\n{said[-2000:]}"
        return None


class Postgres:
    """A private PostgreSQL with production's durability; an empty database `postrider`."""

    def __init__(self, folder, settings):
        self.folder = folder
        self.conninfo = _script("pg.sh", "start", folder, *(f"{k}={v}" for k, v in settings.items()))

    def tcp(self):
        return _script("pg.sh", "tcp", self.folder)

    def stop(self):
        _script("pg.sh", "stop", self.folder)

    def crash(self):
        _script("pg.sh", "crash", self.folder)

    def start(self):
        """After stop or crash; the conninfo stays."""
        _script("pg.sh", "start", self.folder)

    def sql(self, text):
        """Runs statements, stops at the first error; returns what psql -At prints."""
        return self._psql("-At", text).rstrip("\n")

    def rows(self, query):
        """One query's rows as dictionaries of text; NULL and '' are both ''."""
        return list(csv.DictReader(io.StringIO(self._psql("--csv", query))))

    def _psql(self, form, text):
        done = subprocess.run(["psql", "-X", "-q", form, "-v", "ON_ERROR_STOP=1", "-d", self.conninfo, "-f", "-"],
                              input=text, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"psql: {done.stderr.strip()}\n{text[:2000]}")
        return done.stdout


class Kafka:
    """Anything that speaks Kafka; with `folder`, a real cluster that can lose brokers."""

    def __init__(self, bootstrap, folder=None):
        self.bootstrap = bootstrap
        self.folder = folder

    def topic(self, *topics):
        """Each "NAME:PARTITIONS" or "NAME:PARTITIONS,CONFIG=VALUE"."""
        _script("kafka.sh", "topic", self.folder, *topics)

    def kill(self, broker):
        _script("kafka.sh", "kill", self.folder, broker)

    def revive(self, broker):
        _script("kafka.sh", "revive", self.folder, broker)

    def produce(self, topic, value, key=None, headers=None, partition=None):
        """One record, bytes or str; waits until all in-sync replicas have it. Keyed as Java's producer does."""
        arguments = []
        for name, text in (headers or {}).items():
            arguments += ["-H", f"{name}={text}"]
        if key is not None:
            arguments += ["-k", key]
        if partition is not None:
            arguments += ["-p", str(partition)]
        # Without a delimiter kcat reads lines; a file is one record, whatever its bytes.
        with tempfile.NamedTemporaryFile() as file:
            file.write(value if isinstance(value, bytes) else value.encode())
            file.flush()
            self._kcat("-P", "-t", topic, *arguments, "-X", "acks=all", "-X", "topic.partitioner=murmur2_random", file.name)

    def produce_lines(self, topic, lines):
        """Many records: each line is "KEY\\tVALUE" without headers."""
        self._kcat("-P", "-t", topic, "-K", "\t", "-X", "acks=all", "-X", "topic.partitioner=murmur2_random",
                   stdin="".join(line + "\n" for line in lines))

    def records(self, topic):
        """All records now in the topic, as kcat's JSON envelopes: topic, partition, offset, ts, key, payload, headers."""
        lines = self._kcat("-C", "-t", topic, "-o", "beginning", "-e", "-q", "-J").splitlines()
        return [json.loads(line) for line in lines if line]

    def end_offsets(self, topic, partitions):
        """The next offset of each partition."""
        wanted = [argument for p in range(partitions) for argument in ("-t", f"{topic}:{p}:-1")]
        out = self._kcat("-Q", *wanted)
        ends = {}
        for line in out.splitlines():
            # "topic [0] offset 12"
            ends[int(line.split("[")[1].split("]")[0])] = int(line.rsplit(" ", 1)[1])
        return [ends[p] for p in range(partitions)]

    def committed(self, group):
        """{(topic, partition): (committed offset, end)} of a group; needs the real cluster."""
        out = _script("kafka.sh", "tool", self.folder, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--bootstrap-server",
                      self.bootstrap, "--describe", "--group", group)
        result = {}
        for line in out.splitlines():
            fields = line.split()
            if len(fields) >= 6 and fields[0] == group and fields[3].isdigit():
                result[(fields[1], int(fields[2]))] = (int(fields[3]), int(fields[4]))
        return result

    def _kcat(self, *arguments, stdin=None):
        # Reading may be done again: kcat gives up at the first connection that breaks, as brokers close idle ones and die in tests.
        for _ in range(5 if arguments[0] in ("-C", "-Q") else 1):
            done = subprocess.run(["kcat", "-b", self.bootstrap, *arguments], input=stdin, capture_output=True, text=True, timeout=60,
                                  check=False)
            if done.returncode == 0:
                break
            time.sleep(0.5)
        if done.returncode:
            raise RuntimeError(f"kcat {arguments[0]}: {done.stderr.strip()}")
        return done.stdout


class Env:
    """One temporary folder and all that runs in it."""

    def __init__(self):
        # Unix socket names are short, so the folder's name is as well.
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="pr-"))
        for name in ("log", "pids"):
            (self.folder / name).mkdir()
        self.processes = []
        self.reaper = subprocess.Popen([sys.executable, "-B", str(SUPPORT / "env.py"), "reap", str(self.folder)],
                                       stdin=subprocess.PIPE, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def postgres(self, **settings):
        return Postgres(self.folder, settings)

    def kafka(self, brokers=1, topics=(), **settings):
        """Apache Kafka itself. Setting names have _ for . here: log_retention_ms=1000."""
        arguments = [f"{k.replace('_', '.')}={v}" for k, v in settings.items()]
        kafka = Kafka(_script("kafka.sh", "start", self.folder, "--brokers", brokers, *arguments), self.folder)
        if topics:
            kafka.topic(*topics)
        return kafka

    def broker(self, topics):
        """The quickstart's embedded broker: starts at once, keeps 5 MiB a partition."""
        port_file = self.folder / "broker.port"
        process = self.start("postrider-broker", *(f"--topic={t}" for t in topics), f"--port-file={port_file}")
        process.wait_for("bootstrap.servers=")
        return Kafka(port_file.read_text().strip().partition("=")[2])

    def start(self, name, *arguments, environ=None):
        """One of our programs in the background."""
        process = Process(self.folder, name, arguments, environ)
        self.processes.append(process)
        return process

    def run(self, name, *arguments, stdin=None, expect=0, environ=None, seconds=120):
        """One of our programs to its end; returns it with stdout and stderr as text. AssertionError on another exit code."""
        done = subprocess.run([program(name), *map(str, arguments)], input=stdin, capture_output=True, text=True, timeout=seconds,
                              env={**os.environ, **(environ or {})}, check=False)
        if done.returncode != expect:
            raise AssertionError(f"{name} {' '.join(map(str, arguments))}: exit code {done.returncode}, not {expect}\n"
                                 f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        return done

    def write(self, name, content):
        """A file in the folder; anything but text is written as JSON. Returns its path."""
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1))
        return path

    def logs(self):
        """The end of everybody's log, for a failing test."""
        files = sorted((self.folder / "log").glob("*.log")) + sorted(self.folder.glob("kafka/*/log"))
        return "\n".join(f"--- {f.relative_to(self.folder)}\n{f.read_text(errors='replace')[-2500:]}" for f in files)

    def close(self):
        """Stops our programs in the order opposite to their start and then everything else; returns what was wrong with any program."""
        faults = []
        for process in reversed(self.processes):
            try:
                process.stop()
            except AssertionError as hung:
                faults.append(str(hung))
        faults += [fault for fault in (process.fault() for process in self.processes) if fault]
        self.processes.clear()
        self.reaper.stdin.close()
        self.reaper.wait()
        return faults


class Case(unittest.TestCase):
    """A test with an environment of its own. A program that died, or that a sanitizer complained about, fails it."""

    def setUp(self):
        self.env = Env()
        self.addCleanup(self._close)

    def _close(self):
        result = self._outcome.result
        if any(test is self for test, _ in result.failures + result.errors) or not self._outcome.success:
            sys.stderr.write(f"\n{self.id()} failed; the logs:\n{self.env.logs()}\n")
        faults = self.env.close()
        if faults:
            self.fail("\n".join(faults))


class SharedCase(unittest.TestCase):
    """Tests that share one environment, made once by `prepare` (a class method taking the Env)."""

    @classmethod
    def setUpClass(cls):
        cls.env = Env()
        cls.addClassCleanup(cls._close)
        cls.prepare(cls.env)

    @classmethod
    def prepare(cls, env):
        """Starts what all tests of the class need."""

    @classmethod
    def _close(cls):
        logs = cls.env.logs()
        faults = cls.env.close()
        if faults:
            raise AssertionError("\n".join(faults) + "\n" + logs)


def main():
    """A test file's end: `if __name__ == "__main__": env.main()`. All tests skipped: exit code 77, which ctest shows as skipped."""
    # A termination becomes an exception, so that cleanups run.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run = unittest.main(module="__main__", exit=False, verbosity=2)
    # A class skipped as a whole counts no test as run.
    if run.result.skipped and len(run.result.skipped) >= run.result.testsRun and run.result.wasSuccessful():
        sys.exit(77)
    sys.exit(not run.result.wasSuccessful())


def _end(pid, started):
    """TERM, five seconds, KILL."""
    for number, seconds in ((signal.SIGTERM, 5), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            if _start_time(pid) != started:
                return
            os.kill(pid, signal.SIGCONT)
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while _start_time(pid) == started and time.monotonic() < deadline:
            time.sleep(0.02)


def reap(folder):
    """Waits for the end of stdin, that is, of the test; then ends everything in the folder and removes it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    for file in (folder / "pids").iterdir():
        pid, started = file.read_text().split()
        _end(int(pid), started)
    if (folder / "kafka").exists():
        subprocess.run([SUPPORT / "kafka.sh", "stop", folder, "--now"], check=False)
    if (folder / "pg").exists():
        subprocess.run([SUPPORT / "pg.sh", "stop", folder, "--now"], check=False)
    if os.environ.get("PR_KEEP"):
        sys.stderr.write(f"kept {folder}\n")
    else:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] != "reap":
        sys.exit("usage: env.py reap FOLDER (tests import this file)")
    reap(pathlib.Path(sys.argv[2]))
