"""The command group and the entry point of the command line.

Heavy packages are imported inside the commands that need them, so that `vaegan --help` answers at once.
"""

import atexit
import gc
import os
import sys

import click

from vaegan import __version__
from vaegan.distributed import destroy_process_group, get_rank, report_lost_ranks
from vaegan.errors import UserError
from vaegan.text import get_reason

from .ablate import ablate
from .anomaly import anomaly
from .attribute import attribute
from .command_group import CommandGroup
from .compare import compare
from .compression import compress, decompress
from .data import data
from .edit import edit, translate
from .evaluate import evaluate
from .exit_handling import exit_with_one_line
from .explore import explore
from .export import export
from .generate import generate
from .index import index
from .inference import interpolate, reconstruct, sample
from .info import configs, weights
from .inpaint import inpaint
from .inspect import inspect
from .latents import decode, encode
from .push import push
from .streams import open_standard_streams
from .train import train, train_features
from .traverse import traverse
from .uncertainty import uncertainty
from .upscale import upscale

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else torch prints its stack when a process is lost
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # else threads that wait take the cores of other work

COMMANDS_OF_ALL_RANKS = (
    "train", "train-features", "evaluate", "compare", "ablate", "encode", "decode", "generate", "compress",
    "decompress",
)  # fmt: skip
"""Names of the commands that every process of a launch takes part in; rank 0 alone runs the others."""

HELP = """Train autoencoder generators and compare them: AE, VAE, VQ-VAE, two-way and three-way VAE-GAN.

\b
vaegan train digits/vaegan3 --output runs/digits
vaegan evaluate runs/digits
vaegan sample runs/digits -o samples.png
"""


@click.group(
    cls=CommandGroup, invoke_without_command=True, subcommand_metavar="COMMAND [ARGS]...", help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)  # fmt: skip
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """Print the help if no command is given, and end the processes that have no part in the command.

    Raises:
        UserError: The working folder has been deleted.
    """
    if get_rank() != 0 and context.invoked_subcommand not in COMMANDS_OF_ALL_RANKS:
        context.exit()
    if context.invoked_subcommand is None:
        print(context.get_help(), file=sys.stderr)
        sys.exit(2)
    try:
        os.getcwd()
    except OSError as error:  # it would end in the words of whatever library asks for it first
        raise UserError(f"the working folder is gone ({get_reason(error)}); go to another one with cd") from None


cli.add_section("Look at images", data, index)
cli.add_section("Train", train, train_features)
cli.add_section("Evaluate and compare", evaluate, compare, ablate)
cli.add_section("Use a trained model", sample, reconstruct, interpolate, export, push)
cli.add_section("Data for another model", generate, encode, decode)
cli.add_section("Compress images", compress, decompress)
cli.add_section("Look into a model", inspect, traverse, explore)
cli.add_section("Change images", attribute, edit, translate, inpaint, upscale)
cli.add_section("Judge images", anomaly, uncertainty)
cli.add_section("Recipes, settings, weights", configs, weights)


def main() -> None:
    """Run the command line."""
    atexit.register(gc.freeze)  # else the end looks for garbage among all objects of torch, which takes seconds
    open_standard_streams()
    with exit_with_one_line(), report_lost_ranks("start again"):
        cli.main(prog_name="vaegan", standalone_mode=False)
        destroy_process_group()
