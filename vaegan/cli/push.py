"""The command `vaegan push`, which sends a trained model to the Hugging Face Hub."""

import re
from pathlib import Path

import click

from vaegan.errors import UserError
from vaegan.text import shorten
from vaegan.workflows.card_options import make_card_options

from .console import Console
from .options import FOLDER, LICENSE_OPTION


def _check_revision(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return the name of a branch or a tag, checked."""
    if value is not None and not re.fullmatch(r"\w[\w./-]*", value):
        raise UserError(f"--{option.name} {shorten(value)}: no name of a branch or a tag; give one such as v1")
    return value


@click.command(short_help="Send the model of a run to the Hugging Face Hub.")
@click.argument("run", type=FOLDER)
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Let nobody else see it; an existing repository must be private.")
@click.option("--revision", metavar="BRANCH", callback=_check_revision, help="Branch to write.  [default: main]")
@click.option(
    "--tag", metavar="NAME", callback=_check_revision, help="Tag of the commit, which later ones leave as it is."
)
@LICENSE_OPTION
@click.option("--dry-run", is_flag=True, help="List the files that would be sent; send nothing.")
def push(
    run: Path, repository: str, private: bool, revision: str | None, tag: str | None, license_name: str | None,
    dry_run: bool,
) -> None:  # fmt: skip
    """Send the averaged model of RUN to the repository OWNER/NAME of the Hugging Face Hub, which is made if need be.

    Weights, their description and the model's card are sent: no discriminator, no optimizer, no images and no names of
    images. `vaegan.load("hf://OWNER/NAME")` loads the model. `hf auth login` or HF_TOKEN says who you are.
    """
    from vaegan.exports.publishing import Destination, parse_repository, push_model
    from vaegan.storage.loading import load
    from vaegan.workflows.runs import load_run_model

    console = Console()
    destination = Destination(parse_repository(repository).repository, private, revision, tag)
    card = make_card_options(license_name, console)
    model = load_run_model(run, load, console)
    sizes, commit = push_model(run, model, destination, card, dry_run)
    for name, size in sizes.items():
        console.say(f"{name}: {size:,} bytes")
    if commit is None:
        console.say(f"{destination.repository}: nothing was sent")
    else:
        console.say(f'{destination.repository}: commit {commit}; vaegan.load("{destination.place}") loads it')
