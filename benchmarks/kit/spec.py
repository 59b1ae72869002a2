"""What every engine must produce from the same records. Shared by the kit and the peers' programs.

"Cleaned" means: runs of white space become one space, spaces at both ends go, a value that is then empty is dropped.
"""

DC = (
    "title",
    "creator",
    "contributor",
    "subject",
    "description",
    "publisher",
    "date",
    "type",
    "format",
    "identifier",
    "language",
    "relation",
    "coverage",
    "rights",
    "source",
)
"""Elements of a record, each a list of text."""

WHITE_SPACE = r"[ \t\r\n]+"

COLUMNS = {
    "id": "identifier of the record; deleted records are left out",
    "datestamp": "as supplied",
    "set_spec": "first set of the record",
    "collection_id": "number that collections.csv has for the set, else null",
    "collection_name": "name that collections.csv has for the set, else null",
    "campus": "campus that collections.csv has for the set, else 'unknown'",
    "title": "first title, cleaned",
    "creators": "cleaned and distinct; an empty list if there are none",
    "subjects": "split at ';', cleaned and distinct; an empty list if there are none",
    "description": "cleaned values joined by a space, null if there are none",
    "type": "first type, cleaned and lower-cased, as TYPES has it, else 'other'; 'unknown' if there is none",
    "language": "first language, cleaned and lower-cased",
    "date": "first date, cleaned",
    "year": "first four digits in a row in the dates joined by '|'",
    "decade": "the year, less its last digit",
    "url": "first identifier that starts with 'http', as supplied",
    "rights": "first statement, cleaned",
}
"""The columns of the result, and what each holds."""

LISTS = ("creators", "subjects")
"""Columns that are lists."""

JOINED = {
    "uses": ("id", "label", "facet", "records", "earliest", "latest", "last_text"),
    "years": ("id", "collection", "year", "records", "described", "first_text"),
}
"""Tables of the job that joins and groups, and their columns; what is in them, its SQL says."""

NUMBERS = ("collection_id", "year", "decade", "records", "earliest", "latest", "collection", "described")
"""Columns that may be numbers of any width."""

TYPES = {
    "image": "image",
    "stillimage": "image",
    "still image": "image",
    "photograph": "image",
    "map": "cartographic",
    "text": "text",
    "sound": "sound",
    "sound recording": "sound",
    "movingimage": "moving image",
    "moving image": "moving image",
    "dataset": "dataset",
    "physical object": "physical object",
    "physicalobject": "physical object",
    "collection": "collection",
    "interactive resource": "interactive resource",
}

QUESTIONS = {
    "decades": "SELECT decade, count(*) AS n FROM {table} GROUP BY decade ORDER BY decade",
    "subjects": (
        "SELECT s, count(*) AS n FROM (SELECT {unnest} AS s FROM {table}) t GROUP BY s ORDER BY n DESC, s LIMIT 20"
    ),
    "titles": "SELECT count(DISTINCT title) AS n FROM {table}",
    "portraits": (
        "SELECT count(*) AS n, sum(length(description)) AS characters FROM {table} "
        "WHERE description LIKE '%stadi%' AND title LIKE '%portrait%'"
    ),
}
"""Four ad-hoc questions about the result; `{table}` and `{unnest}` are the engine's own words."""


def questions(table: str, unnest: str) -> dict[str, str]:
    """The questions in the words of one engine."""
    return {name: text.format(table=table, unnest=unnest) for name, text in QUESTIONS.items()}
