"""Medians and ratios of the raw runs, as a table for the terminal and as a page for `results/`."""

import json
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from kit import machine
from kit.engines import SUITE_TITLES
from kit.goals import GOALS, TIMES_TEN
from kit.workload import SIZES
from kit.workplace import BENCHMARKS

RESULTS = BENCHMARKS / "results"
PACHA = "pacha"


@dataclass(frozen=True)
class Line:
    """The runs of one engine in one suite."""

    suite: str
    size: str
    engine: str
    runs: int
    failed: int
    cpu: float
    cpu_least: float
    wall: float
    wall_least: float
    peak_mib: float
    others_cores: float


def lines(runs: list[dict]) -> list[Line]:
    """Medians, in the order in which sizes, suites and engines were measured."""
    groups = {}
    for run in runs:
        groups.setdefault((run["size"], run["suite"], run["engine"]), []).append(run)
    return [summary(*key, group) for key, group in groups.items()]


def summary(size: str, suite: str, engine: str, runs: list[dict]) -> Line:
    """The medians of runs that succeeded; of all, if none did."""
    good = [run for run in runs if run["exit_code"] == 0]

    def values(name: str) -> list[float]:
        return [run[name] for run in good or runs]

    return Line(
        suite=suite,
        size=size,
        engine=engine,
        runs=len(runs),
        failed=len(runs) - len(good),
        cpu=statistics.median(values("cpu")),
        cpu_least=min(values("cpu")),
        wall=statistics.median(values("wall")),
        wall_least=min(values("wall")),
        peak_mib=statistics.median(values("peak_mib")),
        others_cores=max(values("others_cores")),
    )


def find(summaries: list[Line], suite: str, size: str, engine: str = PACHA) -> Line | None:
    """The line of one engine, if it succeeded."""
    wanted = (suite, size, engine)
    return next(
        (line for line in summaries if (line.suite, line.size, line.engine) == wanted and not line.failed),
        None,
    )


def document(report: dict) -> str:
    """The whole report as Markdown."""
    summaries = lines(report["runs"])
    parts = [*head(report), *suite_tables(summaries), *floor_part(report, summaries)]
    parts += [*goal_part(summaries), *growth_part(summaries), *agreement_part(report)]
    return "\n".join(parts) + "\n"


def head(report: dict) -> Iterator[str]:
    """What was measured, on what."""
    yield f"# {report['on']}, commit {report['commit']}"
    yield ""
    yield (
        f"{machine.words(report['machine'])}; {report['rounds']} rounds, engines interleaved; medians. "
        "CPU and peak memory are of the whole process tree."
    )
    yield ""
    versions = [f"{name} {version}" for found in report["versions"].values() for name, version in found.items()]
    yield "Versions: " + ", ".join(dict.fromkeys(versions)) + "."
    for size, manifest in report["workload"].items():
        xml, jsonl = manifest["xml_bytes"] / 1e6, manifest["jsonl_bytes"] / 1e6
        yield f"Workload {size}: {manifest['records']:,} records, {xml:,.0f} MB of XML, {jsonl:,.0f} MB of JSON Lines."


def suite_tables(summaries: list[Line]) -> Iterator[str]:
    """One table for each suite and size, cheapest engine first."""
    measured = dict.fromkeys((line.size, line.suite) for line in summaries)
    for size, suite in measured:
        ours = find(summaries, suite, size)
        yield from ("", f"## {SUITE_TITLES[suite]}" + (f", {size}" if size in SIZES else ""), "")
        yield "| engine | CPU s | least | wall s | least | peak MiB | CPU ÷ pacha | wall ÷ pacha | others' cores |"
        yield "|---|---:|---:|---:|---:|---:|---:|---:|---:|"
        group = [line for line in summaries if (line.size, line.suite) == (size, suite)]
        for line in sorted(group, key=lambda line: (line.failed > 0, line.cpu)):
            yield suite_row(line, ours)


def suite_row(line: Line, ours: Line | None) -> str:
    """One engine's row."""
    if line.failed:
        return f"| {line.engine} | {line.failed} of {line.runs} runs failed | | | | | | | |"
    cpu = ratio(line.cpu, ours and ours.cpu)
    wall = ratio(line.wall, ours and ours.wall)
    return (
        f"| {line.engine} | {line.cpu:.2f} | {line.cpu_least:.2f} | {line.wall:.2f} | {line.wall_least:.2f} "
        f"| {line.peak_mib:.0f} | {cpu} | {wall} | {line.others_cores:.2f} |"
    )


def ratio(value: float, base: float | None) -> str:
    """`value ÷ base` with one decimal more where it is small."""
    return f"{value / base:.2f} ×" if base else ""


