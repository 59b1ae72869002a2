"""Raw rates of this machine: reading, parsing, compressing and writing, by the libraries the peers are made of.

    benchmarks/run S --only limits

One thread unless said otherwise; the best of three rounds. Runs in the virtual environment of plain Python.
"""

import io
import json
import sys
import tempfile
import time
import xml.parsers.expat
import zlib
from collections.abc import Callable
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq
import simdjson
import zstandard
from lxml import etree

MIB = 2**20
ROUNDS = 3
RECORD = "{http://www.openarchives.org/OAI/2.0/}record"


def rate(name: str, work: Callable[[], object], size: int, rounds: int = ROUNDS) -> None:
    """Prints MiB a second, and MiB a CPU second, of work on so many bytes."""
    walls, cpus = [], []
    for _ in range(rounds):
        cpu, wall = time.process_time(), time.perf_counter()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    best_wall, best_cpu = size / MIB / min(walls), size / MIB / max(1e-9, min(cpus))
    print(f"{name:52} {best_wall:8.0f} MiB/s {best_cpu:8.0f} MiB per CPU second", flush=True)


def read_files(paths: list[Path]) -> None:
    """Files as they are, from the page cache after the first round."""
    rate(f"read {len(paths):,} files", lambda: [path.read_bytes() for path in paths], total(paths))


def write_file(folder: Path) -> None:
    """512 MiB that do not compress, into the page cache."""
    block = bytes(range(256)) * (MIB // 256)

    def write() -> None:
        with (folder / "block").open("wb") as file:
            for _ in range(512):
                file.write(block)

    rate("write 512 MiB", write, 512 * MIB)


def parse_xml(paths: list[Path]) -> None:
    """Trees and events."""
    pages = [path.read_bytes() for path in paths]
    size = total(paths)

    def iterate() -> None:
        for page in pages:
            for _, element in etree.iterparse(io.BytesIO(page), tag=RECORD):
                element.clear()

    def events() -> None:
        for page in pages:
            parser = xml.parsers.expat.ParserCreate()
            parser.StartElementHandler = lambda name, attributes: None
            parser.CharacterDataHandler = lambda text: None
            parser.buffer_text = True
            parser.Parse(page, True)

    rate("lxml, tree", lambda: [etree.fromstring(page) for page in pages], size)
    rate("lxml, iterparse", iterate, size)
    rate("expat", lambda: [xml.parsers.expat.ParserCreate().Parse(page, True) for page in pages], size)
    rate("expat, handlers in Python", events, size)


def parse_json(path: Path) -> None:
    """One object a line."""
    content = path.read_bytes()
    lines, size = content.splitlines(), len(content)
    parser = simdjson.Parser()

    def by_pyarrow(threads: bool) -> None:
        read = pyarrow.json.ReadOptions(use_threads=threads, block_size=4 * MIB)
        pyarrow.json.read_json(io.BytesIO(content), read_options=read)

    rate("json", lambda: [json.loads(line) for line in lines], size)
    rate("orjson", lambda: [orjson.loads(line) for line in lines], size)

    def by_simdjson() -> None:
        for line in lines:
            parser.parse(line)

    rate("simdjson, parsing alone", by_simdjson, size)
    rate("pyarrow.json", lambda: by_pyarrow(threads=False), size)
    rate("pyarrow.json, all threads", lambda: by_pyarrow(threads=True), size)


def compress(paths: list[Path]) -> None:
    """Pages, by zstd and gzip."""
    raw = b"".join(path.read_bytes() for path in paths)
    for level in (1, 3, 6):
        compressor = zstandard.ZstdCompressor(level=level)
        packed = compressor.compress(raw)
        ratio = len(raw) / len(packed)
        rate(f"zstd {level} (to 1/{ratio:.1f})", lambda compressor=compressor: compressor.compress(raw), len(raw))
    rate("zstd, decompression", lambda: zstandard.ZstdDecompressor().decompress(packed), len(raw))
    rate("gzip 6", lambda: zlib.compress(raw, 6), len(raw), rounds=1)


def columns(result: Path, folder: Path) -> None:
    """The mapped records as Parquet; bytes of Arrow data."""
    table, path = pq.read_table(result), folder / "table.parquet"
    for compression, level in (("none", None), ("snappy", None), ("zstd", 1), ("zstd", 3)):

        def write(compression: str = compression, level: int | None = level) -> None:
            pq.write_table(table, path, compression=compression, compression_level=level)

        write()
        name = f"Parquet {compression} {level or ''}".strip()
        rate(f"{name}, write to {path.stat().st_size / MIB:.0f} MiB", write, table.nbytes)
        rate(f"{name}, read", lambda: pq.read_table(path, use_threads=False), table.nbytes)


def total(paths: list[Path]) -> int:
    """Bytes of all files."""
    return sum(path.stat().st_size for path in paths)


def main(harvest: Path, result: Path) -> None:
    """All rates; `result` is the reference result of the harvest."""
    pages, lines = sorted((harvest / "xml").iterdir()), sorted((harvest / "jsonl").iterdir())
    print(f"pyarrow {pa.__version__}, lxml {etree.__version__}")
    with tempfile.TemporaryDirectory(dir=harvest) as folder:
        read_files(pages[:1000])
        read_files(lines[:4])
        write_file(Path(folder))
        parse_xml(pages[:300])
        parse_json(lines[0])
        compress(pages[:150])
        columns(result, Path(folder))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
