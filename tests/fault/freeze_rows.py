"""A dispatcher that is stopped past its lease, and then goes on."""

import signal
import time

from kit import FULL, LEAST, row

ROUNDS = 5 if FULL else 1
FROZEN_S = 9  # the lease is 6 s, and the group gives its partitions away after 2 s
RESENT_S = 23  # and the window of what is unknown is 10 s


def freeze(f, fault, moment, seconds=FROZEN_S):
    """Two dispatchers; `moment(victim)` returns once the first is stopped. The other goes on and takes its partitions over."""
    def one():
        f.stop()
        victim = f.start("d1", fault=fault, wait=False)
        f.start("d2", wait=False)
        f.both_assigned()
        f.load(1500)
        with f.flow(50):
            f.wait_wire(100)
            moment(victim)
            open_then = f.wire()
            # Past its lease it is dead to the others, and all that it claimed unknown; awake, it says what it never sent. What was resent by then is not.
            f.allow(max(open_then, f.bound()) if seconds == RESENT_S else open_then)
            time.sleep(seconds)
        f.wake(victim)
        f.settle()
        return open_then >= LEAST
    f.repeat(ROUNDS, one)


def any_moment(f):
    """Stops it from outside."""
    def moment(victim):
        time.sleep(f.random.uniform(0, 1))
        victim.popen.send_signal(signal.SIGSTOP)
        f.frozen(victim)
    return moment


@row("stop-random")
def stop_at_random(f):
    freeze(f, None, any_moment(f))


@row("stop-heard", heard=True)
def stop_until_others_have_resent(f):
    """What the stopped one had claimed and not sent is unknown to the others, and resent by them before it wakes: it must not go out again then."""
    freeze(f, None, any_moment(f), RESENT_S)


@row("stop-lease.checked", exercises=["lease.checked"])
def stop_between_check_and_write(f):
    """The lease held when it was looked at, and is long over when the request is written."""
    freeze(f, "lease.checked:stop:30:50", f.frozen)
