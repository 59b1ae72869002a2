"""Compares results column by column. Runs in DuckDB's virtual environment; the list of results is JSON on stdin.

A result is described by its number of rows and, for each column of the specification, a checksum over (id, value) that
depends on no order, neither of rows nor inside a list. DuckDB hashes a null list like an empty one, so null lists are
counted too. The first result is what the others should be. Results of the job that joins name their `table`.
"""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import duckdb

from kit.spec import COLUMNS, JOINED, LISTS, NUMBERS


def checksum(name: str, id_column: str, column: str) -> str:
    """SQL for the checksum of one column."""
    value = f'"{column}"'
    if name in LISTS:
        value = f"list_sort({value})"
    elif name in NUMBERS:
        value = f"{value}::BIGINT"
    return f'sum(hash("{id_column}", {value})::HUGEINT % 1000000007)::BIGINT'


def signature(folder: str, renamed: dict[str, str], columns: Iterable[str]) -> dict[str, int]:
    """Rows and checksums of one result, and how many of its lists are null where they should be empty."""
    id_column = renamed.get("id", "id")
    wanted = {"rows": "count(*)"}
    wanted |= {name: checksum(name, id_column, renamed.get(name, name)) for name in columns}
    wanted |= {f"null {name}": f'count(*) FILTER ("{name}" IS NULL)' for name in LISTS if name in columns}
    files = f"read_parquet('{folder}/**/*.parquet', union_by_name = true, hive_partitioning = false)"
    row = duckdb.connect().execute(f"SELECT {', '.join(wanted.values())} FROM {files}").fetchone()
    return dict(zip(wanted, row))


def compare(results: list[dict]) -> list[dict]:
    """For each result its rows, files and bytes, and the columns that differ from the first result."""
    expected, compared = None, []
    for result in results:
        columns = JOINED[result["table"]] if "table" in result else COLUMNS
        files = list(Path(result["folder"]).rglob("*.parquet"))
        report = {
            "engine": result["engine"],
            "suite": result["suite"],
            "files": len(files),
            "bytes": sum(file.stat().st_size for file in files),
        }
        try:
            found = signature(result["folder"], result["columns"], columns)
        except duckdb.Error as error:
            compared.append(report | {"error": str(error).splitlines()[0]})
            continue
        expected = expected or found
        differ = [name for name in expected if found[name] != expected[name]]
        total = sum(found[name] for name in columns) % 10**12
        compared.append(report | {"rows": found["rows"], "checksum": total, "differ": differ})
    return compared


if __name__ == "__main__":
    print(json.dumps(compare(json.load(sys.stdin))))
