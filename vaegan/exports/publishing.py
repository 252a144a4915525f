"""The publication of a model on the Hugging Face Hub: what is sent, and the sending."""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from vaegan.errors import Failure, UserError
from vaegan.extras import check_packages
from vaegan.models import Autoencoder
from vaegan.paths import HUB_PREFIX
from vaegan.storage.hub import HubName, describe_hub_error, parse_hub_name, progress_bars
from vaegan.storage.loading import get_model_folder
from vaegan.storage.run_folder import DESCRIPTION_FILE, WEIGHTS_FILE, ExportedModel, read_description
from vaegan.text import encode_text, shorten

from .card import CARD_FILE, CardOptions, write_card
from .facts import hide_paths
from .usage import write_usage_of_vaegan

MAIN_BRANCH = "main"
"""Name of the branch that a repository begins with."""


@dataclass(frozen=True)
class Destination:
    """A place on the Hub that a model is sent to."""

    repository: str
    """``owner/name``."""
    private: bool = False
    """True if nobody else may see the repository; False: as it is, or as the account's new ones are."""
    revision: str | None = None
    """Branch; None: the main one."""
    tag: str | None = None
    """Tag of the commit; None: it has none."""

    @property
    def place(self) -> str:
        """Name by which `vaegan.load` finds the model, of the tag where it has one."""
        pinned = self.tag or self.revision
        return f"{HUB_PREFIX}{self.repository}" + (f"@{pinned}" if pinned else "")


def parse_repository(text: str) -> HubName:
    """Return the repository that a model is to be sent to, ``owner/name`` with `HUB_PREFIX` or without.

    Raises:
        UserError: It is no such name.
    """
    try:
        name = parse_hub_name(text)
    except UserError:
        name = None
    if name is None or name.folder or name.revision:
        raise UserError(f"{shorten(text)}: no repository of the Hub; give owner/name, and a branch by --revision")
    return name


def push_model(
    path: Path, model: Autoencoder, destination: Destination, options: CardOptions, dry_run: bool = False
) -> tuple[dict[str, int], str | None]:
    """Send the model of a run to the Hub, and return the bytes of each file and the commit.

    Args:
        path: The run's folder, or the folder of an exported model.
        model: Its model.
        destination: The place.
        options: What the card needs beside the run's folder.
        dry_run: Whether nothing is sent; the commit is then None.

    Raises:
        UserError: huggingface_hub is not installed, the run's files are damaged, or an existing repository is not
            private although it is to be, or has the tag.
        Failure: The Hub cannot be reached, or refuses.
    """
    with TemporaryDirectory() as folder:
        files = write_model_files(path, model, Path(folder), destination, options)
        commit = None if dry_run else push_files(files, destination)
        return {file.name: file.stat().st_size for file in files}, commit


def write_model_files(
    path: Path, model: Autoencoder, folder: Path, destination: Destination, options: CardOptions
) -> list[Path]:
    """Write what is sent of a run: weights, description and card; return the files.

    Nothing else of the run is among them: no optimizer, no discriminator, no image, no list of images.

    Args:
        path: The run's folder, or the folder of an exported model.
        model: Its model.
        folder: An empty folder.
        destination: The place that the card names.
        options: What the card needs beside the run's folder.

    Raises:
        UserError: The run's files are damaged.
        OSError: A file cannot be written.
    """
    source, description = get_model_folder(path), read_description(get_model_folder(path))
    shutil.copyfile(source / WEIGHTS_FILE, folder / WEIGHTS_FILE)
    public = hide_paths(description.model_dump(mode="json", exclude={"classes"}))
    public["classes"] = description.classes  # names may look like paths
    ExportedModel.model_validate_json(json.dumps(public))
    (folder / DESCRIPTION_FILE).write_bytes(encode_text(json.dumps(public, indent=1)))
    usage = write_usage_of_vaegan(destination.place, model)
    named = replace(options, name=HubName(destination.repository).name)
    (folder / CARD_FILE).write_bytes(encode_text(write_card(path, model, usage, named)))
    return [folder / name for name in (CARD_FILE, DESCRIPTION_FILE, WEIGHTS_FILE)]


def push_files(files: Sequence[Path], destination: Destination) -> str:
    """Send files into a repository on the Hub in one commit, and return the commit.

    Args:
        files: The files.
        destination: The place; the repository and the branch are made if they do not exist.

    Raises:
        UserError: huggingface_hub is not installed, or an existing repository is not private although it is to be, or
            has the tag.
        Failure: The Hub cannot be reached, or refuses.
    """
    check_packages(["huggingface_hub"])
    from huggingface_hub import CommitOperationAdd, HfApi

    api, repository, branch = HfApi(), destination.repository, destination.revision or MAIN_BRANCH
    try:
        with progress_bars(shown=sys.stderr.isatty()):
            api.create_repo(repository, private=destination.private or None, exist_ok=True)
            if destination.private and not api.model_info(repository).private:
                remedy = "make it private on the Hub, choose another name, or leave --private out"
                raise UserError(f"--private: {repository} exists, and is public; {remedy}")
            tags = [] if destination.tag is None else api.list_repo_refs(repository).tags
            if destination.tag in [tag.name for tag in tags]:
                remedy = "choose another, or delete it on the Hub"
                raise UserError(f"--tag {destination.tag}: {repository} has this tag already; {remedy}")
            if branch != MAIN_BRANCH:
                api.create_branch(repository, branch=branch, exist_ok=True)
            operations = [CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file) for file in files]
            commit = api.create_commit(repository, operations, commit_message="Model of vaegan", revision=branch)
            if destination.tag is not None:
                api.create_tag(repository, tag=destination.tag, revision=commit.oid)
    except UserError:
        raise
    except Exception as error:  # of a library of its own for every layer of the network
        raise Failure(f"{repository}: {describe_hub_error(error)}") from None
    return commit.oid
