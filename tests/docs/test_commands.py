"""Every printed command exists as it is printed: its options, its arguments, its recipe and its settings."""

import re
import shlex
from itertools import pairwise
from pathlib import Path

import click
import pytest
from accelerate.commands.config.config_args import load_config_from_file

from vaegan.cli.main import cli
from vaegan.config import list_recipes
from vaegan.config.load import load_config
from vaegan.config.load_ablation import load_ablation
from vaegan.config.load_study_files import load_study
from vaegan.errors import UserError
from vaegan.evaluate.screening import check_metric
from vaegan.storage.run_folder import Run

from .pages import PAGES, ROOT, read_blocks

INLINE = re.compile(r"`vaegan ([^`]+)`")
PLACEHOLDERS = ("...", "COMMAND")
"""Parts of commands that are not meant to be typed."""
PYTHON_OUTPUT = re.compile(r'output="([^"]+)"(?!, resume=True)')
"""What a call writes, if it does not go on with what is there."""


def read_commands(page: Path) -> list[str]:
    """Return the commands of the page's shell blocks, each in one line and without comments."""
    blocks = "\n".join(block.code for block in read_blocks(page, "sh")).replace("\\\n", " ")
    return [line for line in blocks.splitlines() if line.strip() and not line.startswith("#")]


def parse(arguments: list[str], whole: bool = True) -> click.Context:
    """Parse the arguments of `vaegan` as the command line does, without running the command; fail where they are wrong.

    Args:
        arguments: Name of the command and its arguments.
        whole: Whether required arguments must be there.
    """
    group = cli.make_context("vaegan", list(arguments), resilient_parsing=True)
    if arguments[0].startswith("-"):  # an option of `vaegan` itself
        return group
    name, command, rest = cli.resolve_command(group, list(arguments))
    assert command is not None and name is not None
    return command.make_context(name, rest, parent=group, resilient_parsing=not whole)


def check_command(command: str) -> None:
    """Check one line of a shell block, in a folder with the files that it names."""
    words = shlex.split(command)
    for word in words:
        if word.startswith(("configs/", "benchmarks/")):
            assert (ROOT / word).exists(), word
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE), command
    for extra in re.findall(r"\[([\w,]+)\]", command) if "pip" in words[0] else ():
        assert all(f'"{name}": ' in (ROOT / "setup.py").read_text() for name in extra.split(",")), command
    started = re.search(r"(?:^| -m )vaegan (.*)", command)
    if started is None:
        return
    context = parse(shlex.split(started[1]))
    settings = context.params.get("overrides", ())
    match context.info_name:
        case "train":
            load_config(context.params["config"], settings)
        case "compare":
            load_study(context.params["study"], settings)
        case "ablate":
            load_ablation(context.params["ablation"], settings)
        case "train-features":
            assert f"{context.params['data']}/features" in list_recipes(), command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make the files that commands of all pages name, in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks")
    names = {"vqvae": "cifar10/vqvae", "ae": "cifar10/ae", "features": "cifar10/features", "digits": "digits/vaegan3"}
    for name, recipe in names.items():
        Run(tmp_path / "runs" / name).write_config(load_config(recipe))
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_printed_commands_are_real(page: Path, folder: Path) -> None:
    for block in read_blocks(page, "yaml"):
        if block.code.startswith("title:"):
            name = "my-ablation.yaml" if "\nchanges:" in block.code else "my-study.yaml"
            (folder / name).write_text(block.code, encoding="utf-8")
            if name == "my-ablation.yaml":
                loaded = load_ablation(folder / name)
                check_metric(loaded, loaded.load_phase("screen", loaded.select_all()))
    for command in read_commands(page):
        check_command(command)
    for inline in INLINE.findall(page.read_text(encoding="utf-8")):
        if not any(word in inline for word in PLACEHOLDERS):
            parse(shlex.split(inline), whole=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_writes_elsewhere_than_its_commands(page: Path) -> None:
    """A reader who tries both is not told that a folder holds another run."""
    words = [word for command in read_commands(page) if "vaegan " in command for word in [*shlex.split(command), ""]]
    ours = {value.rstrip("/") for option, value in pairwise(words) if option in ("-o", "--output")}
    python = "".join(block.code for block in read_blocks(page, "python"))
    assert not ours & {value.rstrip("/") for value in PYTHON_OUTPUT.findall(python)}


def test_the_config_files_of_accelerate_are_read_by_it(tmp_path: Path) -> None:
    blocks = [block.code for page in PAGES for block in read_blocks(page, "yaml")]
    (code,) = [code for code in blocks if code.startswith("compute_environment:")]
    (tmp_path / "config.yaml").write_text(code)
    config = load_config_from_file(str(tmp_path / "config.yaml"))
    assert (config.num_machines, config.num_processes, config.distributed_type) == (2, 16, "MULTI_GPU")


def test_the_pages_print_commands() -> None:
    """The readers of pages find what they are to check."""
    commands = [command for page in PAGES for command in read_commands(page)]
    assert len(commands) > 40 and sum("vaegan train" in command for command in commands) > 15
    assert any("-m vaegan train" in command and "--main_process_port" in command for command in commands)


@pytest.mark.parametrize(
    "command",
    [
        "vaegan trian digits/vae", "vaegan train digits/vea", "vaegan train digits/vae train.step=3",
        "vaegan sample runs/a --number=x", "vaegan evaluate runs/a --metric psnr", "vaegan reconstruct runs/a",
        "torchrun -m vaegan train digits/vae --oops", "make tea", "pip install 'vaegan[tea]'",
        "wandb sweep configs/sweeps/tea.yaml", "vaegan compare quickstart sedes=[0]",
        "vaegan ablate ablations/digits kep=1", "vaegan train-features tea",
    ],
)  # fmt: skip
def test_a_wrong_command_is_found(command: str) -> None:
    with pytest.raises((click.ClickException, UserError, AssertionError)):
        check_command(command)
