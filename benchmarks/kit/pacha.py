"""Pachamama as one more engine: its project is in `project/`, this file puts it beside a harvest and runs it."""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from kit.engines import SUITES
from kit.spec import questions
from kit.workload import MANY_COLLECTIONS, MANY_FIRST_ID
from kit.workplace import BENCHMARKS, MANY, Workplace, emptied

PROJECT = BENCHMARKS / "project"
DATABASE = "bench"
JOBS = {"xml": "xml", "json": "json", "many": "many", "join": "join"}
"""The job of each suite that writes tables."""

MANY_COLLECTION = """title = "Collection {number}"
source = "oai_dc"
pages = "../pages/{number}"
"""


@dataclass(frozen=True)
class Pacha:
    """The `pacha` binary."""

    binary: Path
    name: str = "pacha"
    suites: tuple[str, ...] = SUITES
    environment: dict[str, str] = field(default_factory=dict, hash=False)
    cluster: str = ""
    """The scheduler on whose executors it runs jobs; none, and it does so itself."""

    def available(self, workplace: Workplace) -> bool:
        """Whether it is built."""
        return self.binary.exists()

    def can(self, workplace: Workplace, suite: str, size: str) -> bool:
        """All suites."""
        return suite in self.suites

    def prepare(self, workplace: Workplace, suite: str, size: str) -> None:
        """Assembles the project beside the harvest and empties the warehouse; before the clock starts."""
        if suite in JOBS:
            assembled = assemble_join if suite == "join" else assemble
            assembled(workplace, size)
            emptied(workplace.output(self.name, suite, size))
        elif suite == "adhoc":
            self._need_result(workplace, size)
            (project(workplace, size) / "questions.sql").write_text(question_file())

    def command(self, workplace: Workplace, suite: str, size: str) -> list[str]:
        """The command that is measured."""
        if suite == "one":
            return [str(self.binary), "sql", "select 1"]
        here = ["--project", str(project(workplace, size, suite))]
        if suite == "adhoc":
            warehouse = ["--set", f"warehouse={workplace.output(self.name, 'xml', size)}"]
            file = str(project(workplace, size) / "questions.sql")
            return [str(self.binary), "sql", *here, *warehouse, "-f", file, "--format", "ndjson"]
        warehouse = ["--set", f"warehouse={workplace.output(self.name, suite, size)}"]
        cluster = ["--cluster", self.cluster] if self.cluster else []
        return [str(self.binary), "run", JOBS[suite], *here, *warehouse, *cluster, "--force", "--format", "json"]

    def result(self, workplace: Workplace, suite: str, size: str, table: str = "mapped") -> Path:
        """The folder of Parquet files it wrote for a table."""
        database = "joined" if suite == "join" else DATABASE
        return workplace.output(self.name, suite, size) / database / table / "data"

    def columns(self) -> dict[str, str]:
        """Columns with another name than in the specification: a published table has the first two for itself."""
        return {"id": "record_id", "collection_id": "holding_id"}

    def versions(self, workplace: Workplace) -> dict[str, str]:
        """What the binary calls itself."""
        printed = subprocess.run([self.binary, "--version"], capture_output=True, text=True, check=True)
        return {"pacha": printed.stdout.split()[-1]}

    def used(self, stdout: Path) -> dict:
        """What a run that printed its record there used of a cluster."""
        try:
            return json.loads(stdout.read_text()).get("cluster") or {}
        except ValueError:
            return {}

    def _need_result(self, workplace: Workplace, size: str) -> None:
        """Maps the harvest, if no measured run has; should that fail, the measured command will say so."""
        if any(self.result(workplace, "xml", size).rglob("*.parquet")):
            return
        self.prepare(workplace, "xml", size)
        with workplace.log(f"pacha-for-adhoc-{size}", "out").open("wb") as out:
            command = self.command(workplace, "xml", size)
            subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False)


def project(workplace: Workplace, size: str, suite: str = "") -> Path:
    """The project beside a harvest or what is joined; it names its pages and inputs relative to itself."""
    return (workplace.joined(size) if suite == "join" else workplace.harvest(size)) / "project"


def assemble(workplace: Workplace, size: str) -> None:
    """Copies the project beside a harvest. What a run keeps there, such as the shape of JSON documents, stays."""
    folder = project(workplace, size)
    jobs = {"many.toml"} if size == MANY else {"xml.toml", "json.toml"}

    def left_out(parent: str, names: list[str]) -> set[str]:
        if Path(parent) == PROJECT / "jobs":
            return set(names) - jobs
        if Path(parent) == PROJECT / "collections" and size == MANY:
            return set(names)
        return set()

    shutil.copytree(PROJECT, folder, dirs_exist_ok=True, ignore=left_out)
    shutil.copy(workplace.harvest(size) / "collections.csv", folder / "lookups" / "collections.csv")
    if size == MANY:
        for number in range(MANY_FIRST_ID, MANY_FIRST_ID + MANY_COLLECTIONS):
            (folder / "collections" / f"{number}.toml").write_text(MANY_COLLECTION.format(number=number))


def assemble_join(workplace: Workplace, size: str) -> None:
    """The project beside what is joined: the job and its steps alone."""
    folder = project(workplace, size, "join")
    shutil.copytree(PROJECT / "steps", folder / "steps", dirs_exist_ok=True)
    for name in ("pacha.toml", "jobs/join.toml"):
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(PROJECT / name, folder / name)


def question_file() -> str:
    """The four questions as one file of SQL."""
    asked = questions(f"{DATABASE}.mapped", "unnest(subjects)")
    return "".join(f"-- {name}\n{question};\n" for name, question in asked.items())
