"""Input of the job that joins and groups: ten facts for each record of a size, and as many subjects as records.

    python -m kit.join FOLDER RECORDS

It runs in DuckDB's virtual environment, and writes `facts.parquet`, `subjects.parquet`, the `reference/` that DuckDB gives for
the job's own SQL, and `manifest.json`. All values are arithmetic over the row's number, so they are the same everywhere.
Few subjects are in most facts, as in every catalogue; some facts have none, or one that the list of subjects lacks.
"""

import json
import subprocess
import sys
import time
from pathlib import Path

from kit.spec import JOINED
from kit.workload import SIZES
from kit.workplace import BENCHMARKS, Workplace, emptied

FACTS_PER_RECORD = 10
COLLECTIONS = 1_000
YEARS = 225
STEPS = BENCHMARKS / "project" / "steps"
"""The SQL of the job: a file for each of its tables."""

FACETS = ("people", "places", "topics", "genres", "events", "families", "buildings", "works", "periods", "languages")

FACTS = f"""
WITH
  once AS (SELECT i, i::UBIGINT * 2654435761 % 4294967296 AS h FROM range({{facts}}) AS numbers(i)),
  twice AS (SELECT i, h, xor(h, h // 65536) * 2246822519 % 4294967296 AS g FROM once)
SELECT
  i AS id,
  CASE WHEN i % 50 <> 0 THEN ((h % ({{records}} * 21 // 20)) * (g // 1024 % 1000) // 1000)::BIGINT END AS subject,
  (g // 64 % {COLLECTIONS})::BIGINT AS collection,
  (1800 + xor(g, g // 8192) * 3266489917 % 4294967296 // 4096 % {YEARS})::BIGINT AS year,
  left(md5(i::VARCHAR), 20) AS text
FROM twice
ORDER BY i
"""
SUBJECTS = f"""
SELECT
  i AS id,
  'Subject ' || i || ' of ' || left(md5((-i)::VARCHAR), 8) AS label,
  list_value{FACETS}[i % {len(FACETS)} + 1] AS facet
FROM range({{records}}) AS numbers(i)
ORDER BY i
"""


def generate(workplace: Workplace, size: str) -> None:
    """Writes the input of a size, unless it is there."""
    folder = workplace.joined(size)
    if (folder / "manifest.json").exists():
        return
    print(f"generating what is joined, {size}", flush=True)
    program = [str(workplace.python("duckdb")), "-m", "kit.join", str(emptied(folder)), str(SIZES[size])]
    subprocess.run(program, cwd=BENCHMARKS, check=True)


def manifest(workplace: Workplace, size: str) -> dict:
    """Rows of facts, subjects and results; bytes of the input."""
    return json.loads((workplace.joined(size) / "manifest.json").read_text())


def write(folder: Path, records: int) -> None:
    """Writes everything into an empty folder; one with a manifest is whole."""
    import duckdb

    started_at, connection, facts = time.monotonic(), duckdb.connect(), records * FACTS_PER_RECORD
    for name, query in (("facts", FACTS), ("subjects", SUBJECTS)):
        file = folder / f"{name}.parquet"
        connection.execute(f"COPY ({query.format(records=records, facts=facts)}) TO '{file}' (COMPRESSION zstd)")
        connection.execute(f"CREATE VIEW {name} AS FROM '{file}'")
    totals = {"facts": facts, "subjects": records}
    for table in JOINED:
        result = emptied(folder / "reference" / table) / "part-0.parquet"
        query = (STEPS / f"{table}.sql").read_text()
        connection.execute(f"COPY ({query}) TO '{result}' (COMPRESSION zstd)")
        totals[table] = connection.execute(f"SELECT count(*) FROM '{result}'").fetchone()[0]
    totals |= {
        "bytes": sum(file.stat().st_size for file in folder.glob("*.parquet")),
        "seconds": round(time.monotonic() - started_at, 1),
    }
    (folder / "manifest.json").write_text(json.dumps(totals) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
