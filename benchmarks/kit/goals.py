"""What pacha must reach on two cores, and what it aims at: the figures of section 10 of the design."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Goal:
    """Bounds for one figure."""

    suite: str
    size: str
    figure: str
    at_least: float
    aim: float | None = None

    def verdict(self, value: float) -> str:
        """How far the figure is."""
        if self.aim is not None and value <= self.aim:
            return "aim reached"
        if value <= self.at_least:
            return "reached"
        return f"{value / self.at_least:.2f} × too much"


GOALS = (
    Goal("one", "any", "wall", 0.10, 0.05),
    Goal("xml", "M", "cpu", 30, 20),
    Goal("xml", "M", "peak_mib", 700),
    Goal("xml", "S", "cpu", 3.0, 2.0),
    Goal("json", "M", "cpu", 25, 18),
    Goal("json", "M", "peak_mib", 700),
    Goal("adhoc", "M", "cpu", 2.6, 1.5),
    Goal("many", "many", "wall", 10, 4),
)
CLUSTER_TIMES, CLUSTER_SECONDS = 1.15, 2.0
"""On one scheduler and two executors, on the same cores, a job may take so many times the wall time, and so many seconds
more."""
FIRST_TASK = Goal("start", "any", "first_task", 5.0, 2.0)
"""Seconds from a job's arrival to its first task, where no executor runs before."""
TIMES_TEN = 11.0
"""Ten times the records may take this many times the time."""


def on_cluster(suite: str, size: str, embedded: float) -> Goal:
    """What a job may take on a cluster that takes `embedded` wall seconds in one process."""
    return Goal(suite, size, "wall", CLUSTER_TIMES * embedded + CLUSTER_SECONDS)
