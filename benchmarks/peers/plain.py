"""Plain Python, as aggregators do it today: lxml or json → a function over dicts → Parquet by pyarrow.

Its result is the reference that the others are compared with: it is the one that can be read without knowing an engine.
"""

import csv
import re
from collections.abc import Iterator
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from kit.spec import TYPES, WHITE_SPACE
from peers.program import Answers, Options, main

TEXT, TEXTS, INT = pa.string(), pa.list_(pa.string()), pa.int32()
SCHEMA = pa.schema(
    [
        ("id", TEXT),
        ("datestamp", TEXT),
        ("set_spec", TEXT),
        ("collection_id", INT),
        ("collection_name", TEXT),
        ("campus", TEXT),
        ("title", TEXT),
        ("creators", TEXTS),
        ("subjects", TEXTS),
        ("description", TEXT),
        ("type", TEXT),
        ("language", TEXT),
        ("date", TEXT),
        ("year", INT),
        ("decade", INT),
        ("url", TEXT),
        ("rights", TEXT),
    ]
)
OAI = "{http://www.openarchives.org/OAI/2.0/}"
DC_NAMESPACE = "{http://purl.org/dc/elements/1.1/}"
BATCH_RECORDS = 20_000
ROW_GROUP_RECORDS = 120_000

white_space = re.compile(WHITE_SPACE)
four_digits = re.compile("[0-9]{4}")

Collections = dict[str, tuple[int, str, str]]


def read_collections(path: Path) -> Collections:
    """Number, name and campus by set."""
    with path.open(encoding="utf-8", newline="") as rows:
        return {
            row["set_spec"]: (int(row["collection_id"]), row["collection_name"], row["campus"])
            for row in csv.DictReader(rows)
        }


def cleaned(values: list[str]) -> list[str]:
    """The values with white space tidied, without those that are blank."""
    tidy = (white_space.sub(" ", value).strip(" ") for value in values)
    return [value for value in tidy if value]


def distinct(values: list[str]) -> list[str]:
    """The values without repetitions, in order."""
    return list(dict.fromkeys(values))


def first(values: list[str]) -> str | None:
    """The first value, if there is one."""
    return values[0] if values else None


def map_record(identifier: str, datestamp: str, sets: list[str], metadata: dict, collections: Collections) -> tuple:
    """One row of `SCHEMA`."""

    def values(element: str) -> list[str]:
        return metadata.get(element) or []

    number, name, campus = collections.get(sets[0], (None, None, "unknown"))
    kinds, languages = cleaned(values("type")), cleaned(values("language"))
    found = four_digits.search("|".join(values("date")))
    year = int(found.group()) if found else None
    return (
        identifier,
        datestamp,
        sets[0],
        number,
        name,
        campus,
        first(cleaned(values("title"))),
        distinct(cleaned(values("creator"))),
        distinct(cleaned([part for value in values("subject") for part in value.split(";")])),
        " ".join(cleaned(values("description"))) or None,
        TYPES.get(kinds[0].lower(), "other") if kinds else "unknown",
        languages[0].lower() if languages else None,
        first(cleaned(values("date"))),
        year,
        year // 10 * 10 if year is not None else None,
        next((value for value in values("identifier") if value.startswith("http")), None),
        first(cleaned(values("rights"))),
    )


def read_xml(path: Path) -> Iterator[tuple]:
    """The live records of a page."""
    from lxml import etree

    for record in etree.parse(path).getroot().iterfind(f"{OAI}ListRecords/{OAI}record"):
        header = record.find(f"{OAI}header")
        if header.get("status") == "deleted":
            continue
        metadata = {}
        for element in record.find(f"{OAI}metadata")[0]:
            metadata.setdefault(element.tag[len(DC_NAMESPACE) :], []).append(element.text or "")
        sets = [name.text for name in header.iterfind(f"{OAI}setSpec")]
        yield header.findtext(f"{OAI}identifier"), header.findtext(f"{OAI}datestamp"), sets, metadata


def read_jsonl(path: Path) -> Iterator[tuple]:
    """The live records of a file of JSON Lines."""
    from orjson import loads

    with path.open("rb") as lines:
        for line in lines:
            record = loads(line)
            if record["status"] != "deleted":
                yield record["id"], record["datestamp"], record["setSpec"], record["metadata"]


def mapped_batches(paths: list[Path], asked: Options) -> Iterator[pa.RecordBatch]:
    """The mapped records of the files."""
    read = read_xml if asked.format == "xml" else read_jsonl
    collections = read_collections(asked.data / "collections.csv")
    rows = []
    for path in paths:
        for record in read(path):
            rows.append(map_record(*record, collections))
            if len(rows) == BATCH_RECORDS:
                yield as_batch(rows)
                rows = []
    if rows:
        yield as_batch(rows)


def as_batch(rows: list[tuple]) -> pa.RecordBatch:
    """The rows as columns."""
    columns = [pa.array(column, kind) for column, kind in zip(zip(*rows), SCHEMA.types)]
    return pa.record_batch(columns, schema=SCHEMA)


def write(part: int, asked: Options) -> None:
    """Maps one of `asked.processes` equal shares of the files into one Parquet file."""
    paths = sorted((asked.data / asked.format).iterdir())
    share = paths[part * len(paths) // asked.processes : (part + 1) * len(paths) // asked.processes]
    target = asked.out / f"part-{part}.parquet"
    with pq.ParquetWriter(target, SCHEMA, compression="zstd", compression_level=3) as writer:
        group, rows = [], 0
        for batch in mapped_batches(share, asked):
            group.append(batch)
            rows += batch.num_rows
            if rows >= ROW_GROUP_RECORDS:
                writer.write_table(pa.Table.from_batches(group))
                group, rows = [], 0
        if group:
            writer.write_table(pa.Table.from_batches(group))


def map_records(asked: Options) -> None:
    """Maps all records, in one process or several."""
    if asked.processes == 1:
        write(0, asked)
        return
    with get_context("fork").Pool(asked.processes) as pool:
        pool.map(partial(write, asked=asked), range(asked.processes))


def ask(asked: Options) -> Answers:
    """pyarrow's own operations, as one would without an engine."""
    table = ds.dataset(asked.data)
    decades = table.to_table(["decade"]).group_by("decade").aggregate([([], "count_all")])
    yield "decades", [(row["decade"], row["count_all"]) for row in decades.to_pylist()]

    counts = pc.value_counts(pc.list_flatten(table.to_table(["subjects"])["subjects"])).to_pylist()
    counts.sort(key=lambda count: (-count["counts"], count["values"]))
    yield "subjects", [(count["values"], count["counts"]) for count in counts[:20]]

    yield "titles", [(pc.count_distinct(table.to_table(["title"])["title"], mode="only_valid").as_py(),)]

    about = pc.match_like(pc.field("description"), "%stadi%") & pc.match_like(pc.field("title"), "%portrait%")
    texts = table.to_table(["description"], filter=about)["description"]
    yield "portraits", [(len(texts), pc.sum(pc.utf8_length(texts)).as_py())]


if __name__ == "__main__":
    main(one=lambda: 1, map_records=map_records, ask=ask)
