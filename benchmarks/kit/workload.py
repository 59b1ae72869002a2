"""The workload: seeded harvests of OAI-PMH pages, and the same records as JSON Lines.

Record `i` depends on the seed and on `i` alone (`records.py`). So every size is a prefix of the next one, and XML and
JSON Lines hold the same records. The XML has what harvested XML has: entities, CDATA, deleted records. Twenty sets are
in no list of collections.

* `generate` writes one large harvest: `xml/page-NNNNNN.xml` of 100 records, `jsonl/part-NNNNN.jsonl` of 25,000,
  `collections.csv` and `manifest.json` with the totals that a run must account for.
* `generate_many` writes many small harvests, one folder of one or two pages each.
"""

import json
import random
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from kit.records import SYLLABLES, Pools, record

SEED = 42
SIZES = {"XS": 2_000, "S": 100_000, "M": 1_000_000}
"""Records of each size."""
TRIAL = "XS"
"""The size for trying the kit; its figures mean nothing and are not recorded."""

MANY_COLLECTIONS = 2_300
MANY_RECORDS = 82
MANY_FIRST_ID = 30_000

PAGE_RECORDS = 100
SHARD_RECORDS = 25_000
COLLECTIONS = 1_000
"""Rows of `collections.csv`; twenty sets have none."""
CAMPUSES = 20

PAGE_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<OAI-PMH xmlns="http://www.openarchives.org/OAI/2.0/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" \
xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/ http://www.openarchives.org/OAI/2.0/OAI-PMH.xsd">
  <responseDate>2026-01-02T03:04:05Z</responseDate>
  <request verb="ListRecords" metadataPrefix="oai_dc">https://repo.example.org/oai</request>
  <ListRecords>
"""
PAGE_FOOT = """    <resumptionToken completeListSize="{total}" cursor="{cursor}">{token}</resumptionToken>
  </ListRecords>
