"""DataFusion's Python wheel: the engine beneath Pachamama, on its own. XML comes through lxml and Arrow."""

import pyarrow as pa
from datafusion import SessionConfig, SessionContext

from kit.spec import DC, TYPES, questions
from peers.program import Answers, Options, log, main

CORES = 2
TEXT, TEXTS = pa.string(), pa.list_(pa.string())
COLLECTIONS = pa.schema(
    [("set_spec", TEXT), ("collection_id", pa.int32()), ("collection_name", TEXT), ("campus", TEXT)]
)
RECORDS = pa.schema(
    [
        ("id", TEXT),
        ("datestamp", TEXT),
        ("status", TEXT),
        ("setSpec", TEXTS),
        ("metadata", pa.struct([(element, TEXTS) for element in DC])),
    ]
)

session = SessionContext(
    SessionConfig()
    .with_target_partitions(CORES)
    .set("datafusion.sql_parser.dialect", "duckdb")
    .set("datafusion.execution.parquet.compression", "zstd(3)")
)


def clean(values: str) -> str:
    """SQL for the cleaned list."""
    tidy = "btrim(regexp_replace(x, '[ \t\r\n]+', ' ', 'g'), ' ')"
    return f"array_filter(array_transform({values}, x -> {tidy}), x -> x <> '')"


def mapping() -> str:
    """The job as one query."""
    types = " ".join(f"WHEN '{name}' THEN '{kind}'" for name, kind in TYPES.items())
    empty = "arrow_cast(make_array(), 'List(Utf8)')"
    return f"""
WITH live AS (
  SELECT id, datestamp, "setSpec"[1] AS set_spec, metadata AS m
  FROM harvest
  WHERE status IS DISTINCT FROM 'deleted'
), cleaned AS (
  SELECT id, datestamp, set_spec,
    {clean("m['title']")} AS titles,
    {clean("m['creator']")} AS creators,
    {clean("string_to_array(array_to_string(m['subject'], ';'), ';')")} AS subjects,
    {clean("m['description']")} AS descriptions,
    {clean("m['type']")} AS types,
    {clean("m['language']")} AS languages,
    {clean("m['date']")} AS dates,
    CAST(regexp_match(array_to_string(m['date'], '|'), '[0-9]{{4}}')[1] AS INT) AS year,
    array_filter(m['identifier'], x -> starts_with(x, 'http'))[1] AS url,
    {clean("m['rights']")} AS rights
  FROM live
)
SELECT
  c.id, c.datestamp, c.set_spec, k.collection_id, k.collection_name,
  coalesce(k.campus, 'unknown') AS campus,
  titles[1] AS title,
  coalesce(array_distinct(creators), {empty}) AS creators,
  coalesce(array_distinct(subjects), {empty}) AS subjects,
  nullif(array_to_string(descriptions, ' '), '') AS description,
  CASE WHEN types[1] IS NULL THEN 'unknown' ELSE CASE lower(types[1]) {types} ELSE 'other' END END AS type,
  lower(languages[1]) AS language,
  dates[1] AS date,
  year,
  CAST(year - year % 10 AS INT) AS decade,
  url,
  rights[1] AS rights
FROM cleaned c LEFT JOIN collections k ON c.set_spec = k.set_spec"""


def map_records(asked: Options) -> None:
    """Maps all records into a folder of Parquet files."""
    session.register_csv("collections", f"{asked.data}/collections.csv", schema=COLLECTIONS)
    if asked.format == "jsonl":
        session.register_json("harvest", f"{asked.data}/jsonl/", schema=RECORDS, file_extension=".jsonl")
    else:
        from peers.xml_arrow import batches

        pages = list(batches(asked.data, asked.processes))
        half = len(pages) // CORES
        session.register_record_batches("harvest", [pages[:half], pages[half:]])
        log.stage("lxml to Arrow")
    session.sql(f"COPY ({mapping()}) TO '{asked.out}/' STORED AS PARQUET").collect()


def ask(asked: Options) -> Answers:
    """The questions in SQL."""
    session.register_parquet("records", str(asked.data))
    for name, question in questions("records", "unnest(subjects)").items():
        columns = session.sql(question).to_pydict()
        yield name, list(zip(*columns.values()))


if __name__ == "__main__":
    main(one=lambda: session.sql("SELECT 1").collect(), map_records=map_records, ask=ask)