def floor_part(report: dict, summaries: list[Line]) -> Iterator[str]:
    """The floor, and how far above it pacha is."""
    if not report["floor"]:
        return
    yield from ("", "## The floor", "")
    yield "CPU seconds of one thread: tokenising the same XML with quick-xml; writing the same rows as Parquet, zstd 3."
    yield from (
        "",
        "| size | tokenise | write | together | pacha, XML | ÷ floor |",
        "|---|---:|---:|---:|---:|---:|",
    )
    for floor in report["floor"]:
        ours, together = find(summaries, "xml", floor["size"]), floor.get("cpu")
        write = f"{floor['write']['cpu']:.2f}" if together else ""
        cpu, above = (f"{ours.cpu:.2f}", ratio(ours.cpu, together)) if ours else ("", "")
        yield f"| {floor['size']} | {floor['tokenise']['cpu']:.2f} | {write} | {together or ''} | {cpu} | {above} |"


def goal_part(summaries: list[Line]) -> Iterator[str]:
    """How far pacha is from the goals of the design."""
    rows = []
    for goal in GOALS:
        if line := find(summaries, goal.suite, goal.size):
            value = getattr(line, goal.figure)
            aim = "" if goal.aim is None else f"{goal.aim:g}"
            figure = {"cpu": "CPU s", "wall": "wall s", "peak_mib": "peak MiB"}[goal.figure]
            what = f"{SUITE_TITLES[goal.suite]} ({goal.size}), {figure}"
            rows.append(f"| {what} | {value:.2f} | {goal.at_least:g} | {aim} | {goal.verdict(value)} |")
    if rows:
        yield from (
            "",
            "## Goals",
            "",
            "| figure | pacha | at least | aim | |",
            "|---|---:|---:|---:|---|",
            *rows,
        )


def growth_part(summaries: list[Line]) -> Iterator[str]:
    """What ten times the records take."""
    rows = []
    for suite in ("xml", "json"):
        small, large = find(summaries, suite, "S"), find(summaries, suite, "M")
        if small and large:
            cpu, wall = large.cpu / small.cpu, large.wall / small.wall
            memory = f"{small.peak_mib:.0f} → {large.peak_mib:.0f} MiB"
            rows.append(f"| {SUITE_TITLES[suite]} | {cpu:.1f} × | {wall:.1f} × | {memory} |")
    if rows:
        yield from (
            "",
            "## Ten times the records",
            "",
            f"At most {TIMES_TEN:g} × the time, and flat memory, are wanted.",
        )
        yield from ("", "| work | CPU | wall | peak |", "|---|---:|---:|---:|", *rows)


def agreement_part(report: dict) -> Iterator[str]:
    """Whether all engines produced the same."""
    agreement = report["agreement"]
    yield from ("", "## Agreement", "")
    if not agreement["results"]:
        yield "Results were not compared: that takes two engines' results and the duckdb environment (`--install`)."
    for result in agreement["results"]:
        yield f"- {result['engine']}, {result['suite']} {result['size']}: {result_verdict(result)}"
    for answer in agreement["answers"]:
        verdict = "the same answers" if answer["agrees"] else "OTHER ANSWERS"
        yield f"- {answer['engine']}, questions {answer['size']}: {answer['rows']} rows, {verdict}"
    for account in agreement["accounting"]:
        counts = ", ".join(f"{count:,} {name}" for name, count in account["counts"].items())
        verdict = "accounts for every record" if account["agrees"] else "DOES NOT ADD UP WITH WHAT WAS GENERATED"
        yield f"- {account['engine']}, {account['suite']} {account['size']}: {verdict} ({counts})"


def result_verdict(result: dict) -> str:
    """One result against the reference, in words."""
    if "error" in result:
        return f"NOT READABLE: {result['error']}"
    size = f"{result['rows']:,} rows, checksum {result['checksum']:012d}, {result['bytes'] / 1e6:,.1f} MB"
    verdict = "the same in every column" if not result["differ"] else "DIFFERS in " + ", ".join(result["differ"])
    return f"{verdict}; {size} in {result['files']} files"


def agrees(report: dict) -> bool:
    """Whether nothing failed and nothing differs."""
    agreement = report["agreement"]
    results_agree = all("error" not in result and not result["differ"] for result in agreement["results"])
    others_agree = all(part["agrees"] for part in agreement["answers"] + agreement["accounting"])
    return results_agree and others_agree and all(run["exit_code"] == 0 for run in report["runs"])


def save(report: dict, page: str, kind: str = "") -> Path:
    """Writes the raw numbers and the page; an earlier result of the same day, commit and kind stays."""
    first, number = f"{date.today()}-{report['commit']}{kind}", 1
    name = first
    while (RESULTS / f"{name}.json").exists():
        number += 1
        name = f"{first}-{number}"
    (RESULTS / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(page)
    return RESULTS / f"{name}.md"
