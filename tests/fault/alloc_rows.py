"""The n-th of the dispatcher's own allocations fails, from its first one on; what libraries allocate does not (alloc.c)."""

import re
import signal
import time
import unittest

from kit import FULL, env, row

SHIM = env.BUILD / "tests" / "fault" / "libpr_alloc.so"
VALUES = 1000 if FULL else 60  # at most: a run with two batches makes some 500 to 600
BATCH = 12
# Started again under its own membership it has its partitions at once, also behind one that ended without leaving.
OPTIONS = {"kafka__group.instance.id": "d1", "provider__timeout": "1s"}


def start(f, log, n=None):
    """A dispatcher whose n-th allocation fails; without n it only counts them."""
    process = f.env.start("postrider-dispatcher", *f.options("d1", **OPTIONS), environ={
        "LD_PRELOAD": str(SHIM), "PR_ALLOC_LOG": str(log), **({"PR_ALLOC_FAIL": str(n)} if n else {})})
    f.processes.append(process)
    process.expected |= {1, 2}  # it may refuse to start, and end: by a clear message, never by a signal
    return process


def load(f):
    f.load(BATCH)
    f.load(3, "order.later")


def is_quiet(f):
    return f.answered() >= f.published and f.busy() == 0


def counted(f, name, until_settled):
    """What the shim wrote of a run with two batches; settled is when what was put off came back, too."""
    log = f.env.folder / f"alloc-{f.name}-{name}"
    process = start(f, log)
    process.wait_for("event=assigned")
    for _ in range(2):
        load(f)
        env.wait_until(lambda: is_quiet(f), 20, "all has a fate")
    if until_settled:
        f.settle()
    process.stop()
    return log.read_text()


def chosen(f):
    """The first of each caller's over the whole road, and more, spread over as many as a run with two batches makes: those that follow make five."""
    firsts = [int(n) for n in re.findall(r"^first (\d+) at", counted(f, "firsts", True), re.M)]
    most = int(re.search(r"^counted (\d+)$", counted(f, "all", False), re.M)[1])
    spread = range(1, most, max(1, most // VALUES))
    numbers = set(firsts[:VALUES])
    while len(numbers) < min(VALUES, most):
        numbers.add(f.random.choice(spread) + f.random.randrange(max(1, most // VALUES)))
    return sorted(numbers)


def fail(f, n):
    """False when that many allocations were never made. What ends the process must say so."""
    log = f.env.folder / f"alloc-{f.name}-{n}"
    process = start(f, log, n)
    batches = 0
    deadline = time.monotonic() + 20
    while process.is_running() and time.monotonic() < deadline:
        time.sleep(0.05)
        if is_quiet(f) and "failed" in log.read_text():
            break
        if is_quiet(f) and "event=assigned" in process.output():
            if batches == 5:
                break
            load(f)
            batches += 1
    if process.is_running():
        process.stop()
    code, said = process.popen.returncode, process.output()
    if code < 0:
        raise AssertionError(f"allocation {n} failed ({log.read_text().strip()}) and the dispatcher ended by {signal.Signals(-code).name}:\n{said[-2000:]}")
    if code > 0 and not re.search(r"level=error|out of memory|no memory", said):
        raise AssertionError(f"allocation {n} failed ({log.read_text().strip()}) and the dispatcher ended with {code} and did not say why:\n{said[-2000:]}")
    if code > 0 and "event=assigned" in said:
        f.allow((batches + 1) * (BATCH + 3))  # as a kill leaves: all that was there
    return "failed" in log.read_text()


@row("alloc-nth")
def nth(f):
    if not SHIM.exists():
        raise unittest.SkipTest(f"{SHIM.name} is not built (a build with sanitizers, or without PR_FAULTS)")
    f.config(latency={"min_ms": 5, "max_ms": 20})
    numbers = chosen(f)
    for i, n in enumerate(numbers):
        if is_quiet(f):
            load(f)
        f.rounds += fail(f, n)
        if i % 10 == 9:
            again(f).stop()
    again(f)  # and it stays for the count at the end: an unknown that comes due meanwhile is somebody's to look at
    if f.rounds < len(numbers) * 3 // 4:
        raise AssertionError(f"{f.rounds} of {len(numbers)} allocations failed, the others were never made")
    fates = f.fates()
    if set(fates) - {"sent", "unknown"}:
        raise AssertionError(f"refused for want of memory: {fates}")


def again(f):
    """Without the shim: everything is settled, whatever those before it left."""
    process = f.start("d1", **OPTIONS)
    f.settle()
    return process
