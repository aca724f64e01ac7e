"""Free TCP ports of 127.0.0.1 for servers that tests start, and start again on the same port.

    python3 ports.py N        prints N of them

Below those that the kernel gives to outgoing connections: while a server is down, one of these would take its port.
"""

import contextlib
import pathlib
import random
import socket
import sys

SPAN = 12_000
RANDOM = random.SystemRandom()  # a test that seeds its own must not draw what another draws


def candidate():
    """A port to try; 0, which lets the kernel choose, where it gives nearly all to outgoing connections."""
    try:
        low = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except OSError:
        return 0
    return RANDOM.randrange(low - SPAN, low) if low > SPAN + 1024 else 0


def free_ports(n):
    """N distinct ports that nobody listens on right now. Somebody may take one before it is used, so callers try again."""
    with contextlib.ExitStack() as held:
        ports = []
        while len(ports) < n:
            s = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", candidate()))
                ports.append(s.getsockname()[1])
        return ports


if __name__ == "__main__":
    print(*free_ports(int(sys.argv[1])))
