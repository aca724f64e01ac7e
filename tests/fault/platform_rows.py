"""The platform slow, out of reach, closing, resetting, hanging, answering garbage, and taking what it does not confirm."""

import json
import time

from kit import FULL, LEAST, env, row

SHARE = 0.3  # of the messages meet the fault
N = 1000 if FULL else 150
# Faults of which the client cannot tell whether the message was taken.
IN_DOUBT = {"cut_before", "reset_before", "hang_before", "garbage_before", "500_before", "502_before",
            "accept_then_cut", "accept_then_reset", "accept_then_hang", "accept_then_half_cut", "accept_then_half_reset", "accept_then_half_hang",
            "accept_then_500", "accept_then_502", "accept_then_garbage", "accept_then_empty", "accept_then_oversize"}
# After these the answer is whole, and the next request on that connection may go into one that is gone.
ENDING = {"answer_then_cut", "answer_then_reset"}


def without_answer(f):
    """By the sandbox's own record: messages that it left without a definite answer, and connections that it ended behind one."""
    return sum(line["cut"] in IN_DOUBT | ENDING for line in f.sandbox.record())


def taken(f, n):
    """Waits until the platform has taken n more messages than so far."""
    have = f.sandbox.stats()["accepted"]
    env.wait_until(lambda: f.sandbox.stats()["accepted"] >= have + n, 60, f"{n} more messages are taken", every=0.05)


def in_doubt(name, *kinds):
    """A row of faults that come to a third of the messages."""
    @row(f"platform-{name}")
    def meet(f):
        for kind in kinds:
            f.config(latency={"min_ms": 20, "max_ms": 60}, mix=[{"what": kind, "probability": SHARE}])
            if not f.processes:
                f.start("d1", provider__timeout="1500ms")
            before = without_answer(f)
            f.load(N)
            f.settle()
            struck = without_answer(f) - before
            if struck < LEAST:
                raise AssertionError(f"{kind} struck {struck} messages only")
            f.allow(struck)
            f.rounds += 1
        f.config(mix=[])
        f.load(20)


in_doubt("closing-before", "cut_before")
in_doubt("closing-during", "accept_then_half_cut")
in_doubt("closing-after", "answer_then_cut")
in_doubt("resetting-before", "reset_before")
in_doubt("resetting-during", "accept_then_half_reset")
in_doubt("resetting-after", "answer_then_reset")
in_doubt("taking-and-cutting", "accept_then_cut", "accept_then_reset")
in_doubt("502-after-taking", "accept_then_502")
in_doubt("hanging", "hang_before", "accept_then_hang", "accept_then_half_hang")
in_doubt("garbage", "garbage_before", "accept_then_garbage", "accept_then_empty", "accept_then_oversize")
in_doubt("5xx", "500_before", "502_before", "accept_then_500")


@row("platform-slow")
def slow(f):
    """Seconds, but within the time-out: nothing is in doubt."""
    f.config(latency={"min_ms": 1500, "max_ms": 2500})
    f.start("d1")
    f.load(N * 2)
    f.settle(90)
    f.rounds += 1


@row("platform-refusing-for-now")
def refuse_for_now(f):
    """429 and 503 without a code say that nothing was taken: all of it goes out."""
    f.config(latency={"min_ms": 20, "max_ms": 60}, mix=[{"what": kind, "probability": 0.1} for kind in ("429_before", "503_before")])
    f.start("d1")
    f.load(N)
    env.wait_until(lambda: f.answered() == N, 60, "all were decided once", every=0.1)
    f.config(mix=[])
    f.settle()
    f.rounds += 1


@row("platform-out-of-reach")
def out_of_reach(f):
    """Connections are refused for two seconds, in the midst of requests that end without an answer."""
    f.start("d1")
    with f.flow(150):
        for _ in range(3 if not FULL else 30):
            f.wait_wire()
            f.sandbox.admin("listen", {"accepting": False})
            f.allow(cut_all(f, "reset" if f.rounds % 2 else "cut"))
            time.sleep(2)
            f.sandbox.admin("listen", {"accepting": True})
            taken(f, 40)
            f.rounds += 1


def cut_all(f, how):
    """Ends every connection; returns how many there were, each with at most one request under way."""
    with_request = int(json.loads(f.sandbox.admin("cut", {"how": how}))["ended"])
    return with_request + int(json.loads(f.sandbox.admin("cut", {"how": how, "all": True}))["ended"])
