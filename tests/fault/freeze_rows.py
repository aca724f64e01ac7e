"""A dispatcher that is stopped past its lease, and then goes on."""

import signal
import time

from kit import FULL, LEAST, row

ROUNDS = 5 if FULL else 1
FROZEN_S = 9  # the lease is 6 s, and the group gives its partitions away after 2 s


def freeze(f, fault, moment):
    """Two dispatchers; `moment(victim)` returns once the first is stopped. The other goes on and takes its partitions over."""
    def one():
        victim = f.start("d1", fault=fault, wait=False)
        f.start("d2", wait=False)
        f.both_assigned()
        f.load(1500)
        with f.flow(50):
            f.wait_wire(60)
            moment(victim)
            open_then = f.wire()
            f.allow(open_then)
            time.sleep(FROZEN_S)
        f.wake(victim)
        f.settle()
        f.stop()
        return open_then >= LEAST
    f.repeat(ROUNDS, one)


@row("stop-random")
def stop_at_random(f):
    def moment(victim):
        time.sleep(f.random.uniform(0, 1))
        victim.popen.send_signal(signal.SIGSTOP)
        f.frozen(victim)
    freeze(f, None, moment)


@row("stop-lease.checked", exercises=["lease.checked"])
def stop_between_check_and_write(f):
    """The lease held when it was looked at, and is long over when the request is written."""
    freeze(f, "lease.checked:stop:30:50", f.frozen)
