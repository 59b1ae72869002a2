"""DuckDB. It reads JSON Lines; XML comes through lxml and Arrow, because its XML reader is a downloaded extension."""

import duckdb

from kit.spec import DC, TYPES, questions
from peers.program import Answers, Options, main

CORES = 2
connection = duckdb.connect(config={"threads": CORES})


def clean(values: str) -> str:
    """SQL for the cleaned list."""
    tidy = r"trim(regexp_replace(x, '[ \t\r\n]+', ' ', 'g'), ' ')"
    return f"list_filter(list_transform({values}, lambda x: {tidy}), lambda x: x <> '')"


def read_jsonl(asked: Options) -> str:
    """SQL for the harvested records."""
    metadata = ", ".join(f'"{element}" VARCHAR[]' for element in DC)
    columns = (
        "{'id': 'VARCHAR', 'datestamp': 'VARCHAR', 'status': 'VARCHAR', 'setSpec': 'VARCHAR[]', "
        f"'metadata': 'STRUCT({metadata})'}}"
    )
    return f"read_json('{asked.data}/jsonl/*.jsonl', format = 'newline_delimited', columns = {columns})"


def mapping(source: str) -> str:
    """The job as one query."""
    types = "MAP {" + ", ".join(f"'{name}': '{kind}'" for name, kind in TYPES.items()) + "}"
    return f"""
WITH live AS (
  SELECT id, datestamp, setSpec[1] AS set_spec, metadata AS m
  FROM {source}
  WHERE status IS DISTINCT FROM 'deleted'
), cleaned AS (
  SELECT id, datestamp, set_spec,
    {clean("m.title")} AS titles,
    {clean("m.creator")} AS creators,
    {clean("string_split(array_to_string(m.subject, ';'), ';')")} AS subjects,
    {clean("m.description")} AS descriptions,
    {clean("m.type")} AS types,
    {clean("m.language")} AS languages,
    {clean("m.date")} AS dates,
    TRY_CAST(nullif(regexp_extract(array_to_string(m.date, '|'), '[0-9]{{4}}'), '') AS INTEGER) AS year,
    list_filter(m.identifier, lambda x: starts_with(x, 'http'))[1] AS url,
    {clean("m.rights")} AS rights
  FROM live
)
SELECT
  c.id, c.datestamp, c.set_spec, k.collection_id, k.collection_name,
  coalesce(k.campus, 'unknown') AS campus,
  titles[1] AS title,
  coalesce(list_distinct(creators), []) AS creators,
  coalesce(list_distinct(subjects), []) AS subjects,
  nullif(array_to_string(descriptions, ' '), '') AS description,
  CASE WHEN types[1] IS NULL THEN 'unknown' ELSE coalesce({types}[lower(types[1])], 'other') END AS type,
  lower(languages[1]) AS language,
  dates[1] AS date,
  year,
  (year // 10) * 10 AS decade,
  url,
  rights[1] AS rights
FROM cleaned c LEFT JOIN collections k USING (set_spec)"""


def map_records(asked: Options) -> None:
    """Maps all records into one Parquet file."""
    columns = "{'set_spec': 'VARCHAR', 'collection_id': 'INTEGER', 'collection_name': 'VARCHAR', 'campus': 'VARCHAR'}"
    csv = f"read_csv('{asked.data}/collections.csv', columns = {columns}, header = true)"
    connection.execute(f"CREATE TABLE collections AS SELECT * FROM {csv}")
    if asked.format == "jsonl":
        source = read_jsonl(asked)
    else:
        from peers.xml_arrow import reader

        connection.register("pages", reader(asked.data, asked.processes))
        source = "pages"
    connection.execute("SET preserve_insertion_order = false")
    form = "FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3"
    connection.execute(f"COPY ({mapping(source)}) TO '{asked.out}/part-0.parquet' ({form})")


def ask(asked: Options) -> Answers:
    """The questions in SQL."""
    connection.execute(f"CREATE VIEW records AS SELECT * FROM read_parquet('{asked.data}/*.parquet')")
    for name, question in questions("records", "unnest(subjects)").items():
        yield name, connection.execute(question).fetchall()


if __name__ == "__main__":
    main(one=lambda: connection.sql("SELECT 1").fetchall(), map_records=map_records, ask=ask)
