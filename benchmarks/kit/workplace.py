"""Where everything generated lives: one folder that git ignores."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from kit import workload

BENCHMARKS = Path(__file__).resolve().parent.parent
REPOSITORY = BENCHMARKS.parent
MANY = "many"
"""Size of the suite of many small collections."""
ANY = "any"
"""Size of a suite that reads no records."""


@dataclass(frozen=True)
class Workplace:
    """The folder, and the names of what is in it."""

    root: Path

    def harvest(self, size: str) -> Path:
        """The generated harvest of that size: `xml/`, `jsonl/`, `collections.csv`, `manifest.json`."""
        return self.root / size

    def manifest(self, size: str) -> dict:
        """The totals of a harvest."""
        return json.loads((self.harvest(size) / "manifest.json").read_text())

    def joined(self, size: str) -> Path:
        """What is joined and grouped at that size: two Parquet files, `reference/`, `manifest.json`."""
        return self.root / "join" / size

    def venv(self, name: str) -> Path:
        """The virtual environment of a peer."""
        return self.root / "venvs" / name

    def python(self, name: str) -> Path:
        """The interpreter of that environment."""
        return self.venv(name) / "bin" / "python"

    def output(self, engine: str, suite: str, size: str) -> Path:
        """What an engine writes."""
        return self.root / "out" / f"{engine}-{suite}-{size}"

    def log(self, label: str, stream: str) -> Path:
        """What the last run with that label printed; `stream` is out or err."""
        path = self.root / "logs" / f"{label}.{stream}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def generate(self, sizes: list[str], processes: int) -> None:
        """Writes the harvests that are not there yet."""
        for size in sizes:
            if (self.harvest(size) / "manifest.json").exists():
                continue
            print(f"generating {size}", flush=True)
            if size == MANY:
                workload.generate_many(self.harvest(size))
            else:
                workload.generate(self.harvest(size), workload.SIZES[size], processes)


def emptied(folder: Path) -> Path:
    """The folder, without what was in it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
