"""The records of a ``.wandb`` file, in which Weights & Biases records a run offline.

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
    """Return every record of a file.

    Args:
        path: The file.
        torn: Whether its end may be missing, as after a kill; an incomplete last record is left out.

    Raises:
        ValueError: A checksum is wrong, or the end is missing.
    """
    data = path.read_bytes()
    if torn and not data:
        return []
    if struct.unpack("<4sHB", data[:HEADER].ljust(HEADER)) != (b":W&B", 0xBEE1, 0):
        raise ValueError(f"{path}: not a .wandb file")
    records: list[Record] = []
    pieces: list[bytes] = []
    for kind, piece in _iterate_pieces(data, torn):
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
    """Stop W&B, and return the records of each offline run in a run folder, the oldest first."""
    wandb.teardown()
    return [read_records(path, torn) for path in sorted(folder.glob("wandb/offline-run-*/*.wandb"))]


def read_run(folder: Path) -> list[Record]:
    """Stop W&B, and return the records of the only offline run in a run folder."""
    (records,) = read_runs(folder)
    return records


def select_kind(records: list[Record], kind: str) -> list[Any]:
    """Return the records of one kind (``history``, ``metric``, ``artifact``, ``exit``, ...), in order."""
    return [getattr(record, kind) for record in records if record.WhichOneof("record_type") == kind]


def read_history(records: list[Record]) -> list[dict[str, Any]]:
    """Return the logged values of each entry of the history; ``_step`` is W&B's own step, an image is a mapping."""
    entries = []
    for record in select_kind(records, "history"):
        entry: dict[str, Any] = {"_step": record.step.num}
        for item in record.item:
            *outer, last = item.nested_key or [item.key]
            place = entry
            for key in outer:
                place = place.setdefault(key, {})
            place[last] = json.loads(item.value_json)
        entries.append(entry)
    return entries


def read_config(records: list[Record]) -> dict[str, Any]:
    """Return the config that the run was started with."""
    (run,) = select_kind(records, "run")
    return {item.key: json.loads(item.value_json) for item in run.config.update if item.key != "_wandb"}


def _iterate_pieces(data: bytes, torn: bool) -> Iterator[tuple[int, bytes]]:
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