</OAI-PMH>
"""
DC_OPEN = """        <oai_dc:dc xmlns:oai_dc="http://www.openarchives.org/OAI/2.0/oai_dc/" \
xmlns:dc="http://purl.org/dc/elements/1.1/" \
xsi:schemaLocation="http://www.openarchives.org/OAI/2.0/oai_dc/ http://www.openarchives.org/OAI/2.0/oai_dc.xsd">
"""


@dataclass
class Totals:
    """What was written; a run over it must account for every record."""

    records: int = 0
    deleted: int = 0
    xml_bytes: int = 0
    jsonl_bytes: int = 0

    def add(self, other: "Totals") -> None:
        """Adds the totals of another part."""
        self.records += other.records
        self.deleted += other.deleted
        self.xml_bytes += other.xml_bytes
        self.jsonl_bytes += other.jsonl_bytes


def xml_text(text: str, index: int) -> str:
    """Escaped text; every fifth record also uses numeric and named references."""
    text = escape(text)
    return text.replace("é", "&#233;").replace('"', "&quot;") if index % 5 == 0 else text


def xml_record(item: dict, index: int) -> str:
    """The record as an OAI-PMH `record` element; every eleventh has its description in CDATA."""
    status = ' status="deleted"' if item["status"] else ""
    parts = [
        f"    <record>\n      <header{status}>\n        <identifier>{escape(item['id'])}</identifier>\n"
        f"        <datestamp>{item['datestamp']}</datestamp>\n"
    ]
    parts += [f"        <setSpec>{name}</setSpec>\n" for name in item["setSpec"]]
    parts.append("      </header>\n")
    if not item["status"]:
        parts += ["      <metadata>\n", DC_OPEN]
        for element, values in item["metadata"].items():
            for position, value in enumerate(values):
                literal = element == "description" and position == 0 and index % 11 == 0
                text = f"<![CDATA[{value}]]>" if literal else xml_text(value, index)
                parts.append(f"          <dc:{element}>{text}</dc:{element}>\n")
        parts.append("        </oai_dc:dc>\n      </metadata>\n")
    parts.append("    </record>\n")
    return "".join(parts)


def xml_page(records: list[str], cursor: int, number: int, total: int) -> bytes:
    """A page of a harvest; the last one has an empty resumption token."""
    after = cursor + len(records)
    token = "" if after == total else f"oai_dc/{after}/tok{number:06d}"
    return (PAGE_HEAD + "".join(records) + PAGE_FOOT.format(total=total, cursor=cursor, token=token)).encode()


@dataclass(frozen=True)
class Shard:
    """Records `start` to `stop` of a harvest: one JSON Lines file and the pages of the same records."""

    folder: Path
    seed: int
    start: int
    stop: int
    total: int

    def write(self) -> Totals:
        """Writes the shard's files."""
        pools, totals, page = Pools(self.seed), Totals(), []
        lines = self.folder / "jsonl" / f"part-{self.start // SHARD_RECORDS:05d}.jsonl"
        with lines.open("wb") as jsonl:
            for index in range(self.start, self.stop):
                item = record(self.seed, index, pools)
                line = json.dumps(item, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
                jsonl.write(line)
                totals.add(Totals(1, item["status"] is not None, 0, len(line)))
                page.append(xml_record(item, index))
                if len(page) == PAGE_RECORDS or index == self.stop - 1:
                    totals.xml_bytes += self._write_page(page, index)
                    page = []
        return totals

    def _write_page(self, page: list[str], last: int) -> int:
        number = last // PAGE_RECORDS
        content = xml_page(page, number * PAGE_RECORDS, number, self.total)
        return (self.folder / "xml" / f"page-{number:06d}.xml").write_bytes(content)


def generate(folder: Path, records: int, processes: int, seed: int = SEED) -> None:
    """Writes one large harvest, unless it is there."""
    if (folder / "manifest.json").exists():
        return
    started_at = time.monotonic()
    for name in ("xml", "jsonl"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_collections(folder / "collections.csv", seed)
    starts = range(0, records, SHARD_RECORDS)
    shards = [Shard(folder, seed, start, min(start + SHARD_RECORDS, records), records) for start in starts]
    totals = Totals()
    with ProcessPoolExecutor(processes) as pool:
        for part in pool.map(Shard.write, shards):
            totals.add(part)
    write_manifest(folder, seed, totals, started_at)


def generate_many(folder: Path, seed: int = SEED) -> None:
    """Writes many small harvests, `pages/<collection>/page-N.xml`, of one or two pages each, unless they are there."""
    if (folder / "manifest.json").exists():
        return
    started_at, pools, totals = time.monotonic(), Pools(seed), Totals()
    for number in range(MANY_COLLECTIONS):
        pages = folder / "pages" / str(MANY_FIRST_ID + number)
        pages.mkdir(parents=True, exist_ok=True)
        first = number * MANY_RECORDS
        items = [record(seed, index, pools) for index in range(first, first + MANY_RECORDS)]
        texts = [xml_record(item, first + position) for position, item in enumerate(items)]
        size = MANY_RECORDS if number % 2 == 0 else MANY_RECORDS // 2
        totals.add(Totals(MANY_RECORDS, sum(item["status"] is not None for item in items)))
        for cursor in range(0, MANY_RECORDS, size):
            content = xml_page(texts[cursor : cursor + size], cursor, cursor // size, MANY_RECORDS)
            totals.xml_bytes += (pages / f"page-{cursor // size}.xml").write_bytes(content)
    write_collections(folder / "collections.csv", seed)
    write_manifest(folder, seed, totals, started_at)


def write_collections(path: Path, seed: int) -> None:
    """Writes the table that a set's collection and campus are looked up in."""
    rng = random.Random(f"coll-{seed}")
    rows = ["set_spec,collection_id,collection_name,campus"]
    for number in range(COLLECTIONS):
        name = rng.choice(SYLLABLES[:20]) + rng.choice(SYLLABLES[:20])
        campus = number % CAMPUSES
        rows.append(f"coll_{number:04d},{26000 + number},Collection {number} of {name},campus_{campus:02d}")
    path.write_text("\n".join(rows) + "\n", encoding="utf-8", newline="")


def write_manifest(folder: Path, seed: int, totals: Totals, started_at: float) -> None:
    """Writes the totals; a folder with a manifest is whole."""
    live = totals.records - totals.deleted
    manifest = {
        "seed": seed,
        **asdict(totals),
        "live": live,
        "seconds": round(time.monotonic() - started_at, 1),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest) + "\n")
