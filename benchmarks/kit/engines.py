"""The peers: what each needs installed, which suites it can do. `pacha.py` is the engine they are peers of."""

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from kit.workplace import BENCHMARKS, Workplace, emptied

SUITES = ("one", "xml", "json", "adhoc", "many")
"""In the order in which they are run."""

SUITE_TITLES = {
    "one": "first row of `select 1`",
    "xml": "OAI-PMH XML → mapped Parquet",
    "json": "JSON Lines → mapped Parquet",
    "adhoc": "four ad-hoc questions about the result",
    "many": "2,300 collections of 82 records, one command",
    "join": "a join and two group-bys of Parquet",
}

LXML, PYARROW = "lxml==6.1.3", "pyarrow==26.0.1"

PACKAGES = {
    "plain": (LXML, PYARROW, "orjson", "zstandard", "pysimdjson"),
    "duckdb": ("duckdb==2.0.0", LXML, PYARROW),
    "datafusion": ("datafusion==55.0.0", LXML, PYARROW),
    "polars": ("polars==2.1.0",),
    "daft": ("daft==0.7.26",),
    "sail": ("pysail==0.7.2", "pyspark-client==4.2.0"),
    "spark": ("pyspark==4.3.0",),
}
"""Packages of each virtual environment, in the versions that are compared."""

REFERENCE = "plain"
"""The peer whose result the others are compared with, and whose result the peers are asked about."""


@dataclass(frozen=True)
class Peer:
    """One engine that does the same job."""

    name: str
    suites: tuple[str, ...]
    """Those it can do without a reader of somebody else's, except lxml into Arrow."""
    venv: str = ""
    program: str = ""
    flags: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict, hash=False)

    @property
    def venv_name(self) -> str:
        """Its virtual environment, by default its own."""
        return self.venv or self.name

    def available(self, workplace: Workplace) -> bool:
        """Whether it is installed."""
        return installed(workplace, self.venv_name)

    def can(self, workplace: Workplace, suite: str, size: str) -> bool:
        """Whether it can be measured in a suite; the questions need a result to be asked about."""
        return suite in self.suites and (suite != "adhoc" or has_reference(workplace, size))

    def prepare(self, workplace: Workplace, suite: str, size: str) -> None:
        """Makes room for the output; before the clock starts."""
        if suite in ("xml", "json"):
            emptied(workplace.output(self.name, suite, size))

    def command(self, workplace: Workplace, suite: str, size: str) -> list[str]:
        """The command that is measured."""
        program = [str(workplace.python(self.venv_name)), "-m", f"peers.{self.program or self.venv_name}"]
        if suite == "one":
            return [*program, "one"]
        if suite == "adhoc":
            return [*program, "ask", "--data", str(reference_output(workplace, size))]
        form = "xml" if suite == "xml" else "jsonl"
        paths = [
            "--data",
            str(workplace.harvest(size)),
            "--out",
            str(workplace.output(self.name, suite, size)),
        ]
        return [*program, "map", "--format", form, *paths, *self.flags]

    def result(self, workplace: Workplace, suite: str, size: str) -> Path:
        """The folder of Parquet files it wrote."""
        return workplace.output(self.name, suite, size)

    def columns(self) -> dict[str, str]:
        """Columns of its result that have another name than in the specification."""
        return {}

    def versions(self, workplace: Workplace) -> dict[str, str]:
        """Versions of its packages, as installed."""
        found = {}
        for folder in sorted(workplace.venv(self.venv_name).glob("lib/python*/site-packages/*.dist-info")):
            name, _, version = folder.name.removesuffix(".dist-info").partition("-")
            found[name.lower()] = version
        wanted = (package.partition("==")[0].replace("-", "_") for package in PACKAGES[self.venv_name])
        return {name: found.get(name, "?") for name in wanted}


EVERY = ("one", "xml", "json", "adhoc")
NO_XML = ("one", "json", "adhoc")

QUIET_DAFT = {"DAFT_PROGRESS_BAR": "0", "DAFT_ANALYTICS_ENABLED": "0", "DO_NOT_TRACK": "true"}

PEERS = (
    Peer("plain", ("xml", "json", "adhoc")),
    Peer("plain2", ("xml", "json"), venv="plain", flags=("--processes", "2")),
    Peer("duckdb", EVERY),
    Peer("datafusion", EVERY),
    Peer("polars", NO_XML, environment={"POLARS_MAX_THREADS": "2"}),
    Peer("daft", NO_XML, environment=QUIET_DAFT),
    Peer("sail", NO_XML, program="spark", environment={"SAIL": "1"}),
    Peer("spark", EVERY),
)


def installed(workplace: Workplace, venv: str) -> bool:
    """Whether the environment is complete."""
    return workplace.python(venv).exists() and (workplace.venv(venv) / "complete").exists()


def install(workplace: Workplace, venv: str) -> None:
    """Makes one virtual environment, unless it is complete."""
    if installed(workplace, venv):
        return
    print(f"installing {venv}: {' '.join(PACKAGES[venv])}", flush=True)
    folder = emptied(workplace.venv(venv))
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(workplace.python(venv)), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    subprocess.run([*pip, *PACKAGES[venv]], check=True)
    (folder / "complete").touch()


def reference_output(workplace: Workplace, size: str) -> Path:
    """The result of the reference peer, kept between runs."""
    return workplace.root / "reference" / size


def has_reference(workplace: Workplace, size: str) -> bool:
    """Whether that result is there."""
    return (reference_output(workplace, size) / "part-0.parquet").exists()


def write_reference(workplace: Workplace, size: str) -> None:
    """Writes the reference result of a size, unless it is there or the reference peer is not installed."""
    if has_reference(workplace, size) or not installed(workplace, REFERENCE):
        return
    print(f"writing the reference result of {size}", flush=True)
    folder = emptied(reference_output(workplace, size))
    program = [str(workplace.python(REFERENCE)), "-m", f"peers.{REFERENCE}", "map", "--format", "jsonl"]
    paths = ["--data", str(workplace.harvest(size)), "--out", str(folder)]
    with workplace.log(f"reference-{size}", "err").open("wb") as err:
        subprocess.run([*program, *paths], cwd=BENCHMARKS, stderr=err, check=True)
