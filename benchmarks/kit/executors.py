"""A scheduler and its executors, as processes of this machine, and what the scheduler shows of them.

They are no children of a command that uses them, so they are started here, and `measure.py` is told of them. Each measured
run has new ones: nothing that an earlier run has left in memory counts, and nothing that it has warmed up.
"""

import json
import re
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kit.workplace import Workplace, emptied

EXECUTORS = 2
"""Each runs one task at a time."""
HOST = "127.0.0.1"
PATIENCE = 60
"""Seconds in which processes start, register and end."""
LOOK = 0.02


@dataclass
class Cluster:
    """Processes that run until their `with` ends."""

    binary: Path
    workplace: Workplace
    folder: Path
    authority: str = ""
    """Host and port of the scheduler."""
    processes: list[subprocess.Popen] = field(default_factory=list)

    @property
    def address(self) -> str:
        """What `--cluster` takes."""
        return f"df://{self.authority}"

    def ids(self) -> list[int]:
        """Of the processes that were started here; executors that a scheduler has started are below it."""
        return [process.pid for process in self.processes]

    def whole(self) -> bool:
        """Whether all of them still run."""
        return all(process.poll() is None for process in self.processes)

    def text(self, path: str) -> str:
        """What the scheduler answers."""
        with urllib.request.urlopen(f"http://{self.authority}{path}", timeout=PATIENCE) as answer:
            return answer.read().decode()

    def executors(self) -> list[dict]:
        """The executors that are registered."""
        return json.loads(self.text("/pacha/executors"))

    def jobs(self) -> list[dict]:
        """The jobs that run or have lately ended."""
        return json.loads(self.text("/pacha/jobs"))

    def start(self, name: str, *arguments: str) -> Path:
        """Starts one process; returns the file of what it prints."""
        stdout, stderr = self.workplace.log(name, "out"), self.workplace.log(name, "err")
        with stdout.open("wb") as out, stderr.open("wb") as err:
            command = [str(self.binary), *arguments]
            process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=out, stderr=err)
        self.processes.append(process)
        return stdout

    def start_scheduler(self, *arguments: str) -> None:
        """Starts the scheduler on a free port, and returns when it answers."""
        printed = self.start("scheduler", "scheduler", "--listen", f"{HOST}:0", *arguments)

        def port() -> str | None:
            found = re.search(rf"{re.escape(HOST)}:(\d+)\b.*\n", printed.read_text())
            return found and found[1]

        self.authority = f"{HOST}:{self.until(port, 'the scheduler says where it listens')}"

    def start_executors(self) -> None:
        """Starts the executors, and returns when they are registered."""
        for number in range(EXECUTORS):
            work = ["--work-dir", str(emptied(self.folder / f"work-{number}"))]
            self.start(f"executor-{number}", "executor", "--scheduler", self.address, "--vcores", "1", *work)
        self.until(lambda: len(self.executors()) == EXECUTORS, f"{EXECUTORS} executors are registered")

    def until(self, found: Callable, what: str):
        """What `found` returns as soon as that is something."""
        deadline = time.monotonic() + PATIENCE
        while not (value := found()):
            if not self.whole():
                raise RuntimeError(
                    f"a process ended before {what}; see {self.workplace.log('scheduler', 'err').parent}"
                )
            if time.monotonic() > deadline:
                raise TimeoutError(f"not within {PATIENCE} s: {what}")
            time.sleep(LOOK)
        return value

    def stop(self) -> None:
        """Ends all, executors first; one that does not end in time is killed, which is said."""
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                print(f"  process {process.pid} does not end; killed: {' '.join(map(str, process.args))}", flush=True)
                process.kill()
                process.wait()


@contextmanager
def cluster(binary: Path, workplace: Workplace, project: str | None = None) -> Iterator[Cluster]:
    """A scheduler with its executors; or, with the text of a `pacha.toml` for it, one that starts executors itself."""
    folder = emptied(workplace.root / "cluster")
    started = Cluster(binary, workplace, folder)
    try:
        if project is None:
            started.start_scheduler()
            started.start_executors()
        else:
            (folder / "pacha.toml").write_text(project)
            started.start_scheduler("--project", str(folder))
        yield started
    finally:
        started.stop()
