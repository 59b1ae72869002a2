"""Pages in a bucket against pages on a disk: 10,000 small ones, and 10 large ones of the same records.

The bucket is that of `s3server`, the S3 server of the tests, on this machine: once as fast as it is, once with the latency
that a request to Amazon's S3 has. Warehouse and pages are both there. Its own CPU time is not counted, but it takes cores.
"""

import json
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from kit import machine, measure
from kit.pacha import PROJECT
from kit.records import Pools, record
from kit.report import RESULTS
from kit.workload import SEED, write_collections, xml_page, xml_record
from kit.workplace import Workplace, emptied

RECORDS = 100_000
LAYOUTS = {"small": 10_000, "large": 10}
"""Pages that the records are cut into."""
LATENCY = 30
"""Milliseconds that a request takes at least, in the last of the places."""
PLACES = {"disk": None, "bucket": 0, f"bucket, {LATENCY} ms": LATENCY}
"""Latency of each place; a disk has none."""


@dataclass(frozen=True)
class Run:
    """One run of one layout in one place."""

    place: str
    layout: str
    round: int
    took: dict
    requests: dict

    @property
    def per_page(self) -> float:
        """Requests that read, for each page."""
        return self.requests.get("get", 0) / LAYOUTS[self.layout]


def main(workplace: Workplace, pacha: Path, server: Path, rounds: int, record_it: bool) -> int:
    """Measures all places and layouts in turns; exit code 0 if every run accounted for every record."""
    generate(workplace)
    runs, wrong = [], 0
    for number in range(1, rounds + 1):
        for layout in LAYOUTS:
            for place, latency in PLACES.items():
                with served(workplace, server, latency) as environment:
                    run, right = run_once(workplace, pacha, place, layout, number, environment)
                runs.append(run)
                wrong += not right
    page = document(runs)
    print("\n" + page)
    if record_it:
        name = RESULTS / f"{date.today()}-{machine.commit()}-buckets"
        raw = {"machine": machine.machine(), "commit": machine.commit(), "runs": [asdict(run) for run in runs]}
        name.with_suffix(".json").write_text(json.dumps(raw, indent=1) + "\n")
        name.with_suffix(".md").write_text(page)
        print(f"recorded in {name}.md")
    return 1 if wrong else 0


def root(workplace: Workplace) -> Path:
    """`server/` with a folder for each bucket, and `project/`."""
    return workplace.root / "buckets"


def generate(workplace: Workplace) -> None:
    """Writes the pages of both layouts, unless they are there, and the project beside them."""
    pages = root(workplace) / "server" / "pages"
    if not (root(workplace) / "whole").exists():
        print("generating the pages of buckets", flush=True)
        pools = Pools(SEED)
        texts = [xml_record(record(SEED, index, pools), index) for index in range(RECORDS)]
        for layout, count in LAYOUTS.items():
            folder, size = emptied(pages / layout), RECORDS // count
            for number in range(count):
                content = xml_page(texts[number * size : (number + 1) * size], number * size, number, RECORDS)
                (folder / f"page-{number:06d}.xml").write_bytes(content)
        emptied(root(workplace) / "server" / "warehouse")
        (root(workplace) / "whole").touch()
    project = emptied(root(workplace) / "project")
    shutil.copytree(PROJECT, project, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.toml"))
    for kind in ("sources", "targets"):
        shutil.copytree(PROJECT / "schemas" / kind, project / "schemas" / kind, dirs_exist_ok=True)
    write_collections(project / "lookups" / "collections.csv", SEED)
    (project / "pacha.toml").write_text('name = "buckets"\n')
    for layout in LAYOUTS:
        for place, where in (("disk", pages), ("bucket", "s3://pages")):
            name = f"{layout}_{place}"
            text = f'title = "{name}"\nsource = "oai_dc"\npages = "{where}/{layout}"\n'
            (project / "collections" / f"{name}.toml").write_text(text)
            job = f'database = "bench"\ncollections = ["{name}"]\nmapping = "xml"\ntarget = "bench"\n'
            (project / "jobs" / f"{name}.toml").write_text(job + "\n[output]\nvernacular = false\n")


@contextmanager
def served(workplace: Workplace, server: Path, latency: int | None) -> Iterator[dict[str, str]]:
    """A server of the buckets with that latency, and what a client needs to use it; nothing for a disk."""
    if latency is None:
        yield {}
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [server, root(workplace) / "server", str(port), str(latency)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        lines = []
        for line in process.stdout:
            lines.append(line.removeprefix("export ").strip().split("=", 1))
            if lines[-1][0] == "AWS_SHARED_CREDENTIALS_FILE":
                break
        yield dict(lines)
        process.stdin.close()
        process.wait()


def run_once(
    workplace: Workplace, pacha: Path, place: str, layout: str, number: int, environment: dict[str, str]
) -> tuple[Run, bool]:
    """One measured run, and whether it accounted for every record."""
    label = f"buckets-{layout}-{place.replace(', ', '-').replace(' ', '')}"
    stdout, stderr = workplace.log(label, "out"), workplace.log(label, "err")
    job = f"{layout}_{'bucket' if environment else 'disk'}"
    warehouse = f"s3://warehouse/{time.time_ns()}" if environment else str(emptied(workplace.root / "out" / "buckets"))
    command = [str(pacha), "run", job, "--project", str(root(workplace) / "project"), "--set", f"warehouse={warehouse}"]
    found = measure.run([*command, "--format", "json"], stdout, stderr, environment)
    said = json.loads(stdout.read_text() or "{}")
    run = Run(place, layout, number, asdict(found), said.get("traffic") or {})
    right = found.exit_code == 0 and said["counts"]["in"] == RECORDS
    print(
        f"{label:28} wall {found.wall:7.2f} s   CPU {found.cpu:7.2f} s   {run.per_page:.2f} requests a page", flush=True
    )
    if not right:
        print(f"  exit code {found.exit_code}, or not every record is accounted for; see {stderr}", flush=True)
    return run, right


def document(runs: list[Run]) -> str:
    """Medians as Markdown."""
    lines = [
        f"# Pages in a bucket: {RECORDS:,} records, {machine.commit()}, {date.today()}",
        "",
        "| pages | place | wall s | CPU s | peak MiB | requests | reading, a page | MB in |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for layout, count in LAYOUTS.items():
        for place in PLACES:
            group = [run for run in runs if (run.layout, run.place) == (layout, place)]

            def median(name: str, group: list[Run] = group) -> float:
                return statistics.median(run.took[name] for run in group)

            asked = group[0].requests
            requests = sum(value for verb, value in asked.items() if not verb.startswith("bytes_"))
            lines.append(
                f"| {count:,} | {place} | {median('wall'):.2f} | {median('cpu'):.2f} | {median('peak_mib'):.0f} "
                f"| {requests:,} | {group[0].per_page:.2f} | {asked.get('bytes_in', 0) / 1e6:.1f} |"
            )
    return "\n".join(lines) + "\n"
