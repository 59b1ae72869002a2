"""Reads the tables of a database as others do, and compares them with what pacha says is in them.

Three readers: awswrangler finds the table in Glue and reads it, pyarrow reads the place that Glue names, DuckDB the files at
that place. Each must see the same rows in every column as `pacha sql`: as many, and with the same checksum, which does not
depend on their order.

    read.py PROJECT DATABASE [pacha option…]

Endpoint, region and credentials come from the environment; PACHA names the binary.
"""

import datetime
import decimal
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import awswrangler
import boto3
import duckdb
import pyarrow.dataset
import pyarrow.fs


def plain(value):
    """A value as pacha writes it in JSON."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, dict):
        # JSON of pacha leaves out members that are null.
        return {key: plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, datetime.datetime):
        utc = value.astimezone(datetime.timezone.utc) if value.tzinfo else value
        text = utc.replace(tzinfo=None).isoformat(timespec="microseconds").rstrip("0").rstrip(".")
        return text
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, (int, float, decimal.Decimal)):
        return float(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"a value of {type(value)}")


def instant(value):
    """JSON of pacha has instants as text; written the same way, whatever the precision."""
    if isinstance(value, str) and len(value) >= 19 and value[10:11] == "T" and value[4] == value[7] == "-":
        try:
            return plain(datetime.datetime.fromisoformat(value.replace("Z", "+00:00")))
        except ValueError:
            return value
    if isinstance(value, list):
        return [instant(inner) for inner in value]
    if isinstance(value, dict):
        return {key: instant(inner) for key, inner in value.items()}
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    return value


def checksums(rows, columns):
    """How many rows, and for each column the sum of a hash of each value."""
    sums = dict.fromkeys(columns, 0)
    for row in rows:
        for column in columns:
            text = json.dumps(instant(row.get(column)), sort_keys=True, ensure_ascii=False)
            sums[column] += int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
    return len(rows), {column: total % 2**64 for column, total in sums.items()}


def of_arrow(table):
    return [{key: plain(value) for key, value in row.items()} for row in table.to_pylist()]


def pacha(project, options, sql):
    command = [os.environ.get("PACHA", "pacha"), "--project", project, *options, "sql", sql, "--format", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def with_awswrangler(database, table):
    frame = awswrangler.s3.read_parquet_table(database=database, table=table, dtype_backend="pyarrow")
    columns = {name: frame[name].array.__arrow_array__().to_pylist() for name in frame.columns}
    count = len(frame)
    return [{name: plain(values[index]) for name, values in columns.items()} for index in range(count)]


def with_pyarrow(location):
    scheme, host = os.environ["AWS_ENDPOINT_URL"].split("://")
    store = pyarrow.fs.S3FileSystem(endpoint_override=host, scheme=scheme, region=os.environ["AWS_REGION"])
    return of_arrow(pyarrow.dataset.dataset(location.removeprefix("s3://"), filesystem=store, format="parquet").to_table())


def with_duckdb(location):
    bucket, _, prefix = location.removeprefix("s3://").partition("/")
    store = boto3.client("s3")
    with tempfile.TemporaryDirectory() as folder:
        count = 0
        for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for found in page.get("Contents", []):
                store.download_file(bucket, found["Key"], str(pathlib.Path(folder, f"{count}.parquet")))
                count += 1
        relation = duckdb.sql(f"SELECT * FROM read_parquet('{folder}/*.parquet', union_by_name = true)")
        return of_arrow(relation.to_arrow_table())


def main():
    project, database, *options = sys.argv[1:]
    catalog = boto3.client("glue")
    shown = [table for page in catalog.get_paginator("get_tables").paginate(DatabaseName=database) for table in page["TableList"]]
    if not shown:
        sys.exit(f"Glue shows no table of {database}")
    wrong = 0
    for table in shown:
        name, location = table["Name"], table["StorageDescriptor"]["Location"]
        columns = [column["Name"] for column in table["StorageDescriptor"]["Columns"] + table.get("PartitionKeys", [])]
        expected = checksums(pacha(project, options, f'SELECT * FROM {database}."{name}"'), columns)
        readers = {
            "awswrangler": lambda: with_awswrangler(database, name),
            "pyarrow": lambda: with_pyarrow(location),
            "duckdb": lambda: with_duckdb(location),
        }
        for reader, read in readers.items():
            if expected[0] == 0 and reader != "pyarrow":
                # A table without rows has no files, which awswrangler and DuckDB call an error.
                continue
            found = checksums(read(), columns)
            if found == expected:
                print(f"{database}.{name}: {reader} reads the same {expected[0]} rows, {len(columns)} columns")
                continue
            wrong += 1
            differ = [column for column in columns if found[1][column] != expected[1][column]]
            print(f"{database}.{name}: {reader} reads {found[0]} rows, pacha {expected[0]}; columns that differ: {differ}")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
