"""Reads what Weights & Biases has recorded offline: the records of a ``.wandb`` file.

The file is a 7-byte header, then blocks of 32,768 bytes (the header counts to the first). A block holds pieces, each
with a header of 7 bytes (crc, length, type) that is never split; what is too small for one at a block's end is zero.
The crc is CRC-32 of the type and the data. A record is one piece (type 1), or a first (2), middle (3) and last one (4).
"""

import json
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wandb
from wandb.proto.wandb_internal_pb2 import Record

BLOCK, HEADER = 32768, 7
WHOLE, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def read_records(path: Path, torn: bool = False) -> list[Record]:
    """Every record of a file; ValueError if a byte of it is wrong or its end is missing.

    Args:
        path: The file.
        torn: Whether its end may be missing, as after a kill; what it has of its last record then does not count.
    """
    data = path.read_bytes()
    if torn and not data:
        return []
    if struct.unpack("<4sHB", data[:HEADER].ljust(HEADER)) != (b":W&B", 0xBEE1, 0):
        raise ValueError(f"{path}: not a .wandb file")
    records: list[Record] = []
    pieces: list[bytes] = []
    for kind, piece in _pieces(data, torn):
        if (kind in (WHOLE, FIRST)) == bool(pieces):
            raise ValueError(f"{path}: piece of type {kind} out of place")
        pieces.append(piece)
        if kind in (WHOLE, LAST):
            records.append(Record.FromString(b"".join(pieces)))
            pieces = []
    if pieces and not torn:
        raise ValueError(f"{path}: the last record has no end")
    return records


def read_runs(folder: Path, torn: bool = False) -> list[list[Record]]:
    """The records of each offline run in a run folder, the oldest first; W&B is stopped, or it may still be writing."""
    wandb.teardown()
    return [read_records(path, torn) for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]


def read_run(folder: Path) -> list[Record]:
    """The records of the one offline run in a run folder."""
    (records,) = read_runs(folder)
    return records


def kinds(records: list[Record], kind: str) -> list[Any]:
    """The records of one kind (``history``, ``metric``, ``artifact``, ``exit``, ...), in order."""
    return [getattr(record, kind) for record in records if record.WhichOneof("record_type") == kind]


def history(records: list[Record]) -> list[dict[str, Any]]:
    """Logged values, one mapping for each entry of the history; ``_step`` is W&B's own step, a picture a mapping."""
    entries = []
    for record in kinds(records, "history"):
        entry: dict[str, Any] = {"_step": record.step.num}
        for item in record.item:
            *outer, last = item.nested_key or [item.key]
            place = entry
            for key in outer:
                place = place.setdefault(key, {})
            place[last] = json.loads(item.value_json)
        entries.append(entry)
    return entries


def config(records: list[Record]) -> dict[str, Any]:
    """The run's config as it was given."""
    (run,) = kinds(records, "run")
    return {item.key: json.loads(item.value_json) for item in run.config.update if item.key != "_wandb"}


def _pieces(data: bytes, torn: bool) -> Iterator[tuple[int, bytes]]:
    at = HEADER
    while at < len(data):
        room = BLOCK - at % BLOCK
        if room < HEADER:
            at += room
            continue
        if torn and len(data) < at + HEADER:
            return
        crc, length, kind = struct.unpack_from("<IHB", data, at)
        if torn and len(data) < at + HEADER + length <= at + room:
            return
        piece = data[at + HEADER : at + HEADER + length]
        if crc != zlib.crc32(bytes([kind]) + piece):
            raise ValueError(f"wrong checksum at byte {at}")
        yield kind, piece
        at += HEADER + length
