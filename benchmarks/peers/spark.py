"""PySpark on two local cores: what an AWS Glue job runs, less the cluster. `SAIL=1` runs the same program on Sail.

Spark reads JSON Lines and, since version 4, XML. Sail has no XML reader.
"""

import os

from pyspark.sql import DataFrame, SparkSession

from kit.spec import DC, TYPES, questions
from peers.program import Answers, Options, log, main

CORES = 2
ON_SAIL = bool(os.environ.get("SAIL"))
TEXTS = "array<string>"


def sail_session() -> SparkSession:
    """A session of a Sail server inside this process."""
    from pysail.spark import SparkConnectServer

    server = SparkConnectServer()
    server.start(background=True)
    return SparkSession.builder.remote(f"sc://localhost:{server.listening_address[1]}").getOrCreate()


def spark_session() -> SparkSession:
    """A session of a local Spark."""
    settings = {
        "spark.driver.memory": os.environ.get("SPARK_MEMORY", "4g"),
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.sql.shuffle.partitions": "4",
        "spark.sql.parquet.compression.codec": "zstd",
        "spark.hadoop.parquet.compression.codec.zstd.level": "3",
    }
    session = SparkSession.builder.master(f"local[{CORES}]").config(map=settings).getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


spark = sail_session() if ON_SAIL else spark_session()


def read_jsonl(asked: Options) -> DataFrame:
    """The harvested records."""
    metadata = ", ".join(f"`{element}`: {TEXTS}" for element in DC)
    schema = f"id string, datestamp string, status string, setSpec {TEXTS}, metadata struct<{metadata}>"
    return spark.read.schema(schema).json(f"{asked.data}/jsonl")


def read_xml(asked: Options) -> DataFrame:
    """The harvested records, in the shape of the JSON Lines."""
    elements = ", ".join(f"`dc:{element}`: {TEXTS}" for element in DC)
    header = f"header struct<_status: string, identifier: string, datestamp: string, setSpec: {TEXTS}>"
    schema = f"{header}, metadata struct<`oai_dc:dc`: struct<{elements}>>"
    pages = spark.read.format("xml").option("rowTag", "record").schema(schema).load(f"{asked.data}/xml")
    members = ", ".join(f"metadata.`oai_dc:dc`.`dc:{element}` AS `{element}`" for element in DC)
    return pages.selectExpr(
        "header.identifier AS id",
        "header.datestamp AS datestamp",
        "header._status AS status",
        "header.setSpec AS setSpec",
        f"struct({members}) AS metadata",
    )


def clean(values: str) -> str:
    """SQL for the cleaned list."""
    tidy = r"trim(regexp_replace(x, '[ \\t\\r\\n]+', ' '))"
    return f"filter(transform({values}, x -> {tidy}), x -> x <> '')"


def mapping() -> str:
    """The job as one query."""
    types = "map(" + ", ".join(f"'{name}', '{kind}'" for name, kind in TYPES.items()) + ")"
    empty = f"CAST(array() AS {TEXTS})"
    return f"""
WITH live AS (
  SELECT id, datestamp, get(setSpec, 0) AS set_spec, metadata AS m
  FROM harvest
  WHERE status IS NULL OR status <> 'deleted'
), cleaned AS (
  SELECT id, datestamp, set_spec,
    {clean("m.title")} AS titles,
    {clean("m.creator")} AS creators,
    {clean("split(array_join(m.subject, ';'), ';')")} AS subjects,
    {clean("m.description")} AS descriptions,
    {clean("m.type")} AS types,
    {clean("m.language")} AS languages,
    {clean("m.date")} AS dates,
    CAST(nullif(regexp_extract(array_join(m.date, '|'), '[0-9]{{4}}', 0), '') AS INT) AS year,
    get(filter(m.identifier, x -> startswith(x, 'http')), 0) AS url,
    {clean("m.rights")} AS rights
  FROM live
)
SELECT
  c.id, c.datestamp, c.set_spec, k.collection_id, k.collection_name,
  coalesce(k.campus, 'unknown') AS campus,
  get(titles, 0) AS title,
  coalesce(array_distinct(creators), {empty}) AS creators,
  coalesce(array_distinct(subjects), {empty}) AS subjects,
  nullif(array_join(descriptions, ' '), '') AS description,
  CASE WHEN get(types, 0) IS NULL THEN 'unknown' ELSE coalesce({types}[lower(get(types, 0))], 'other') END AS type,
  lower(get(languages, 0)) AS language,
  get(dates, 0) AS date,
  year,
  CAST(year - year % 10 AS INT) AS decade,
  url,
  get(rights, 0) AS rights
FROM cleaned c LEFT JOIN collections k ON c.set_spec = k.set_spec"""


def map_records(asked: Options) -> None:
    """Maps all records into a folder of Parquet files."""
    columns = "set_spec string, collection_id int, collection_name string, campus string"
    collections = spark.read.schema(columns).option("header", True).csv(f"{asked.data}/collections.csv")
    collections.createOrReplaceTempView("collections")
    source = read_jsonl(asked) if asked.format == "jsonl" else read_xml(asked)
    source.createOrReplaceTempView("harvest")
    spark.sql(mapping()).write.mode("overwrite").option("compression", "zstd").parquet(str(asked.out))


def ask(asked: Options) -> Answers:
    """The questions in SQL."""
    spark.read.parquet(str(asked.data)).createOrReplaceTempView("records")
    for name, question in questions("records", "explode(subjects)").items():
        yield name, [tuple(row) for row in spark.sql(question).collect()]


if __name__ == "__main__":
    log.stage("session")
    main(one=lambda: spark.sql("SELECT 1").collect(), map_records=map_records, ask=ask)
    spark.stop()
    if ON_SAIL:
        os._exit(0)  # its server keeps threads that would hold the process open
