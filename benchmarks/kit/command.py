"""The one command: generate, install, build, measure, compare, report."""

import argparse
import subprocess
import sys
from dataclasses import asdict
from datetime import date
from pathlib import Path

from kit import agreement, buckets, build, cluster, engines, floor, machine, measure, report
from kit.agreement import Engine
from kit.engines import PACKAGES, PEERS, SUITES
from kit.pacha import JOBS, Pacha
from kit.workload import SIZES, TRIAL
from kit.workplace import ANY, BENCHMARKS, MANY, Workplace

PEER_NAMES = [peer.name for peer in PEERS]


def main() -> int:
    """Exit code 0 if everything ran and all engines agree."""
    asked = arguments()
    workplace = Workplace(asked.work.resolve())
    if asked.install:
        install(workplace, asked)
    if asked.only == "buckets":
        binaries = (
            build.build(asked.profile, build.WITH_SERVER) if asked.pacha is None else {"pacha": asked.pacha.resolve()}
        )
        if asked.s3server is not None:
            binaries["s3server"] = asked.s3server.resolve()
        return buckets.main(workplace, binaries["pacha"], binaries["s3server"], asked.rounds, asked.record)
    sizes = ["S", "M"] if asked.size == "both" else [asked.size]
    many = [MANY] if "many" in asked.suites else []
    workplace.generate(sizes + many, asked.processes)
    if asked.only == "generate":
        return 0
    if asked.only == "limits":
        return limits(workplace, sizes[0])

    if asked.only == "cluster":
        return on_cluster(workplace, sizes, asked)
    binaries = build.build(asked.profile) if asked.pacha is None else {"pacha": asked.pacha.resolve()}
    if asked.floor is not None:
        binaries["floor"] = asked.floor.resolve()
    pacha = Pacha(binaries["pacha"])
    chosen = choose(workplace, pacha, asked.engines)
    found = measured(workplace, chosen, sizes, asked)
    found["floor"] = [
        floor.measure(binaries["floor"], workplace, pacha, size, asked.rounds)
        for size in sizes
        if "floor" in binaries and "xml" in asked.suites
    ]
    found["agreement"] = compare(workplace, chosen, sizes, found["runs"])

    page = report.document(found)
    print("\n" + page)
    if asked.record and asked.size != TRIAL:
        print(f"recorded in {report.save(found, page)}")
    return 0 if report.agrees(found) else 1


def arguments() -> argparse.Namespace:
    """What was asked."""
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("size", nargs="?", choices=[*SIZES, "both"], default="S", help="default: S")
    parser.add_argument("--rounds", type=int, default=3, help="rounds in which the engines take turns; default: 3")
    parser.add_argument("--engines", type=names(["pacha", *PEER_NAMES]), help="default: pacha and every installed peer")
    parser.add_argument(
        "--suites",
        type=names(list(dict.fromkeys(SUITES + cluster.SUITES))),
        help=f"default: {','.join(SUITES)}; with --only cluster: {','.join(cluster.SUITES)}",
    )
    parser.add_argument("--install", action="store_true", help="install the peers, or those of --engines, first")
    parser.add_argument(
        "--only",
        choices=["generate", "limits", "buckets", "cluster"],
        help="only generate, only the raw rates of this machine, only pages in a bucket against pages on a disk, or only a "
        "scheduler and two executors against one process",
    )
    parser.add_argument("--work", type=Path, default=BENCHMARKS / "work", help="folder for all that is generated")
    parser.add_argument("--processes", type=int, default=2, help="processes that generate; default: 2")
    parser.add_argument("--profile", default="release", help="cargo profile of the measured binaries; default: release")
    parser.add_argument("--pacha", type=Path, help="measure this binary instead of building one")
    parser.add_argument("--floor", type=Path, help="with --pacha: the floor's binary")
    parser.add_argument("--s3server", type=Path, help="with --pacha and --only buckets: the server's binary")
    parser.add_argument("--no-record", dest="record", action="store_false", help="do not write to benchmarks/results")
    asked = parser.parse_args()
    possible = cluster.SUITES if asked.only == "cluster" else SUITES
    asked.suites = list(possible) if asked.suites is None else asked.suites
    if unknown := [suite for suite in asked.suites if suite not in possible]:
        parser.error(f"no {', '.join(unknown)} here; known: {', '.join(possible)}")
    return asked


def names(known: list[str] | tuple[str, ...]):
    """A parser for names joined by commas, which keeps the order of `known`."""

    def parse(text: str) -> list[str]:
        given = text.split(",")
        if unknown := [name for name in given if name not in known]:
            raise argparse.ArgumentTypeError(f"no {', '.join(unknown)}; known: {', '.join(known)}")
        return [name for name in known if name in given]

    return parse


