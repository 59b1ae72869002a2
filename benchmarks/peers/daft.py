"""Daft, its native runner. It reads JSON Lines; it has no XML reader."""

import daft
from daft import DataType, Expression, col, element, lit
from daft.functions import when

from kit.spec import DC, TYPES, WHITE_SPACE
from peers.program import Answers, Options, main

TEXT, TEXTS, INT = DataType.string(), DataType.list(DataType.string()), DataType.int32()
RECORDS = {
    "id": TEXT,
    "datestamp": TEXT,
    "status": TEXT,
    "setSpec": TEXTS,
    "metadata": DataType.struct({name: TEXTS for name in DC}),
}
COLLECTIONS = {"set_spec": TEXT, "collection_id": INT, "collection_name": TEXT, "campus": TEXT}


def values(name: str) -> Expression:
    """All values of a metadata element."""
    return col("metadata")[name]


def clean(found: Expression) -> Expression:
    """The cleaned list."""
    tidy = element().regexp_replace(WHITE_SPACE, " ").lstrip().rstrip()
    return found.list_map(tidy).list_filter(element() != "")


def first(column: str) -> Expression:
    """The first value of a list column."""
    return col(column).get(0)


def distinct(column: str) -> Expression:
    """The list without repetitions, empty where there is none."""
    empty = lit([""]).list_filter(element() != "")
    return col(column).list_distinct().fill_null(empty).alias(column)


def kind() -> Expression:
    """The type as TYPES has it."""
    written = first("types").lower()
    found = lit("other")
    for name, meaning in TYPES.items():
        found = when(written == name, lit(meaning)).otherwise(found)
    return when(first("types").is_null(), lit("unknown")).otherwise(found)


def mapping(asked: Options) -> daft.DataFrame:
    """The job as one query."""
    source = daft.read_json(f"{asked.data}/jsonl/*.jsonl", infer_schema=False, schema=RECORDS)
    collections = daft.read_csv(f"{asked.data}/collections.csv", infer_schema=False, schema=COLLECTIONS)
    description = col("descriptions").list_join(" ")
    year = values("date").list_join("|").regexp_extract("[0-9]{4}", 0).cast(INT)
    return (
        source.where(col("status").is_null() | (col("status") != "deleted"))
        .select(
            "id",
            "datestamp",
            first("setSpec").alias("set_spec"),
            clean(values("title")).alias("titles"),
            clean(values("creator")).alias("creators"),
            clean(values("subject").list_join(";").split(";")).alias("subjects"),
            clean(values("description")).alias("descriptions"),
            clean(values("type")).alias("types"),
            clean(values("language")).alias("languages"),
            clean(values("date")).alias("dates"),
            year.alias("year"),
            values("identifier").list_filter(element().startswith("http")).get(0).alias("url"),
            clean(values("rights")).alias("rights"),
        )
        .join(collections, on="set_spec", how="left")
        .select(
            "id",
            "datestamp",
            "set_spec",
            "collection_id",
            "collection_name",
            col("campus").fill_null("unknown"),
            first("titles").alias("title"),
            distinct("creators"),
            distinct("subjects"),
            when(description != "", description).otherwise(lit(None)).alias("description"),
            kind().alias("type"),
            first("languages").lower().alias("language"),
            first("dates").alias("date"),
            "year",
            (col("year") - col("year") % 10).cast(INT).alias("decade"),
            "url",
            first("rights").alias("rights"),
        )
    )


def map_records(asked: Options) -> None:
    """Maps all records into a folder of Parquet files."""
    mapping(asked).write_parquet(str(asked.out), compression="zstd")


def ask(asked: Options) -> Answers:
    """The questions as frames."""
    records = daft.read_parquet(str(asked.data))
    subjects = records.select(col("subjects").alias("s")).explode("s").where(col("s").not_null())
    about = col("description").like("%stadi%") & col("title").like("%portrait%")
    count, characters = col("description").count(), col("description").length().sum()
    queries = {
        "decades": records.groupby("decade").agg(col("id").count("all").alias("n")).sort("decade"),
        "subjects": subjects.groupby("s")
        .agg(col("s").count("all").alias("n"))
        .sort(["n", "s"], desc=[True, False])
        .limit(20),
        "titles": records.agg(col("title").count_distinct()),
        "portraits": records.where(about).agg(count.alias("n"), characters.alias("characters")),
    }
    for name, query in queries.items():
        yield name, list(zip(*query.to_pydict().values()))


if __name__ == "__main__":
    main(one=lambda: daft.sql("SELECT 1 AS x").collect().to_pydict(), map_records=map_records, ask=ask)
