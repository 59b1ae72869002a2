"""What the figures were measured on, and which commit."""

import os
import platform
import subprocess
from pathlib import Path

from kit.workplace import REPOSITORY


def machine() -> dict:
    """Processor, cores, memory, kernel."""
    return {
        "cpu": field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory_gib": round(int(field("/proc/meminfo", "MemTotal").split()[0]) / 2**20, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def words(found: dict) -> str:
    """The machine in a line."""
    return f"{found['cpu']}, {found['cores']} cores, {found['memory_gib']} GiB, Linux {found['kernel']}"


def field(path: str, name: str) -> str:
    """The first value of that name in a file of `name : value` lines."""
    for line in Path(path).read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "?"


def git(*arguments: str) -> str:
    """What git prints."""
    return subprocess.run(
        ["git", "-C", str(REPOSITORY), *arguments], capture_output=True, text=True, check=True
    ).stdout.strip()


def commit() -> str:
    """The short hash of the commit, with `-dirty` if anything but recorded results was changed since."""
    changed = git("status", "--porcelain", "--", ".", ":!benchmarks/results")
    return git("rev-parse", "--short", "HEAD") + ("-dirty" if changed else "")
