"""What a run costs: processor time and memory from /proc, the dispatcher's page of metrics, the database's own counts."""

import os
import pathlib
import re
import threading
import time
import urllib.error
import urllib.request

TICKS = os.sysconf("SC_CLK_TCK")


def fetch(url):
    """The text of a page; None when nobody answers or the answer is no success."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.read().decode()
    except (urllib.error.URLError, OSError):
        return None


# --- processes

def _stat(pid):
    """Fields of /proc/PID/stat behind the name, from the state on; None when the process is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _children(pid):
    """Direct children, whichever thread started them."""
    found = []
    for task in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, task.read_text().split())
        except OSError:
            pass
    return found


def cpu_seconds(pid):
    """User and system time of a process and of all below it, those that ended included. PostgreSQL's backends come and go; what its
    postmaster has reaped stands in the postmaster's own figures."""
    fields = _stat(pid)
    if fields is None:
        return 0.0
    # utime, stime and, for children waited for, cutime, cstime: fields 14 to 17 of proc(5).
    ticks = sum(int(n) for n in fields[11:15])
    return ticks / TICKS + sum(cpu_seconds(child) for child in _children(pid))


def cpu_by_kind(pid):
    """{title of a child: seconds} below a postmaster: which part of PostgreSQL it was."""
    kinds = {}
    for child in _children(pid):
        fields = _stat(child)
        try:
            title = pathlib.Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")[0].decode(errors="replace")
        except OSError:
            continue
        if fields:
            # "postgres: walwriter", "postgres: postgres postrider [local] SELECT"
            kind = title.removeprefix("postgres: ").strip()
            kind = "backends" if "[local]" in kind or "127.0.0.1" in kind else kind
            kinds[kind] = kinds.get(kind, 0.0) + sum(int(n) for n in fields[11:13]) / TICKS
    return kinds


def machine_seconds():
    """(busy, all) seconds of all CPUs since boot: what others take of the machine is in the first."""
    # user nice system idle iowait irq softirq steal: proc(5).
    user, nice, system, idle, wait, irq, soft, steal = map(int, pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    busy = user + nice + system + irq + soft + steal
    return busy / TICKS, (busy + idle + wait) / TICKS


def memory_max(pid):
    """The most bytes that the process ever had in memory."""
    found = re.search(r"^VmHWM:\s+(\d+) kB", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)
    return int(found[1]) * 1024


def switches(pid):
    """Voluntary context switches of all threads: how often it went to sleep."""
    n = 0
    for status in pathlib.Path(f"/proc/{pid}/task").glob("*/status"):
        n += int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)", status.read_text(), re.M)[1])
    return n


# --- the dispatcher's metrics

class Metrics:
    """Pages of metrics of several dispatchers, added up by name and label."""

    def __init__(self, texts):
        self.values = {}
        for text in texts:
            for line in (text or "").splitlines():
                if line and not line.startswith("#"):
                    name, _, value = line.rpartition(" ")
                    self.values[name] = self.values.get(name, 0.0) + float(value)

    def of(self, name):
        return self.values.get(name, 0.0)

    def buckets(self, name):
        """[(upper edge, observations up to it)] of a histogram, ascending."""
        found = [(re.fullmatch(re.escape(name) + r'_bucket\{le="([^"]+)"\}', key), n) for key, n in self.values.items()]
        return sorted((float(match[1]), n) for match, n in found if match)

    def quantiles(self, name, shares, before=None):
        """Those of the observations since `before`, in the histogram's unit; inside a bucket by proportion, so at most a quarter off."""
        earlier = dict(before.buckets(name)) if before else {}
        edges = [(edge, n - earlier.get(edge, 0)) for edge, n in self.buckets(name)]
        if not edges or edges[-1][1] <= 0:
            return None
        return [_quantile(edges, edges[-1][1] * share) for share in shares]


