"""Whether all engines agree: the rows they wrote, the answers they gave, and pacha's own account of what it did."""

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

from kit import pacha
from kit.engines import REFERENCE, Peer, has_reference, installed, reference_output
from kit.spec import JOINED
from kit.workplace import BENCHMARKS, Workplace

Engine = Peer | pacha.Pacha


def results(workplace: Workplace, wrote: list[tuple[Engine, str]], size: str) -> list[dict]:
    """Compares what engines wrote in a suite with the reference; empty if nothing can be compared."""
    wanted = []
    if has_reference(workplace, size):
        folder = str(reference_output(workplace, size))
        wanted.append({"engine": REFERENCE, "suite": "reference", "folder": folder, "columns": {}})
    for engine, suite in wrote:
        folder = str(engine.result(workplace, suite, size))
        wanted.append({"engine": engine.name, "suite": suite, "folder": folder, "columns": engine.columns()})
    return verified(workplace, wanted, size)


def joined(workplace: Workplace, engines: list[pacha.Pacha], size: str) -> list[dict]:
    """Compares what was joined and grouped with what DuckDB makes of the same SQL."""
    found = []
    for table in JOINED:
        folders = {"duckdb": workplace.joined(size) / "reference" / table}
        folders |= {engine.name: engine.result(workplace, "join", size, table) for engine in engines}
        wanted = [
            {"engine": name, "suite": table, "folder": str(folder), "columns": {}, "table": table}
            for name, folder in folders.items()
        ]
        found += verified(workplace, wanted, size)
    return found


def verified(workplace: Workplace, wanted: list[dict], size: str) -> list[dict]:
    """Results with their checksums, compared with the first."""
    if len(wanted) < 2 or not installed(workplace, "duckdb"):
        return []
    verify = [str(workplace.python("duckdb")), "-m", "kit.verify"]
    done = subprocess.run(
        verify, cwd=BENCHMARKS, input=json.dumps(wanted), stdout=subprocess.PIPE, text=True, check=True
    )
    return [{"size": size, **report} for report in json.loads(done.stdout)]


def answers(workplace: Workplace, engines: list[Engine], size: str) -> list[dict]:
    """Compares the answers to the ad-hoc questions with those of the engine that most agree with."""
    found = {engine.name: answer_rows(workplace.log(f"{engine.name}-adhoc-{size}", "out")) for engine in engines}
    votes = list(found.values())
    expected = max(votes, key=votes.count, default=None)
    return [
        {"size": size, "engine": name, "rows": len(rows), "agrees": rows == expected} for name, rows in found.items()
    ]


def answer_rows(stdout: Path) -> list[list[str]]:
    """All rows of all answers, without their order: engines sort nulls differently.

    A peer prints a line for each question, `pacha sql` one for each row.
    """
    rows = []
    for line in stdout.read_text().splitlines():
        if not line.startswith("{"):
            continue
        answer = json.loads(line)
        rows += answer["rows"] if "question" in answer else [answer.values()]
    return sorted(as_text(row) for row in rows)


def as_text(row: Iterable) -> list[str]:
    """The values that are there, as text."""
    return [str(value) for value in row if value is not None]


def accounting(workplace: Workplace, suite: str, size: str, engine: str = "pacha") -> dict:
    """Whether the run record accounts for every record that was generated."""
    stdout, manifest = workplace.log(f"{engine}-{suite}-{size}", "out"), workplace.manifest(size)
    found = {"engine": engine, "size": size, "suite": suite}
    try:
        counts = json.loads(stdout.read_text())["counts"]
    except (ValueError, KeyError):
        return found | {"agrees": False, "counts": {}}
    gone = counts["deleted"] + counts["skipped"]
    agrees = (counts["in"], counts["mapped"], gone) == (
        manifest["records"],
        manifest["live"],
        manifest["deleted"],
    )
    kept = {name: counts[name] for name in ("in", "mapped", "quarantined", "skipped", "deleted", "duplicates")}
    return found | {"agrees": agrees, "counts": kept}
