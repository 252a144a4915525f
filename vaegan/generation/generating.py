"""Generation of a data set: whole shards by each process, resumable by any number of them."""

from functools import partial
from pathlib import Path

from torch import Tensor

from vaegan.distributed import broadcast_from_main, run_on_main
from vaegan.errors import UserError
from vaegan.io import write_text
from vaegan.long_work import run_long_on_main
from vaegan.models.autoencoder import Sampler
from vaegan.paths import check_no_other_files
from vaegan.progress import ProgressCallback, ignore_progress
from vaegan.shards import write_shards

from .description import DESCRIPTION_FILE, Generation, read_generation
from .formats import is_shard_finished, join_parts, write_shard
from .rejection import Rejection, Score, draw_rows, measure_threshold


def generate_to_folder(
    sampler: Sampler,
    score: Score | None,
    folder: Path,
    generation: Generation,
    progress: ProgressCallback = ignore_progress,
) -> Generation:
    """Generate images into a folder, as far as they are not there; all processes do this together.

    Args:
        sampler: Model in evaluation mode, on the device where it computes, the seed and the density.
        score: Score of the draws; None: no draw is rejected.
        folder: The folder; created if it does not exist.
        generation: Its description. A rejection without a threshold takes that of the folder, or else measures it.
        progress: Called with (images done, images in all).

    Returns:
        The description with the threshold.

    Raises:
        UserError: The folder holds something else.
        OSError: A file cannot be written.
    """
    run_on_main(lambda: _check_folder(folder, generation))
    rejection = None
    if score is not None and generation.rejection is not None:
        found = broadcast_from_main(lambda: read_generation(folder))
        threshold = found.rejection.threshold if found is not None and found.rejection is not None else None
        if threshold is None:
            share, size = generation.rejection.share, generation.batch_size
            measured = run_long_on_main(partial(measure_threshold, sampler, generation.label, score, share, size))
            threshold = broadcast_from_main(lambda: measured)
        assert threshold is not None
        rejection = Rejection(score, threshold)
        generation = generation.model_copy(
            update={"rejection": generation.rejection.model_copy(update={"threshold": threshold})}
        )
    run_on_main(lambda: _begin(folder, generation))

    def draw(rows: range) -> Tensor:
        whole = generation.get_whole_batch(rows)
        return draw_rows(sampler, whole, generation.label, rejection)[: len(rows)]

    write_shards(
        generation, partial(is_shard_finished, folder, generation), partial(write_shard, folder, generation, draw),
        progress,
    )  # fmt: skip
    if generation.format == "npz":
        run_long_on_main(lambda: join_parts(folder, generation))
    return generation


def _check_folder(folder: Path, generation: Generation) -> None:
    """Check that a folder holds nothing else, or has begun with the same generation.

    Raises:
        UserError: It holds another data set, or other files.
    """
    found = read_generation(folder)
    if found is not None:
        if difference := generation.describe_difference(found):
            raise UserError(f"--output {folder}: holds other generated images ({difference}); name another folder")
        return
    check_no_other_files(folder, {f"{DESCRIPTION_FILE}.partial"})


def _begin(folder: Path, generation: Generation) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / DESCRIPTION_FILE, generation.model_dump_json(indent=1) + "\n")
