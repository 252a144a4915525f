"""The commands that list recipes, settings and files of weights: `configs` and `weights`."""

import click

from vaegan.errors import Failure, UserError

from .completion import complete_words
from .console import Console

NETWORKS = ("alex", "vgg", "squeeze", "inception")
"""Names of the files of weights; written out, since their module imports torch."""


@click.command(short_help="List the shipped recipes or every setting.")
@click.option("--schema", is_flag=True, help="Print every setting with its type, default and meaning.")
def configs(schema: bool) -> None:
    """List the shipped recipes, or with --schema every setting."""
    from vaegan.config.describe_schema import format_schema
    from vaegan.config.recipes import describe_recipes

    if schema:
        print(format_schema())
        return
    recipes = describe_recipes()
    for name, description in recipes.items():
        print(f"{name:{max(map(len, recipes))}}  {description}")


@click.command(short_help="List or fetch the trained weights that metrics use.")
@click.argument("networks", metavar=f"[{'|'.join(NETWORKS)}]...", nargs=-1, shell_complete=complete_words(*NETWORKS))
@click.option("--fetch", is_flag=True, help="Download those that are missing or damaged.")
def weights(networks: tuple[str, ...], fetch: bool) -> None:
    """List the files of trained weights that metrics can use: of the named networks, or of all."""
    from vaegan.pretrained import WEIGHT_FILES

    unknown = [name for name in networks if name not in WEIGHT_FILES]
    if unknown:
        raise UserError(f"{unknown[0]}: no network of a metric; there are {', '.join(WEIGHT_FILES)}")
    console, failures = Console(), []
    for name in networks or WEIGHT_FILES:
        file = WEIGHT_FILES[name]
        if fetch and (not file.exists or file.damaged):
            try:
                file.fetch()
            except Failure as failure:
                failures.append(str(failure))
        state = "missing" if not file.exists else "damaged" if file.damaged else "there"
        console.say(f"{name}: for {file.use}; {file.size / 2**20:,.1f} MiB; {state}")
        console.say(f"  file    {file.path}\n  SHA-256 {file.sha256}\n  from    {file.url}")
    if failures:
        raise Failure("; ".join(failures))