def install(workplace: Workplace, asked: argparse.Namespace) -> None:
    """Installs the peers, and DuckDB in any case: it compares the results."""
    wanted = [peer.venv_name for peer in PEERS if asked.engines is None or peer.name in asked.engines]
    for venv in dict.fromkeys([*wanted, engines.REFERENCE, "duckdb"]):
        assert venv in PACKAGES
        engines.install(workplace, venv)


def on_cluster(workplace: Workplace, sizes: list[str], asked: argparse.Namespace) -> int:
    """A scheduler and two executors against one process; DuckDB generates what is joined, and compares."""
    if not engines.installed(workplace, "duckdb"):
        sys.exit("not installed: duckdb; hint: add --install --engines pacha")
    binaries = build.build(asked.profile, build.PACHA) if asked.pacha is None else {"pacha": asked.pacha.resolve()}
    return cluster.main(workplace, binaries["pacha"], sizes, asked.suites, asked.rounds, asked.record)


def limits(workplace: Workplace, size: str) -> int:
    """Raw rates of this machine, measured in the environment of the reference peer."""
    engines.write_reference(workplace, size)
    folders = [str(workplace.harvest(size)), str(engines.reference_output(workplace, size))]
    program = [str(workplace.python(engines.REFERENCE)), "-m", "kit.limits", *folders]
    return subprocess.run(program, cwd=BENCHMARKS, check=False).returncode


def choose(workplace: Workplace, pacha: Pacha, wanted: list[str] | None) -> list[Engine]:
    """The engines to measure; one that was asked for by name has to be there."""
    known: list[Engine] = [pacha, *PEERS]
    if wanted is None:
        return [engine for engine in known if engine.available(workplace)]
    chosen = [engine for engine in known if engine.name in wanted]
    if absent := [engine.name for engine in chosen if not engine.available(workplace)]:
        sys.exit(f"not installed: {', '.join(absent)}; hint: add --install")
    return chosen


def measured(workplace: Workplace, chosen: list[Engine], sizes: list[str], asked: argparse.Namespace) -> dict:
    """Runs every engine in every suite, taking turns, and returns the raw numbers with their circumstances."""
    runs = []
    plan = [(suite, size) for size in sizes for suite in ("xml", "json", "adhoc") if suite in asked.suites]
    plan += [(suite, size) for suite, size in (("one", ANY), ("many", MANY)) if suite in asked.suites]
    for suite, size in plan:
        if size in SIZES:
            engines.write_reference(workplace, size)
        failed = set()
        for number in range(1, asked.rounds + 1):
            for engine in chosen:
                if engine.name not in failed and engine.can(workplace, suite, size):
                    run = run_once(workplace, engine, suite, size)
                    runs.append({"round": number, **run})
                    if run["exit_code"] != 0:
                        failed.add(engine.name)
    return {
        "on": str(date.today()),
        "commit": machine.commit(),
        "machine": machine.machine(),
        "rounds": asked.rounds,
        "versions": {engine.name: engine.versions(workplace) for engine in chosen},
        "workload": {size: workplace.manifest(size) for size in dict.fromkeys(size for _, size in plan) if size != ANY},
        "runs": runs,
    }


def run_once(workplace: Workplace, engine: Engine, suite: str, size: str) -> dict:
    """One measured run."""
    label = f"{engine.name}-{suite}-{size}"
    stdout, stderr = workplace.log(label, "out"), workplace.log(label, "err")
    engine.prepare(workplace, suite, size)
    command = engine.command(workplace, suite, size)
    found = measure.run(command, stdout, stderr, engine.environment)
    figures = f"CPU {found.cpu:8.2f} s   wall {found.wall:8.2f} s   peak {found.peak_mib:6.0f} MiB"
    print(f"{label:24} {figures}   others {found.others_cores:.2f} cores", flush=True)
    if found.exit_code != 0:
        print(f"  failed with exit code {found.exit_code}; see {stderr}", flush=True)
    return {"suite": suite, "size": size, "engine": engine.name, **asdict(found)}


def compare(workplace: Workplace, chosen: list[Engine], sizes: list[str], runs: list[dict]) -> dict:
    """Whether the engines that succeeded agree."""
    done = {(run["engine"], run["suite"], run["size"]) for run in runs if run["exit_code"] == 0}

    def succeeded(suite: str, size: str) -> list[Engine]:
        return [engine for engine in chosen if (engine.name, suite, size) in done]

    results, answers = [], []
    for size in sizes:
        pairs = [(engine, suite) for suite in ("xml", "json") for engine in succeeded(suite, size)]
        results += agreement.results(workplace, pairs, size)
        answers += agreement.answers(workplace, succeeded("adhoc", size), size)
    accounting = [
        agreement.accounting(workplace, suite, size)
        for name, suite, size in sorted(done)
        if name == "pacha" and suite in JOBS
    ]
    return {"results": results, "answers": answers, "accounting": accounting}
