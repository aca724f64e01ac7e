"""kill -9 at every named step of the road, and at random moments."""

from kit import row


def at(point, nth=1):
    """A row that kills the dispatcher where it reaches `point` the nth time with enough on the wire."""
    @row(f"kill-{point}", exercises=[point])
    def kill(f):
        def one():
            victim = f.start("d1", fault=f"{point}:kill:30:{nth}")
            f.load(300)
            f.fallen(victim)
            counts = f.unrecorded() >= 20
            f.start("d1")
            f.settle()
            return counts
        f.repeat(1, one)


for POINT in ("claim.committed",):
    at(POINT)
