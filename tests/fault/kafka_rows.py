"""Kafka in trouble: dispatchers that come and go, a broker lost, all brokers away."""

import concurrent.futures
import time

from kit import FULL, row

STORM_S = 120 if FULL else 30
AWAY_S = 60


@row("rebalance-storm")
def storm(f):
    """Every two or three seconds a dispatcher joins or leaves; at least one stays."""
    names, running = ["d1", "d2", "d3", "d4"], {}
    with f.flow(200):
        running["d1"] = f.start("d1")
        ends = time.monotonic() + STORM_S
        while time.monotonic() < ends:
            f.rounds += 1
            idle = [name for name in names if name not in running]
            if idle and (len(running) == 1 or f.random.random() < 0.5):
                name = f.random.choice(idle)
                running[name] = f.start(name, wait=False)
            else:
                running.pop(f.random.choice(sorted(running))).popen.terminate()
            time.sleep(f.random.uniform(1, 4))


def revive(f, brokers):
    """All at once: none is up before most are there."""
    with concurrent.futures.ThreadPoolExecutor(len(brokers)) as pool:
        list(pool.map(f.kafka.revive, brokers))


@row("broker-killed", brokers=3)
def one_broker_of_three(f):
    f.start("d1", wait=False)
    f.start("d2")
    f.both_assigned()
    for broker in (1, 2, 3) if FULL else (f.random.randint(1, 3),):
        f.load(1000)
        with f.flow(100):
            f.wait_wire()
            f.kafka.kill(broker)
            f.rounds += 1
            time.sleep(10)
            f.kafka.revive(broker)
            time.sleep(3)


@row("brokers-away", brokers=3)
def all_brokers(f):
    f.start("d1")
    f.load(3000)
    f.wait_wire()
    for broker in (1, 2, 3):
        f.kafka.kill(broker)
    f.rounds += 1
    time.sleep(AWAY_S)
    revive(f, (1, 2, 3))
    f.load(300)
    f.settle(120)
