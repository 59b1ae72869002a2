"""Builds the two binaries that are measured: `pacha`, and the floor beneath every engine."""

import json
import os
import subprocess
from pathlib import Path

from kit.workplace import REPOSITORY

BINARIES = {"pacha": "pacha", "floor": "pacha-benchmarks"}
"""Binary → package."""

PACHA = {"pacha": "pacha"}
"""For a cluster."""

WITH_SERVER = {"pacha": "pacha", "s3server": "pacha-tests"}
"""The same for pages in a bucket."""


def build(profile: str, binaries: dict[str, str] = BINARIES) -> dict[str, Path]:
    """Where cargo put each binary; cargo decides whether there is anything to build."""
    packages = [argument for package in binaries.values() for argument in ("--package", package)]
    cargo = ["cargo", "build", "--profile", profile, "--bins", *packages]
    print(f"building: {' '.join(cargo)}", flush=True)
    messages = subprocess.run(
        [*cargo, "--message-format", "json-render-diagnostics"],
        cwd=REPOSITORY,
        env=os.environ,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    found = {}
    for line in messages.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] in binaries:
            found[message["target"]["name"]] = Path(message["executable"])
    return found
