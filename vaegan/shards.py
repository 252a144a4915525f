"""Rows that are written shard by shard: their partition, and the work of all processes on it."""

import json
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import ClassVar

from vaegan.config.section import Count, Section
from vaegan.distributed import all_gather_object, get_group_rank_and_size
from vaegan.long_work import run_long
from vaegan.progress import ProgressCallback, nest_progress
from vaegan.text import format_value


class ShardedRows(Section):
    """Base of the description of rows that lie in shards, each of which one process writes as a whole."""

    rows: Count
    """Number of rows."""
    shard_rows: Count
    """Rows of a shard; the last one may have fewer."""
    batch_size: Count
    """Images of one forward pass, which begins anew with every shard."""
    places: ClassVar[frozenset[str]]
    """Fields by which two descriptions do not differ, such as where something was."""

    @property
    def digest(self) -> str:
        """SHA-256 of everything that the shards are a function of, hexadecimal."""
        return sha256(json.dumps(self._get_identity(), sort_keys=True).encode()).hexdigest()

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.rows // self.shard_rows)

    def get_rows(self, number: int) -> range:
        """Return the rows of a shard."""
        return range(number * self.shard_rows, min((number + 1) * self.shard_rows, self.rows))

    def get_batches(self, number: int) -> list[range]:
        """Return the rows of each batch of a shard."""
        rows = self.get_rows(number)
        starts = range(rows.start, rows.stop, self.batch_size)
        return [range(start, min(start + self.batch_size, rows.stop)) for start in starts]

    def describe_difference(self, other: "ShardedRows") -> str:
        """Return the first field in which another description differs from this one, with both values; empty if none.

        Args:
            other: Description of the same class.
        """
        own, others = self._get_identity(), other._get_identity()
        for name in own:
            if own[name] != others[name]:
                return f"{name}: {format_value(others[name])} there, {format_value(own[name])} here"
        return ""

    def _get_identity(self) -> dict[str, object]:
        return self.model_dump(mode="json", exclude=set(self.places))


def write_shards(
    description: ShardedRows,
    is_finished: Callable[[int], bool],
    write: Callable[[int, ProgressCallback], None],
    progress: ProgressCallback,
) -> None:
    """Write the shards that are not finished; the processes take whole shards in turn, and do this together.

    Args:
        description: The rows.
        is_finished: Returns whether the shard of a number is there and intact.
        write: Writes the shard of a number, and reports (rows done, rows of the shard).
        progress: Called with (rows done, rows in all).

    Raises:
        UserError: `is_finished` has raised it.
        Failure: `write` has raised it.
        OSError: A shard cannot be written.
    """
    rank, size = get_group_rank_and_size()
    numbers = range(description.shards)
    finished = run_long(lambda: [number for number in numbers[rank::size] if is_finished(number)], True)
    done_shards = {number for part in all_gather_object(finished or []) for number in part}
    pending = [number for number in numbers if number not in done_shards]
    done = sum(len(description.get_rows(number)) for number in done_shards)
    for start in range(0, len(pending), size):
        together = pending[start : start + size]
        count = sum(len(description.get_rows(number)) for number in together)
        report = nest_progress(progress, done, count, description.rows)
        number = together[rank % len(together)]  # a process that is left over has none
        run_long(partial(write, number, report), rank < len(together))
        done += count
        progress(done, description.rows)
