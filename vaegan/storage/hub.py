"""Models on the Hugging Face Hub: their names, and the fetching of JSON and safetensors, which can run no code."""

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from vaegan.errors import Failure, UserError
from vaegan.extras import check_packages
from vaegan.io import MAX_TEXT_FILE_BYTES, hash_file, read_bytes
from vaegan.models import build_model
from vaegan.paths import HUB_PREFIX
from vaegan.text import shorten, to_one_line

from .run_folder import DESCRIPTION_FILE, WEIGHTS_FILE, ExportedModel, read_diffusers_config

NAME_PATTERN = re.compile(r"(\w[\w.-]*/\w[\w.-]*)((?:/\w[\w.-]*)*)(?:@(\w[\w./-]*))?")
BYTES_PER_VALUE = 8
"""Bytes of a number of the largest type that weights can have."""


@dataclass(frozen=True)
class HubName:
    """A model on the Hub."""

    repository: str
    """``owner/name``."""
    folder: str = ""
    """Folder in it; empty: the model is not in a folder."""
    revision: str | None = None
    """Branch, tag or commit; None: the newest."""

    @property
    def name(self) -> str:
        """Name of the model without its owner and revision."""
        return (self.folder or self.repository).rpartition("/")[2]


def parse_hub_name(text: str) -> HubName:
    """Return the parts of a name ``hf://owner/name``, ``hf://owner/name/folder``, either with ``@revision``.

    Raises:
        UserError: It is no such name.
    """
    match = NAME_PATTERN.fullmatch(text.removeprefix(HUB_PREFIX))
    if match is None:
        raise UserError(f"{shorten(text)}: no name on the Hub; allowed: hf://owner/name | hf://owner/name@revision")
    return HubName(match[1], match[2].lstrip("/"), match[3])


def fetch_model(text: str) -> Path:
    """Fetch a model that `vaegan push` has sent, and return its folder in the cache of huggingface_hub.

    The description is fetched first; weights that cannot be those that it describes are not fetched.

    Args:
        text: ``hf://owner/name``, or ``hf://owner/name@revision``.

    Raises:
        UserError: It is no such name, or there is no model of this package.
        Failure: The Hub cannot be reached, or has no such repository or revision.
    """
    name = parse_hub_name(text)
    prefix = f"{name.folder}/" if name.folder else ""
    try:
        root = fetch_files(name, [prefix + DESCRIPTION_FILE])
        folder, pinned = root / name.folder, HubName(name.repository, name.folder, root.name)
        description = _read_fetched_description(folder, text)
        if not (folder / WEIGHTS_FILE).is_file():
            _check_offered_weights(pinned, prefix + WEIGHTS_FILE, description, text)
            fetch_files(pinned, [prefix + WEIGHTS_FILE])
    except Failure as failure:
        raise Failure(f"{text}: {failure}") from None
    if not (folder / WEIGHTS_FILE).is_file() or hash_file(folder / WEIGHTS_FILE) != description.sha256:
        raise UserError(f"{text}: {WEIGHTS_FILE} is not the file that {DESCRIPTION_FILE} describes; push it anew")
    return folder


def fetch_files(name: HubName, patterns: Sequence[str]) -> Path:
    """Fetch the files of a repository on the Hub whose names match some patterns, except those in the cache already.

    Args:
        name: The repository and its revision.
        patterns: Names or patterns of files.

    Returns:
        The folder in the cache of huggingface_hub, whose name is the commit.

    Raises:
        UserError: huggingface_hub is not installed.
        Failure: The Hub cannot be reached, or has no such repository or revision.
    """
    check_packages(["huggingface_hub"])
    from huggingface_hub import snapshot_download

    shown = sys.stderr.isatty() and not all(pattern.endswith(".json") for pattern in patterns)
    try:
        with progress_bars(shown):
            return Path(snapshot_download(name.repository, revision=name.revision, allow_patterns=list(patterns)))
    except Exception as error:  # every layer of the network has a library with its own errors
        raise Failure(describe_hub_error(error)) from None


@contextmanager
def progress_bars(shown: bool) -> Iterator[None]:
    """Let huggingface_hub show its progress bars inside the block, or hide them."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    hidden = not shown and not are_progress_bars_disabled()
    if hidden:
        disable_progress_bars()
    try:
        yield
    finally:
        if hidden:
            enable_progress_bars()


def describe_hub_error(error: Exception) -> str:
    """Return what went wrong between here and the Hub, in a line."""
    from huggingface_hub import errors

    match error:
        case errors.RevisionNotFoundError():
            problem = "the Hub has no such revision of it"
        case errors.RepositoryNotFoundError() | errors.GatedRepoError():
            problem = "the Hub has no such model, or not for you; `hf auth login` or HF_TOKEN says who you are"
        case errors.LocalTokenNotFoundError():
            problem = "the Hub does not know you; `hf auth login` or HF_TOKEN says who you are"
        case errors.HfHubHTTPError() if error.response.status_code in (401, 403):
            problem = "the Hub does not let you; `hf auth login` or HF_TOKEN says who you are"
        case errors.HfHubHTTPError():
            problem = f"the Hub answers {error.response.status_code} ({to_one_line(error.server_message or error)})"
        case errors.LocalEntryNotFoundError() | errors.OfflineModeIsEnabled():
            problem = "cannot be fetched from the Hub, which cannot be reached, and is not in the cache"
        case _:
            problem = f"the Hub cannot be reached, or does not answer as it should ({to_one_line(error)})"
    return problem


def _read_fetched_description(folder: Path, text: str) -> ExportedModel:
    try:
        return ExportedModel.model_validate_json(read_bytes(folder / DESCRIPTION_FILE))
    except FileNotFoundError:
        problem = f"holds no model of this package (no {DESCRIPTION_FILE}); `vaegan push` sends one"
    except (OSError, ValueError) as error:
        problem = f"{DESCRIPTION_FILE} is not that of a model of this package ({to_one_line(error)})"
        if read_diffusers_config(folder) is not None:
            problem = "a model of diffusers, and no run; train.init starts a run from it"
    raise UserError(f"{text}: {problem}")


def _check_offered_weights(name: HubName, file: str, description: ExportedModel, text: str) -> None:
    """Check that the file of weights that the Hub offers can be that of a description, before it is fetched.

    Raises:
        UserError: There is none, or it has another size or digest.
        Failure: The Hub cannot be reached.
    """
    from huggingface_hub import HfApi

    try:
        offered = HfApi().get_paths_info(name.repository, file, revision=name.revision)
    except Exception as error:
        raise Failure(describe_hub_error(error)) from None
    if not offered:
        raise UserError(f"{text}: has no {WEIGHTS_FILE}; push the model anew")
    size, lfs = getattr(offered[0], "size", 0), getattr(offered[0], "lfs", None)
    most = MAX_TEXT_FILE_BYTES + BYTES_PER_VALUE * _count_values(description)
    if size > most or (lfs is not None and lfs.sha256 != description.sha256):
        problem = f"{WEIGHTS_FILE}, {size:,} bytes, is not the file that {DESCRIPTION_FILE} describes"
        raise UserError(f"{text}: {problem}; it is not fetched")


def _count_values(description: ExportedModel) -> int:
    """Return the number of values of the weights that a description names, without memory for them.

    Raises:
        UserError: It describes networks that cannot be built.
    """
    if description.networks is not None:  # given as modules, of any size; the digest stands for it
        return 2**40
    with torch.device("meta"):
        weights = build_model(description.model, description.image_shape, 0).state_dict()
    return sum(value.numel() for value in weights.values())
