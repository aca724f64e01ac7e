"""A group's committed offsets, asked of the brokers by Kafka's own protocol: without a JVM a call, and not by the code under test."""

import socket
import struct

OFFSET_FETCH, VERSION = 9, 2
MOVING = (14, 15, 16)  # the coordinator is loading, not available, elsewhere


class Moving(Exception):
    """No broker that answered is the group's coordinator right now."""


def text(value):
    raw = value.encode()
    return struct.pack(">h", len(raw)) + raw


def exactly(connection, n):
    got = b""
    while len(got) < n:
        more = connection.recv(n - len(got))
        if not more:
            raise Moving("the broker closed the connection")
        got += more
    return got


class Answer:
    """Bytes read from the front."""

    def __init__(self, raw):
        self.raw, self.at = raw, 0

    def take(self, form):
        values = struct.unpack_from(form, self.raw, self.at)
        self.at += struct.calcsize(form)
        return values[0]

    def text(self):
        n = max(self.take(">h"), 0)
        self.at += n
        return self.raw[self.at - n:self.at].decode()


def ask(broker, group, topic, partitions):
    """{partition: committed} by one broker, and the error codes that it gave."""
    host, _, port = broker.rpartition(":")
    body = struct.pack(">hhi", OFFSET_FETCH, VERSION, 1) + text("matrix") + text(group) + struct.pack(">i", 1) + text(topic)
    body += struct.pack(">i", partitions) + b"".join(struct.pack(">i", p) for p in range(partitions))
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(struct.pack(">i", len(body)) + body)
        answer = Answer(exactly(connection, struct.unpack(">i", exactly(connection, 4))[0]))
    answer.take(">i")  # our number
    found, errors = {}, set()
    for _ in range(answer.take(">i")):
        answer.text()
        for _ in range(answer.take(">i")):
            part, offset = answer.take(">i"), answer.take(">q")
            answer.text()
            found[part] = offset
            errors.add(answer.take(">h"))
    errors.add(answer.take(">h"))
    return found, errors - {0}


def committed(bootstrap, group, topic, partitions):
    """The committed offset of each partition, -1 where there is none; Moving while no broker knows."""
    for broker in bootstrap.split(","):
        try:
            found, errors = ask(broker, group, topic, partitions)
        except OSError:
            continue
        if not errors & set(MOVING):
            if errors:
                raise RuntimeError(f"OffsetFetch: error codes {errors}")
            return [found[p] for p in range(partitions)]
    raise Moving("no broker has the group's offsets")