def _quantile(edges, wanted):
    low, below = 0.0, 0.0
    for edge, n in edges:
        if n >= wanted:
            return low if edge == float("inf") else low + (edge - low) * (wanted - below) / max(n - below, 1)
        low, below = edge, n
    return low


class Watch(threading.Thread):
    """Reads the metrics at short intervals, for rates over time, and shows them. `pages` are the dispatchers' addresses."""

    def __init__(self, pages, total, show, every=0.5):
        super().__init__(daemon=True)
        self.pages, self.total, self.show, self.every = pages, total, show, every
        self.samples = []  # (moment, settled, page)
        self.is_over = threading.Event()

    def read(self):
        metrics = Metrics([fetch(page + "/metrics") for page in self.pages])
        settled = metrics.of("postrider_settled_total")
        self.samples.append((time.monotonic(), settled, metrics))
        return settled

    def run(self):
        shown = 0.0
        while not self.is_over.is_set():
            settled = self.read()
            if time.monotonic() - shown >= 1.0:
                shown = time.monotonic()
                self.show(settled, self.rate_of_late())
            self.is_over.wait(self.every)

    def end(self):
        """Stops reading; the last sample is taken now."""
        self.is_over.set()
        self.join()
        self.read()

    def rate_of_late(self):
        """Over the last two seconds."""
        now, n, _ = self.samples[-1]
        since = next(s for s in self.samples if now - s[0] <= 2.0)
        return (n - since[1]) / (now - since[0]) if now > since[0] else 0.0

    def moment(self, n):
        """When `n` were settled, between two samples by proportion; None when it never came to that."""
        earlier = self.samples[0]
        for sample in self.samples:
            if sample[1] >= n:
                step = sample[1] - earlier[1]
                return sample[0] if step <= 0 else earlier[0] + (sample[0] - earlier[0]) * (n - earlier[1]) / step
            earlier = sample
        return None

    def steady_rate(self):
        """Messages a second between a tenth and nine tenths of all; None in a run too short to tell."""
        first, last = self.moment(self.total * 0.1), self.moment(self.total * 0.9)
        return self.total * 0.8 / (last - first) if first and last and last > first else None

    def at_share(self, share):
        """The metrics when that share was settled."""
        return next((metrics for _, n, metrics in self.samples if n >= self.total * share), self.samples[-1][2])


# --- the database's own counts

TOP_STATEMENTS = """
select calls, round((total_exec_time / nullif(calls, 0))::numeric, 3) as ms, round(total_exec_time::numeric, 0) as total_ms, rows,
       shared_blks_hit + local_blks_hit as hits, shared_blks_read as reads, wal_records, wal_bytes::bigint as wal_bytes,
       regexp_replace(left(query, 150), '\\s+', ' ', 'g') as query
from pg_stat_statements where query not like '%pg_stat_statements%' and toplevel = {is_top}
order by total_exec_time desc limit {limit}
"""


class Database:
    """Statements and write-ahead log since `start`. Only what clients sent is counted; statements inside functions too when `is_deep`."""

    def __init__(self, pg, is_deep):
        self.pg, self.is_deep = pg, is_deep
        pg.sql("create extension if not exists pg_stat_statements")

    def start(self):
        self.lsn = self.pg.sql("select pg_current_wal_insert_lsn()")
        self.commits = int(self.pg.sql("select xact_commit from pg_stat_database where datname = current_database()"))
        self.pg.sql("select pg_stat_statements_reset()")

    def end(self):
        """Takes the counts; a query of our own must not come before."""
        self.statements = int(self.pg.sql("select coalesce(sum(calls), 0) from pg_stat_statements where toplevel and query not like "
                                          "'%pg_stat_statements%'"))
        self.wal_bytes = int(self.pg.sql(f"select pg_current_wal_insert_lsn() - '{self.lsn}'::pg_lsn"))
        self.top = self.pg.rows(TOP_STATEMENTS.format(is_top="true", limit=12))
        self.inner = self.pg.rows(TOP_STATEMENTS.format(is_top="false", limit=25)) if self.is_deep else []
