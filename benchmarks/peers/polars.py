"""Polars: lazy frames, the streaming engine. It reads JSON Lines; it has no XML reader."""

import polars as pl

from kit.spec import DC, TYPES, WHITE_SPACE
from peers.program import Answers, Options, main

TEXTS = pl.List(pl.String)
RECORDS = {
    "id": pl.String,
    "datestamp": pl.String,
    "status": pl.String,
    "setSpec": TEXTS,
    "metadata": pl.Struct({element: TEXTS for element in DC}),
}
COLLECTIONS = {
    "set_spec": pl.String,
    "collection_id": pl.Int32,
    "collection_name": pl.String,
    "campus": pl.String,
}


def element(name: str) -> pl.Expr:
    """All values of a metadata element."""
    return pl.col("metadata").struct.field(name)


def clean(values: pl.Expr) -> pl.Expr:
    """The cleaned list."""
    tidy = pl.element().str.replace_all(WHITE_SPACE, " ").str.strip_chars(" ")
    return values.list.eval(tidy.filter(tidy != ""))


def first(column: str) -> pl.Expr:
    """The first value of a list column."""
    return pl.col(column).list.first()


def distinct(column: str) -> pl.Expr:
    """The list without repetitions, empty where there is none."""
    return pl.col(column).list.unique(maintain_order=True).fill_null([])


def mapping(asked: Options) -> pl.LazyFrame:
    """The job as one query."""
    source = pl.scan_ndjson(f"{asked.data}/jsonl/*.jsonl", schema=RECORDS)
    collections = pl.scan_csv(f"{asked.data}/collections.csv", schema=COLLECTIONS)
    description = pl.col("descriptions").list.join(" ")
    kind = first("types").str.to_lowercase().replace_strict(TYPES, default="other", return_dtype=pl.String)
    starts_http = pl.element().filter(pl.element().str.starts_with("http"))
    return (
        source.filter(pl.col("status").ne_missing("deleted"))
        .select(
            "id",
            "datestamp",
            set_spec=first("setSpec"),
            titles=clean(element("title")),
            creators=clean(element("creator")),
            subjects=clean(element("subject").list.join(";").str.split(";")),
            descriptions=clean(element("description")),
            types=clean(element("type")),
            languages=clean(element("language")),
            dates=clean(element("date")),
            year=element("date").list.join("|").str.extract("([0-9]{4})", 1).cast(pl.Int32),
            url=element("identifier").list.eval(starts_http).list.first(),
            rights=clean(element("rights")),
        )
        .join(collections, on="set_spec", how="left", maintain_order="none")
        .select(
            "id",
            "datestamp",
            "set_spec",
            "collection_id",
            "collection_name",
            pl.col("campus").fill_null("unknown"),
            title=first("titles"),
            creators=distinct("creators"),
            subjects=distinct("subjects"),
            description=pl.when(description != "").then(description),
            type=pl.when(first("types").is_null()).then(pl.lit("unknown")).otherwise(kind),
            language=first("languages").str.to_lowercase(),
            date=first("dates"),
            year="year",
            decade=pl.col("year") - pl.col("year") % 10,
            url="url",
            rights=first("rights"),
        )
    )


def map_records(asked: Options) -> None:
    """Maps all records into one Parquet file."""
    target = asked.out / "part-0.parquet"
    mapping(asked).sink_parquet(target, compression="zstd", compression_level=3, maintain_order=False)


def ask(asked: Options) -> Answers:
    """The questions as lazy frames."""
    records = pl.scan_parquet(f"{asked.data}/*.parquet")
    subjects = records.select(pl.col("subjects").explode(empty_as_null=False).alias("s"))
    about = pl.col("description").str.contains("stadi", literal=True)
    about &= pl.col("title").str.contains("portrait", literal=True)
    queries = {
        "decades": records.group_by("decade").agg(pl.len().alias("n")).sort("decade"),
        "subjects": subjects.group_by("s").agg(pl.len().alias("n")).sort(["n", "s"], descending=[True, False]).head(20),
        "titles": records.select(pl.col("title").drop_nulls().n_unique()),
        "portraits": records.filter(about).select(pl.len(), pl.col("description").str.len_chars().sum()),
    }
    for name, query in queries.items():
        yield name, query.collect(engine="streaming").rows()


if __name__ == "__main__":
    main(one=lambda: pl.sql("SELECT 1", eager=True).rows(), map_records=map_records, ask=ask)
