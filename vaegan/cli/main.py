"""The command group and the entry point of the command line.

Heavy packages are imported inside the commands that need them, so that `vaegan --help` answers at once.
"""

import os

import click

from vaegan import __version__
from vaegan.distributed import destroy_process_group, get_rank, report_lost_ranks

from .compare import compare
from .evaluate import evaluate
from .exit_handling import CommandGroup, exit_with_one_line
from .inference import interpolate, reconstruct, sample
from .info import configs, weights
from .train import train, train_features

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # else torch prints its stack when a process is lost

COMMANDS_OF_ALL_RANKS = ("train", "train-features", "evaluate", "compare")
"""Names of the commands that every process of a launch takes part in; rank 0 alone runs the others."""


@click.group(cls=CommandGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
@click.pass_context
def cli(context: click.Context) -> None:
    """Train autoencoder generators (AE, VAE, VQ-VAE, two-way and three-way VAE-GAN), evaluate and compare them."""
    if get_rank() != 0 and context.invoked_subcommand not in COMMANDS_OF_ALL_RANKS:
        context.exit()


for command in (train, train_features, evaluate, compare, sample, reconstruct, interpolate, configs, weights):
    cli.add_command(command)


def main() -> None:
    """Run the command line."""
    with exit_with_one_line(), report_lost_ranks("start again"):
        cli.main(prog_name="vaegan", standalone_mode=False)
        destroy_process_group()
