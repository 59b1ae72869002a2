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
TIMES_TEN = 11.0
"""Ten times the records may take this many times the time."""
