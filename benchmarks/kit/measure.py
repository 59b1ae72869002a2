"""Measures one command with all its descendants: wall time, CPU seconds, peak memory, and what else the machine did.

    python3 -m kit.measure RESULT.json STDOUT STDERR PROCESSES -- COMMAND…

PROCESSES are ids, joined by commas, of processes that run already and work for the command: a scheduler, its executors. They
and their descendants are taken in: their memory, and the CPU seconds that they spend while the command runs.

It becomes the reaper of orphaned descendants, so that a JVM which PySpark leaves behind is waited for and counted. It
is a process of its own, because the kernel adds up the resources of children per process.
"""

import ctypes
import json
import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kit.workplace import BENCHMARKS

PR_SET_CHILD_SUBREAPER = 36
SAMPLE_SECONDS = 0.05
MIB = 2**20


@dataclass
class Measurement:
    """What one run of a command took."""

    exit_code: int
    wall: float
    cpu: float
    user: float
    system: float
    peak_mib: float
    """Largest sum of the resident memory of all processes, sampled; at least that of the largest process."""
    peak_process_mib: float
    """Peak of the largest single process, as the kernel counted it."""
    others_cores: float
    """Cores that other processes kept busy meanwhile: well above 0.1, and the wall time means little."""
    at: str
    began: float
    """When it started, on the machine's monotonic clock: to place what others recorded meanwhile."""


def run(
    command: list[str], stdout: Path, stderr: Path, environment: dict[str, str], beside: Sequence[int] = ()
) -> Measurement:
    """Measures a command, with processes that run beside it, in a fresh measuring process."""
    result = stdout.with_suffix(".json")
    files = [str(result), str(stdout), str(stderr)]
    measuring = [sys.executable, "-m", "kit.measure", *files, ",".join(map(str, beside)), "--", *command]
    subprocess.run(measuring, cwd=BENCHMARKS, env=os.environ | environment, check=True)
    return Measurement(**json.loads(result.read_text()))


class MemorySampler(threading.Thread):
    """Notes the largest resident memory of all descendants of this process, and of others with theirs."""

    def __init__(self, beside: Sequence[int]):
        super().__init__(daemon=True)
        self.beside = beside
        self.peak = 0
        self.stopped = threading.Event()

    def run(self) -> None:
        """Samples until stopped."""
        while not self.stopped.wait(SAMPLE_SECONDS):
            processes = [*self.beside, *descendants(os.getpid(), *self.beside)]
            self.peak = max(self.peak, sum(map(resident_bytes, processes)))


def descendants(*roots: int) -> list[int]:
    """Ids of all processes below some, none of which is below another."""
    children = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (parent := parent_of(entry)) is not None:
            children.setdefault(parent, []).append(int(entry))
    found, pending = [], [child for root in roots for child in children.get(root, [])]
    while pending:
        process = pending.pop()
        found.append(process)
        pending += children.get(process, [])
    return found


def parent_of(process: str) -> int | None:
    """The parent's id; None for a process that has just gone."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError):
        return None


def resident_bytes(process: int) -> int:
    """Resident memory; 0 for a process that has just gone."""
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def spent(processes: Iterable[int]) -> tuple[float, float]:
    """CPU seconds, of the user and of the system, that processes and the children they waited for have spent so far.

    Nothing for a process that has gone: its parent has what it spent.
    """
    user = system = 0
    for process in processes:
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks = [int(value) for value in fields[11:15]]
        user, system = user + ticks[0] + ticks[2], system + ticks[1] + ticks[3]
    return user / os.sysconf("SC_CLK_TCK"), system / os.sysconf("SC_CLK_TCK")


def peak_kib(process: int) -> int:
    """Largest resident memory that a process has had, in KiB; 0 for one that has gone."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def busy_seconds() -> float:
    """CPU seconds that the machine has been busy since it started."""
    with open("/proc/stat") as stat:
        ticks = [int(value) for value in stat.readline().split()[1:9]]
    idle, waiting = ticks[3], ticks[4]
    return (sum(ticks) - idle - waiting) / os.sysconf("SC_CLK_TCK")


def measure(command: list[str], stdout: Path, stderr: Path, beside: Sequence[int] = ()) -> Measurement:
    """Runs the command, waits for it and for all it left behind; but not for those beside it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    sampler, busy, at = MemorySampler(beside), busy_seconds(), time.strftime("%H:%M:%S")
    sampler.start()
    before = spent([*beside, *descendants(*beside)])
    started_at = time.monotonic()
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
    exit_code = process.wait()
    wall = time.monotonic() - started_at
    working = [*beside, *descendants(*beside)]
    after = spent(working)
    wait_for_orphans()
    sampler.stopped.set()
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = (own + late - early for own, early, late in zip((used.ru_utime, used.ru_stime), before, after))
    cpu = user + system
    largest = max(used.ru_maxrss, *map(peak_kib, working), 0) / 1024
    return Measurement(
        exit_code=exit_code,
        wall=round(wall, 3),
        cpu=round(cpu, 3),
        user=round(user, 3),
        system=round(system, 3),
        peak_mib=round(max(sampler.peak / MIB, largest), 1),
        peak_process_mib=round(largest, 1),
        others_cores=round(min(os.cpu_count() or 1, max(0.0, busy_seconds() - busy - cpu) / wall), 2),
        at=at,
        began=round(started_at, 3),
    )


def wait_for_orphans() -> None:
    """Waits until no descendant is left."""
    while True:
        try:
            os.wait()
        except ChildProcessError:
            return


if __name__ == "__main__":
    result, stdout, stderr = map(Path, sys.argv[1:4])
    beside = [int(process) for process in sys.argv[4].split(",") if process]
    measurement = measure(sys.argv[6:], stdout, stderr, beside)
    result.write_text(json.dumps(asdict(measurement)))
