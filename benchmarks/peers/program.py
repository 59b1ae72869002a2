"""The frame of every peer's program: arguments, the log of its stages, the form of its answers.

python -m peers.NAME one                                                first row of `SELECT 1`
python -m peers.NAME map --data DIR --format xml|jsonl --out DIR        the job of kit/spec.py
python -m peers.NAME ask --data DIR                                     the questions, on a result
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Options:
    """What a program was asked to do."""

    mode: str
    data: Path
    format: str
    out: Path
    processes: int


class Log:
    """Prints each stage with its seconds on stderr, for a reader who wonders where the time went."""

    def __init__(self):
        self.started_at = self.last_at = time.perf_counter()

    def stage(self, name: str) -> None:
        """The stage of this name has just ended."""
        now = time.perf_counter()
        took, total = now - self.last_at, now - self.started_at
        print(f"{name}\t{took:.3f} s\ttotal {total:.3f} s", file=sys.stderr, flush=True)
        self.last_at = now


log = Log()

Answers = Iterable[tuple[str, list]]


def options() -> Options:
    """The arguments of this process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=["one", "map", "ask"])
    parser.add_argument("--data", type=Path, default=Path())
    parser.add_argument("--format", choices=["xml", "jsonl"], default="jsonl")
    parser.add_argument("--out", type=Path, default=Path())
    parser.add_argument("--processes", type=int, default=1)
    return Options(**vars(parser.parse_args()))


def main(
    *,
    one: Callable[[], object],
    map_records: Callable[[Options], None],
    ask: Callable[[Options], Answers],
) -> None:
    """Does what the arguments say. Each answer is a line of JSON: the question's name and its rows."""
    log.stage("import")
    asked = options()
    if asked.mode == "one":
        print(one())
    elif asked.mode == "map":
        asked.out.mkdir(parents=True, exist_ok=True)
        map_records(asked)
        log.stage("map")
    else:
        for question, rows in ask(asked):
            print(json.dumps({"question": question, "rows": [list(row) for row in rows]}))
            log.stage(question)
