"""lxml → Arrow batches in the shape of the JSON Lines: what an engine that reads no XML has to be fed with."""

from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import pyarrow as pa

from kit.spec import DC

TEXT, TEXTS = pa.string(), pa.list_(pa.string())
METADATA = pa.struct([(element, TEXTS) for element in DC])
SCHEMA = pa.schema([("id", TEXT), ("datestamp", TEXT), ("status", TEXT), ("setSpec", TEXTS), ("metadata", METADATA)])
OAI = "{http://www.openarchives.org/OAI/2.0/}"
DC_NAMESPACE = "{http://purl.org/dc/elements/1.1/}"
PAGES_PER_BATCH = 100


def records(page: Path) -> Iterator[tuple]:
    """The records of a page in the columns of `SCHEMA`; the metadata of a deleted one is None."""
    from lxml import etree

    for record in etree.parse(page).getroot().iterfind(f"{OAI}ListRecords/{OAI}record"):
        header, wrapper = record.find(f"{OAI}header"), record.find(f"{OAI}metadata")
        values = None
        if wrapper is not None:
            values = {}
            for element in wrapper[0]:
                values.setdefault(element.tag[len(DC_NAMESPACE) :], []).append(element.text or "")
        sets = [name.text for name in header.iterfind(f"{OAI}setSpec")]
        identifier, datestamp = header.findtext(f"{OAI}identifier"), header.findtext(f"{OAI}datestamp")
        yield identifier, datestamp, header.get("status"), sets, values


def batch(pages: list[Path]) -> pa.RecordBatch:
    """The records of the pages as one batch."""
    identifiers, datestamps, statuses, sets, values = zip(*(row for page in pages for row in records(page)))
    members = [pa.array([row and row.get(element) for row in values], TEXTS) for element in DC]
    absent = pa.array([row is None for row in values])
    metadata = pa.StructArray.from_arrays(members, fields=list(METADATA), mask=absent)
    columns = [
        pa.array(identifiers, TEXT),
        pa.array(datestamps, TEXT),
        pa.array(statuses, TEXT),
        pa.array(sets, TEXTS),
        metadata,
    ]
    return pa.record_batch(columns, schema=SCHEMA)


def serialised_batch(pages: list[Path]) -> bytes:
    """The batch as an Arrow stream, to come back from another process."""
    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, SCHEMA) as writer:
        writer.write_batch(batch(pages))
    return buffer.getvalue().to_pybytes()


def batches(data: Path, processes: int = 1) -> Iterator[pa.RecordBatch]:
    """All records of a harvest."""
    pages = sorted((data / "xml").iterdir())
    groups = [pages[start : start + PAGES_PER_BATCH] for start in range(0, len(pages), PAGES_PER_BATCH)]
    if processes == 1:
        yield from map(batch, groups)
        return
    with get_context("spawn").Pool(processes) as pool:
        for stream in pool.imap(serialised_batch, groups):
            yield from pa.ipc.open_stream(stream)


def reader(data: Path, processes: int = 1) -> pa.RecordBatchReader:
    """All records of a harvest, as a stream."""
    return pa.RecordBatchReader.from_batches(SCHEMA, batches(data, processes))
