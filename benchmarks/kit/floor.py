"""The floor: what no engine can go below, measured with `src/main.rs` on one thread."""

import json
import subprocess
from pathlib import Path

from kit.engines import reference_output
from kit.pacha import Pacha
from kit.workplace import Workplace


def measure(binary: Path, workplace: Workplace, engine: Pacha, size: str, rounds: int) -> dict:
    """Best CPU seconds of tokenising the pages and of writing the result, which is pacha's own if it is there."""
    result = engine.result(workplace, "xml", size)
    if not any(result.rglob("*.parquet")):
        result = reference_output(workplace, size)
    found = {"size": size, "tokenise": best(binary, "tokenise", workplace.harvest(size) / "xml", rounds)}
    if any(result.rglob("*.parquet")):
        found["write"] = best(binary, "write", result, rounds)
        found["cpu"] = round(found["tokenise"]["cpu"] + found["write"]["cpu"], 3)
    return found


def best(binary: Path, work: str, folder: Path, rounds: int) -> dict:
    """The round with the least CPU, and the CPU seconds of all."""
    printed = [
        json.loads(subprocess.run([binary, work, folder], capture_output=True, text=True, check=True).stdout)
        for _ in range(rounds)
    ]
    least = min(printed, key=lambda one: one["cpu"])
    return {**least, "all_cpu": [one["cpu"] for one in printed]}
