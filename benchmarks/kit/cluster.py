"""The same jobs in one process and on a cluster of one scheduler and two executors, on the same cores, in turns.

| suite | work |
|---|---|
| `xml` | OAI-PMH pages → mapped Parquet |
| `join` | a join and two group-bys, ten facts for each record of the size |
| `many` | 2,300 collections of 82 records |
| `start` | from zero executors to the first task, and back to zero |

Scheduler and executors run before the clock starts, except in `start`, and are new for each run. What they spend while the
command runs is added to what the command spends. Both results are compared with each other, and with a reference.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from datetime import date
from pathlib import Path

from kit import agreement, engines, executors, fleet, goals, join, machine, measure, report
from kit.engines import SUITE_TITLES
from kit.pacha import Pacha
from kit.workload import SIZES, TRIAL
from kit.workplace import MANY, Workplace

SUITES = ("xml", "join", "many", "start")
"""In the order in which they are run."""
EMBEDDED, CLUSTER = "embedded", "cluster"
CORES = executors.EXECUTORS
"""All processes share so many, on a machine that has more too."""


def main(workplace: Workplace, pacha: Path, sizes: list[str], suites: list[str], rounds: int, record_it: bool) -> int:
    """Measures both places in turns; exit code 0 if everything ran and both agree."""
    prepare(workplace, sizes, suites)
    machine_found = machine.machine()
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    places = [Pacha(pacha, name=EMBEDDED), Pacha(pacha, name=CLUSTER)]
    plan = [(suite, size) for size in sizes for suite in ("xml", "join") if suite in suites]
    plan += [("many", MANY)] if "many" in suites else []
    runs = []
    for suite, size in plan:
        for number in range(1, rounds + 1):
            runs += [{"round": number, **run_once(workplace, place, suite, size)} for place in places]
    starts = []
    if "start" in suites:
        starts = [fleet.start(workplace, pacha, sizes[-1], number) for number in range(1, rounds + 1)]
    harvests = [size for suite, size in plan if suite != "join"] + ([sizes[-1]] if starts else [])
    found = {
        "on": str(date.today()),
        "commit": machine.commit(),
        "machine": machine_found,
        "rounds": rounds,
        "version": places[0].versions(workplace)["pacha"],
        "workload": {size: workplace.manifest(size) for size in harvests},
        "joined": {size: join.manifest(workplace, size) for suite, size in plan if suite == "join"},
        "runs": runs,
        "starts": starts,
        "agreement": compare(workplace, places, plan),
    }
    page = "\n".join(document(found)) + "\n"
    print("\n" + page)
    if record_it and TRIAL not in sizes:
        print(f"recorded in {report.save(found, page, '-cluster')}")
    return 0 if report.agrees(found) and all(map(fleet.right, starts)) else 1


def prepare(workplace: Workplace, sizes: list[str], suites: list[str]) -> None:
    """Everything that is read, and what the results are compared with."""
    if "join" in suites:
        for size in sizes:
            join.generate(workplace, size)
    if "xml" in suites:
        for size in sizes:
            engines.write_reference(workplace, size)


def run_once(workplace: Workplace, place: Pacha, suite: str, size: str) -> dict:
    """One measured run in one place."""
    if place.name == EMBEDDED:
        return measured(workplace, place, suite, size)
    with executors.cluster(place.binary, workplace) as running:
        run = measured(workplace, replace(place, cluster=running.address), suite, size, running.ids())
        if not running.whole():
            print("  a scheduler or executor has ended meanwhile", flush=True)
            run["exit_code"] = run["exit_code"] or 1
    return run


def measured(workplace: Workplace, engine: Pacha, suite: str, size: str, beside: Sequence[int] = ()) -> dict:
    """One measured run, with processes that work for it."""
    label = f"{engine.name}-{suite}-{size}"
    stdout, stderr = workplace.log(label, "out"), workplace.log(label, "err")
    engine.prepare(workplace, suite, size)
    found = measure.run(engine.command(workplace, suite, size), stdout, stderr, engine.environment, beside)
    figures = f"CPU {found.cpu:8.2f} s   wall {found.wall:8.2f} s   peak {found.peak_mib:6.0f} MiB"
    print(f"{label:24} {figures}   others {found.others_cores:.2f} cores", flush=True)
    if found.exit_code != 0:
        print(f"  failed with exit code {found.exit_code}; see {stderr}", flush=True)
    return {"suite": suite, "size": size, "engine": engine.name, **asdict(found), "used": engine.used(stdout)}


def compare(workplace: Workplace, places: list[Pacha], plan: list[tuple[str, str]]) -> dict:
    """Whether the last run of each place gave the same, and accounts for every record."""
    results, accounting = [], []
    for suite, size in plan:
        if suite == "join":
            results += agreement.joined(workplace, places, size)
            continue
        results += agreement.results(workplace, [(place, suite) for place in places], size)
        accounting += [agreement.accounting(workplace, suite, size, place.name) for place in places]
    return {"results": results, "answers": [], "accounting": accounting}


def document(found: dict) -> Iterator[str]:
    """The page."""
    summaries = report.lines(found["runs"])
    yield f"# One scheduler and {executors.EXECUTORS} executors: {found['on']}, commit {found['commit']}"
    yield ""
    yield (
        f"{machine.words(found['machine'])}; pacha {found['version']}; {found['rounds']} rounds, places in turns; medians, and "
        f"the least. All processes share {CORES} cores; an executor runs one task at a time. CPU and peak memory are of all "
        "processes together; what processes share, such as the program itself, counts once for each."
    )
    yield from workload_part(found)
    yield from run_part(found, summaries)
    rows = [*goal_rows(summaries), *fleet.goal_row(found["starts"])]
    if rows:
        yield from ("", "## Goals", "", "Of the least.", "")
        yield "| figure | cluster | embedded | at least | aim | |"
        yield "|---|---:|---:|---:|---:|---|"
        yield from rows
    yield from fleet.part(found["starts"])
    if found["runs"]:
        yield from report.agreement_part(found)


def workload_part(found: dict) -> Iterator[str]:
    """What was read."""
    for size, manifest in found["workload"].items():
        yield f"Workload {size}: {manifest['records']:,} records, {manifest['xml_bytes'] / 1e6:,.0f} MB of XML."
    for size, manifest in found["joined"].items():
        yield (
            f"Joined {size}: {manifest['facts']:,} facts with {manifest['subjects']:,} subjects, "
            f"{manifest['bytes'] / 1e6:,.0f} MB of Parquet → {manifest['uses']:,} and {manifest['years']:,} groups."
        )


def run_part(found: dict, summaries: list[report.Line]) -> Iterator[str]:
    """All runs, a line for each place."""
    if not summaries:
        return
    yield ""
    yield "| work | place | wall s | least | ÷ embedded | CPU s | least | ÷ embedded | peak MiB | tasks | units | others' cores |"
    yield "|---|---|" + "---:|" * 10
    for line in summaries:
        work = f"{SUITE_TITLES[line.suite]}" + (f", {line.size}" if line.size in SIZES else "")
        if line.failed:
            yield f"| {work} | {line.engine} | {line.failed} of {line.runs} runs failed |" + " |" * 9
            continue
        base = report.find(summaries, line.suite, line.size, EMBEDDED)
        yield (
            f"| {work} | {line.engine} | {line.wall:.2f} | {line.wall_least:.2f} "
            f"| {report.ratio(line.wall_least, base and base.wall_least)} | {line.cpu:.2f} | {line.cpu_least:.2f} "
            f"| {report.ratio(line.cpu_least, base and base.cpu_least)} | {line.peak_mib:.0f} "
            f"| {tasks(found['runs'], line)} | {line.others_cores:.2f} |"
        )


def tasks(runs: list[dict], line: report.Line) -> str:
    """Tasks and units of the last run of a line; units that were tried more than once are said, as they cost time."""
    key = (line.suite, line.size, line.engine)
    used = next(run["used"] for run in reversed(runs) if (run["suite"], run["size"], run["engine"]) == key)
    if not used:
        return " | "
    again = used["jobs"] - used["units"]
    return f"{used['tasks']:,} | {used['units']:,}" + (f" and {again:,} again" if again else "")


def goal_rows(summaries: list[report.Line]) -> Iterator[str]:
    """How far the cluster is from its goals."""
    for line in summaries:
        base = report.find(summaries, line.suite, line.size, EMBEDDED)
        if line.engine != CLUSTER or line.failed or base is None:
            continue
        goal = goals.on_cluster(line.suite, line.size, base.wall_least)
        work = f"{SUITE_TITLES[line.suite]} ({line.size}), wall s"
        figures = f"{line.wall_least:.2f} | {base.wall_least:.2f} | {goal.at_least:.2f}"
        yield f"| {work} | {figures} | | {goal.verdict(line.wall_least)} |"
