"""kill -9 at every named step of the road, and at random moments."""

import signal
import time

from kit import FULL, LEAST, row

ROUNDS = 3 if FULL else 1  # a named step
RANDOM = 250 if FULL else 20
WIRE = 30  # by the process's own count; the platform must have read 20 of them


def at(point, nth_max=20):
    """A row that kills a dispatcher where it reaches `point`: the first time, and in the long form one of the first `nth_max`. The function decorated
    with it makes it get there."""
    def register(drive):
        @row(f"kill-{point}", exercises=[point])
        def kill(f):
            def one():
                f.stop()
                victim = f.start("d1", fault=f"{point}:kill:{WIRE}:{f.random.randint(1, nth_max) if FULL else 1}")
                drive(f, victim)
                f.fallen(victim)
                counts = f.unrecorded() >= LEAST
                f.start("d1")
                f.settle()
                return counts
            f.repeat(ROUNDS, one)
        return drive
    return register


def load(f, victim):
    f.load_while(victim)


for POINT in ("record.fetched", "record.decoded", "gate.passed", "claim.sent", "claim.rows", "claim.committed", "message.rendered", "curl.handed",
              "lease.checked", "wire.written", "wire.answered", "outcome.sent", "outcome.committed", "offset.marked", "offset.stored",
              "offset.committed"):
    at(POINT)(load)


@at("park.sent")
@at("park.committed")
def put_off(f, victim):
    for _ in range(30):
        if victim.is_running():
            f.load(60)
            f.load(20, "order.later")


@at("due.read")
def come_back(f, victim):
    """What was put off for three seconds is read while slow requests are open."""
    f.config(latency={"min_ms": 600, "max_ms": 1200})
    f.load(60, "order.later")
    f.load_while(victim)


@at("book.read", nth_max=1)
def change_the_book(f, victim):
    f.load(200)
    f.wait_wire(WIRE)
    f.pg.sql("insert into postrider.control (tenant, kind, target) values (1, 'template', '1')")
    f.load_while(victim)


@at("revoke.begun", nth_max=1)
@at("revoke.answered", nth_max=1)
def join(f, victim):
    """Another joins, so partitions are asked back; one of them has nothing on the wire and is answered for at once."""
    for part in (1, 2, 3):
        f.load(80, partition=part)
    f.wait_wire(WIRE)
    f.start("d2", wait=False)
    f.load_while(victim, partition=1)


@at("drain.begun", nth_max=1)
def end(f, victim):
    f.load(200)
    f.wait_wire(WIRE)
    victim.popen.send_signal(signal.SIGTERM)


@row("kill-epoch.begun", exercises=["epoch.begun"])
def kill_at_a_new_epoch(f):
    """An epoch begins only when nothing of the old one is on the wire, so the requests that are open are those of another dispatcher."""
    def one():
        f.stop()
        victim = f.start("d1", fault="epoch.begun:kill:0:2", wait=False)
        f.start("d2", wait=False)
        f.both_assigned()
        f.load(1000)
        f.wait_wire(150)
        f.pg.sql("update postrider.instance set lease_until = clock_timestamp() - interval '1 s' where name = 'd1'")
        f.fallen(victim, least=0)
        counts = f.wire() >= LEAST
        f.start("d1", wait=False)
        f.settle()
        return counts
    f.repeat(ROUNDS, one)


@row("kill-journal")
def kill_with_a_journal(f):
    """The printed bound is the requests on the wire alone, because what was claimed and not handed over is known to the next under the name."""
    folder = f.env.folder / f"state-{f.name}"
    folder.mkdir()
    f.always["dispatch__state_dir"] = folder

    def one():
        f.stop()
        point = f.random.choice(["claim.committed", "message.rendered", "curl.handed", "lease.checked", "wire.answered", "outcome.committed"])
        victim = f.start("d1", fault=f"{point}:kill:90:{f.random.randint(1, 20)}")
        f.load_while(victim)
        f.fallen(victim)
        counts = f.unrecorded() >= LEAST
        f.start("d1")
        f.settle()
        return counts
    f.repeat(4 * ROUNDS, one)


@row("kill-random")
def kill_at_random(f):
    """From outside, at any moment; one in five is followed by a dispatcher of another name, which has to wait for the lease to end."""
    number, process = 1, f.start("d1")
    while f.rounds < RANDOM:
        f.load(150)
        f.wait_wire()
        time.sleep(f.random.uniform(0, 0.4))
        if f.wire() < LEAST:
            continue  # too late: nobody is killed, and the moment does not count
        f.rounds += f.kill(process)
        number += f.random.random() < 0.2
        process = f.start(f"d{number}")


@row("kill-heard", heard=True)
def kill_while_receipts_arrive(f):
    """Receipts settle what a kill left; three in ten are lost, and utility is sent a second time when its window is over."""
    f.config(receipts={"sent_ms": 100, "lost": 0.3})

    def one():
        f.stop()
        victim = f.start("d1", fault=f"wire.answered:kill:{WIRE}:{f.random.randint(1, 60)}")
        f.load_while(victim)
        f.fallen(victim)
        counts = f.unrecorded() >= LEAST
        f.start("d1")
        f.settle()
        return counts
    f.repeat(ROUNDS, one)
