"""A fleet that follows its work: a scheduler without executors, a job that arrives, and nobody left some time after it.

What the scheduler's metrics say is written down ten times a second from before the job until the fleet is gone again.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from kit import measure
from kit.executors import EXECUTORS, PATIENCE, Cluster, cluster
from kit.goals import FIRST_TASK
from kit.pacha import Pacha
from kit.workplace import Workplace

IDLE = 2
"""Seconds after which an executor without work is one too many."""
LOOK = 0.1
PROJECT = f"""name = "fleet"

[fleet]
kind = "process"
max = {EXECUTORS}
vcores = 1
idle = "{IDLE}s"
"""
PREFIX = "pacha_fleet_"
GAUGES = ("wanted", "starting", "present", "draining", "tasks")
"""The metrics that are recorded."""
EXECUTORS_OF = ("starting", "present", "draining")
"""Those that count executors; none is left when they add up to nothing."""

MOMENTS = {
    "arrived": "the job is at the scheduler",
    "first_executor": "the first is registered",
    "first_task": "the first task runs",
    "wall": "the command has ended",
    "gone": "no executor is left",
}
"""What is looked for in a recording, as seconds after the command was typed."""


@dataclass(frozen=True)
class Sight:
    """The fleet at a moment, in seconds from the command's start."""

    at: float
    """When the scheduler had answered."""
    gauges: dict[str, int]
    jobs: int
    tasks: int
    """That have begun."""
    registered: int
    """Executors that take tasks."""
    processes: int
    """Executors that are there, also those that have not registered yet or have said that they end."""

    @property
    def empty(self) -> bool:
        """Whether no executor is there or will be."""
        return self.processes == 0 and not any(self.gauges.get(name, 0) for name in EXECUTORS_OF)


class Recorder(threading.Thread):
    """Looks at the fleet until stopped."""

    def __init__(self, of: Cluster):
        super().__init__(daemon=True)
        self.of = of
        self.sights: list[Sight] = []
        self.stopped = threading.Event()

    def run(self) -> None:
        """Looks, and waits for what is left of the tenth of a second."""
        while not self.stopped.is_set():
            next_at = time.monotonic() + LOOK
            self.sights.append(sight(self.of))
            self.stopped.wait(max(0.0, next_at - time.monotonic()))


def sight(of: Cluster) -> Sight:
    """The fleet now."""
    jobs, found = of.jobs(), gauges(of.text("/metrics"))
    registered = sum(not executor["terminating"] for executor in of.executors())
    stages = [stage for job in jobs for stage in job["stages"]]
    begun = sum(stage[state] for stage in stages for state in ("running", "successful", "failed"))
    processes = len(measure.descendants(*of.ids()))
    return Sight(time.monotonic(), found, len(jobs), begun, registered, processes)


def gauges(text: str) -> dict[str, int]:
    """The fleet's gauges in an answer of the metrics."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.removeprefix(PREFIX).partition(" ")
        if line.startswith(PREFIX) and name in GAUGES:
            found[name] = round(float(value))
    return found


def start(workplace: Workplace, binary: Path, size: str, number: int) -> dict:
    """One run of the job that maps XML on a fleet that is not there when it arrives."""
    engine = Pacha(binary, name="fleet")
    stdout, stderr = workplace.log(f"fleet-xml-{size}", "out"), workplace.log(f"fleet-xml-{size}", "err")
    engine.prepare(workplace, "xml", size)
    with cluster(binary, workplace, PROJECT) as running:
        running.until(lambda: set(gauges(running.text("/metrics"))) == set(GAUGES), "the fleet shows its metrics")
        recorder = Recorder(running)
        recorder.start()
        command = replace(engine, cluster=running.address).command(workplace, "xml", size)
        took = measure.run(command, stdout, stderr, engine.environment, running.ids())
        deadline = time.monotonic() + IDLE + PATIENCE
        while not recorder.sights[-1].empty and recorder.is_alive() and time.monotonic() < deadline:
            time.sleep(LOOK)
        recorder.stopped.set()
        recorder.join()
    sights = [replace(one, at=round(one.at - took.began, 2)) for one in recorder.sights]
    found = {"round": number, "size": size, **moments(sights, took.wall), **asdict(took)}
    words = ", ".join(f"{name.replace('_', ' ')} {found[name]} s" for name in MOMENTS)
    print(f"{f'fleet-xml-{size}':24} {words}", flush=True)
    if took.exit_code != 0:
        print(f"  failed with exit code {took.exit_code}; see {stderr}", flush=True)
    return found | {
        "looks": len(sights),
        "changes": [asdict(one) for one in changes(sights)],
        "used": engine.used(stdout),
    }


def changes(sights: list[Sight]) -> list[Sight]:
    """Those that differ from the one before."""
    return [one for before, one in zip([None, *sights], sights) if before is None or replace(before, at=one.at) != one]


def moments(sights: list[Sight], ended: float) -> dict[str, float | None]:
    """When each of them was first seen; nothing for what never was."""

    def first(seen) -> float | None:
        return next((one.at for one in sights if one.at >= 0 and seen(one)), None)

    return {
        "arrived": first(lambda one: one.jobs > 0 or one.gauges.get("wanted", 0) > 0),
        "first_executor": first(lambda one: one.registered > 0),
        "first_task": first(lambda one: one.tasks > 0),
        "gone": first(lambda one: one.at > ended and one.empty),
        "most": max(one.processes for one in sights),
    }


def right(found: dict) -> bool:
    """Whether the run succeeded, and the fleet came, ran it and went."""
    return found["exit_code"] == 0 and all(found[name] is not None for name in MOMENTS)


def part(starts: list[dict]) -> Iterator[str]:
    """The recordings as Markdown: the moments of each round, and the series of the quickest."""
    if not starts:
        return
    best = min(starts, key=lambda one: (not right(one), one["first_task"] or 0))
    yield from ("", f"## From zero executors and back, XML {best['size']}", "")
    yield (
        f"Seconds after the command was typed. The scheduler starts at most {EXECUTORS} executors of one vcore, and "
        f"stops them when they were idle for {IDLE} s. Seen ten times a second."
    )
    yield from ("", "| round | " + " | ".join(MOMENTS.values()) + " |", "|---|" + "---:|" * len(MOMENTS))
    for one in starts:
        values = ("never" if one[name] is None else f"{one[name]:.1f}" for name in MOMENTS)
        yield f"| {one['round']} | {' | '.join(values)} |"
    yield from ("", f"The metrics of round {best['round']}, whenever one of them changed:", "", "```")
    yield "seconds " + "".join(f"{name:>10}" for name in (*GAUGES, "processes"))
    before = None
    for one in best["changes"]:
        values = [one["gauges"].get(name, 0) for name in GAUGES] + [one["processes"]]
        if values != before:
            row = f"{one['at']:7.1f} " + "".join(f"{value:10}" for value in values) + "  " + "#" * one["processes"]
            yield row.rstrip()
        before = values
    yield "```"


def goal_row(starts: list[dict]) -> Iterator[str]:
    """How far the best start is from the goal."""
    if found := [one["first_task"] for one in starts if right(one)]:
        verdict = FIRST_TASK.verdict(min(found))
        aims = f"{FIRST_TASK.at_least:g} | {FIRST_TASK.aim:g}"
        yield f"| from the command to the first task, zero executors before, s | {min(found):.1f} | | {aims} | {verdict} |"
