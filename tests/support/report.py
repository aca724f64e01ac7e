#!/usr/bin/env python3
"""The quickstart's eyes: waits until every event has a fate, showing how far it is, and prints where each one went.

    report.py ready ADMIN_URL                 exit 0 when the dispatcher says that it is ready
    report.py run --publisher PID …           the live line, then the report; --json FILE keeps the counts

Exit codes: 0 every event is accounted for and the sandbox took what was sent, 1 not so.
"""

import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request

STALLED_SECONDS = 60
SETTLE_SECONDS = 15  # for what is neither in work nor accounted for to turn up
KEYS = ("events_in", "sent", "sandbox_accepted", "refused", "deferred", "applied", "duplicates", "cancelled", "superseded", "dead_letters", "unknown",
        "unaccounted")
MEANS = {"no_rule": "no rule for", "quota": "room again", "not_before": "their time has not come"}


def fetch(url):
    """The text of a page; None when nobody answers or the answer is no success."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None


def ask(query):
    """One query's rows, each a list of texts."""
    done = subprocess.run(["psql", "-XqAt", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-d", os.environ["POSTRIDER_POSTGRES_CONNINFO"], "-c", query],
                          capture_output=True, text=True, check=True)
    return [line.split("\t") for line in done.stdout.splitlines()]


def is_alive(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class Metrics:
    """The dispatcher's page of metrics, by name and label."""

    def __init__(self, text):
        self.values = {}
        for line in (text or "").splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                self.values[name] = float(value)

    def of(self, name):
        return self.values.get(name, 0.0)

    def quantile(self, name, share):
        """In the bucket's unit, between its edges by proportion; None without a sample."""
        edges = []
        for key, n in self.values.items():
            found = re.fullmatch(re.escape(name) + r'_bucket\{(?:.*,)?le="([^"]+)".*\}', key)
            if found:
                edges.append((float(found[1]), n))
        edges.sort()
        if not edges or edges[-1][1] == 0:
            return None
        wanted, low, before = edges[-1][1] * share, 0.0, 0.0
        for edge, n in edges:
            if n >= wanted:
                return low if edge == float("inf") else low + (edge - low) * (wanted - before) / max(n - before, 1)
            low, before = edge, n
        return low


def total(status):
    """Events that have a fate. A claimed one has none yet."""
    flat = (v for k, v in status.items() if k in KEYS and k not in ("events_in", "unaccounted"))
    return sum(sum(v.values()) if isinstance(v, dict) else v for v in flat)


def ms(seconds):
    return "-" if seconds is None else f"{seconds * 1000:.0f}"


class Run:
    def __init__(self, arguments):
        self.arguments = arguments
        self.started = time.monotonic()
        self.postrider = str(pathlib.Path(arguments.bin) / "control" / "postrider")
        self.is_live = sys.stdout.isatty()
        self.published = self.of = None

    def status(self):
        done = subprocess.run([self.postrider, "status", "--json", "--topics", self.arguments.topic], capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"quickstart: {done.stderr.strip()}")
        return json.loads(done.stdout)

    def metrics(self):
        return Metrics(fetch(self.arguments.admin + "/metrics"))

    def read_publisher(self):
        """Takes over what publish said when it ended."""
        said = (self.arguments.dir / "publish.out").read_text()
        found = re.search(r"published ([\d,]+) of ([\d,]+) events", said)
        if not found or (self.arguments.dir / "publish.log").read_text().find("the same command goes on") >= 0:
            raise SystemExit("quickstart: publishing failed:\n" + (self.arguments.dir / "publish.log").read_text())
        self.published, self.of = (int(n.replace(",", "")) for n in found.groups())
        self.show("")
        print(f"{'published':<11}{self.published:,} of {self.of:,} events")

    def show(self, text):
        if self.is_live:
            sys.stdout.write(f"\r{text}\033[K")
            sys.stdout.flush()

    def show_progress(self, done):
        seconds = max(time.monotonic() - self.started, 0.001)
        p99 = self.metrics().quantile("postrider_event_to_post_seconds", 0.99) if self.is_live else None
        self.show(f"{'dispatched':<11}{done:,} of {self.of if self.of is not None else '…'}  {done / seconds:,.0f}/s  p99 {ms(p99)} ms")

    def wait(self):
        """Polls until all is settled; returns the last status and the seconds it took. Gives up when nothing moves."""
        seen, moved = None, time.monotonic()
        while True:
            status = self.status()
            done = total(status)
            if self.of is None and not is_alive(self.arguments.publisher):
                self.read_publisher()
            self.show_progress(done)
            lag = sum(p["lag"] for p in status["lag"])
            now = time.monotonic()
            if (done, lag, status["claimed"]) != seen:
                seen, moved = (done, lag, status["claimed"]), now
            is_settled = self.of is not None and lag == 0 and status["claimed"] == 0
            if is_settled and (status["unaccounted"] == 0 or now - moved > SETTLE_SECONDS):
                self.show("")
                return status, moved - self.started
            if now - moved > STALLED_SECONDS or not self.is_dispatching():
                self.show("")
                print(f"quickstart: nothing has moved for {now - moved:.0f} s; the dispatcher's last words:", file=sys.stderr)
                print("\n".join((self.arguments.dir / "postrider-dispatcher.log").read_text(errors="replace").splitlines()[-8:]), file=sys.stderr)
                return status, moved - self.started
            time.sleep(0.2 if self.is_live else 0.4)

    def is_dispatching(self):
        return is_alive(int((self.arguments.dir / "postrider-dispatcher.pid").read_text()))


def local_time(minute):
    at = time.localtime(minute * 60)
    days = (time.mktime(at[:3] + (12, 0, 0, 0, 0, -1)) - time.mktime(time.localtime()[:3] + (12, 0, 0, 0, 0, -1))) / 86400
    return ("", "tomorrow ")[round(days)] + time.strftime("%H:%M", at) if 0 <= round(days) <= 1 else time.strftime("%d %B %H:%M", at)


def room_again():
    """When the oldest slots of the messaging limit become free (a slot lasts 24 h and 3 min)."""
    (minute,), = ask("select min(minute) + postrider.slot_minutes() from postrider.bucket where n > 0")
    return f"room again {local_time(int(minute))}" if minute else ""


def types_without_rule():
    names = [name for name, in ask("select distinct type from postrider.aside where reason = 'no_rule' and type is not null order by 1 limit 3")]
    return ", ".join(names)


def note_of(fate, reason, is_first):
    if fate == "refused" and reason == "no_rule":
        return types_without_rule()
    if fate == "deferred":
        return room_again() if reason == "quota" else MEANS.get(reason, "")
    return f"postrider message list --state {fate}:{reason}" if is_first else ""


def print_line(name, what, n, note=""):
    print(f"  {name:<14}{what:<30}{n:>6,}     {note}".rstrip())


def print_reasons(fate, reasons):
    if not reasons:
        print_line(fate, "", 0)
    for i, (reason, n) in enumerate(reasons.items()):
        print_line(fate if i == 0 else "", reason, n, note_of(fate, reason, i == 0))


def print_fates(status):
    print("\nWhere every event went")
    print_line("sent", "accepted by the platform", status["sent"])
    print_reasons("refused", status["refused"])
    print_reasons("deferred", status["deferred"])
    print_line("applied", "contacts and consent", status["applied"])
    print_line("cancelled", "bought before the reminder", status["cancelled"])
    print_line("superseded", "newer shipping state", status["superseded"])
    print_line("duplicates", "same source and id", status["duplicates"])
    print_line("dead letters", "broken record", status["dead_letters"], "postrider deadletter list" if status["dead_letters"] else "")
    print_line("unknown", "no answer from the platform", status["unknown"], "postrider unknown list" if status["unknown"] else "")
    if status["claimed"]:
        print_line("in work", "not settled", status["claimed"])
    print(f"{'':46}{'-----':>6}")
    print(f"  {'accounted for':<44}{total(status):>6,} of {status['events_in']:,}")


def sandbox_note(folder):
    config = json.loads((folder / "sandbox.json").read_text())
    latency, mix = config.get("latency", {}), config.get("mix", [])
    errors = sum(fault.get("probability", 0) for fault in mix)
    return f"sandbox: {latency.get('p50_ms', 0)} ms, {errors * 100:g} % errors"


def memory_mib(folder):
    pid = (folder / "postrider-dispatcher.pid").read_text().strip()
    try:
        found = re.search(r"VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text())
    except OSError:
        found = None
    return f"{int(found[1]) / 1024:.0f} MiB" if found else "-"


def print_figures(run, status, sandbox, seconds):
    metrics = run.metrics()
    quantile = [ms(metrics.quantile("postrider_event_to_post_seconds", share)) for share in (0.5, 0.95, 0.99)]
    print(f"The sandbox took {sandbox['accepted']:,} bodies for {sandbox['callbacks_accepted']:,} message ids; the ledger says {status['sent']:,}.")
    retries = metrics.of('postrider_outcomes_total{outcome="retry"}')
    print(f"retries {retries:.0f}    rate {total(status) / max(seconds, 0.001):,.0f}/s"
          f" ({sandbox_note(run.arguments.dir)})    event to POST p50 {quantile[0]} ms, p95 {quantile[1]}, p99 {quantile[2]}"
          f"    memory {memory_mib(run.arguments.dir)}")
    print("Next: ./quickstart --keep        your own events: docs/publishing.md        production: docs/operations.md")


def faults_of(status, sandbox, published):
    """What keeps the run from being right, as sentences."""
    faults = []
    if status["unaccounted"] != 0:
        faults.append(f"{status['unaccounted']:,} events are not accounted for")
    if sandbox["accepted"] != status["sent"]:
        faults.append(f"the sandbox took {sandbox['accepted']:,} bodies, the ledger says {status['sent']:,}")
    if published is not None and status["events_in"] != published:
        faults.append(f"{published:,} events were published and {status['events_in']:,} were read")
    if any(p["low"] > 0 for p in status["lag"]):
        faults.append("the broker dropped records to make room: --real-kafka keeps them all")
    return faults


def run(arguments):
    this = Run(arguments)
    status, seconds = this.wait()
    sandbox = json.loads(fetch(arguments.sandbox + "/_sandbox/stats") or "{}")
    if "accepted" not in sandbox:
        raise SystemExit("quickstart: the sandbox does not answer")
    print(f"{'dispatched':<11}{total(status):,} of {status['events_in']:,} in {seconds:.1f} s")
    print_fates(status)
    print_figures(this, status, sandbox, seconds)
    if arguments.json:
        counts = {**status, "sandbox_accepted": sandbox["accepted"]}
        pathlib.Path(arguments.json).write_text(json.dumps({key: counts[key] for key in KEYS}, indent=2) + "\n")
    faults = faults_of(status, sandbox, this.published)
    for fault in faults:
        print(f"quickstart: {fault}", file=sys.stderr)
    return 1 if faults else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    ready = verbs.add_parser("ready")
    ready.add_argument("admin")
    runs = verbs.add_parser("run")
    runs.add_argument("--publisher", type=int, required=True)
    runs.add_argument("--dir", type=pathlib.Path, required=True)
    for name in ("bin", "topic", "sandbox", "admin"):
        runs.add_argument("--" + name, required=True)
    runs.add_argument("--json")
    arguments = parser.parse_args()
    if arguments.verb == "ready":
        return 0 if fetch(arguments.admin + "/readyz") is not None else 1
    return run(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
