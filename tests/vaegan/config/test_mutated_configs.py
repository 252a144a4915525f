"""Configs and settings that are damaged at random are accepted by a dry run or refused in one line, nothing else."""

import copy
import json
import os
import random
import re
import resource
from collections import Counter
from pathlib import Path

import pytest
import yaml

from vaegan.config import Config, dump_config
from vaegan.config.differences import flatten
from vaegan.config.load import validate_config
from vaegan.trainers import step_cost
from vaegan.trainers.step_cost import StepCost

SHORT = {
    "model": {"family": "vaegan", "network": "mlp", "width": 8},
    "data": {"source": "digits", "image_size": 8, "channels": 1},
    "train": {"steps": 3, "batch_size": 8},
}
VAE = {**SHORT, "model": {"family": "vae"}}
CLASSIFIER = {**SHORT, "model": {"family": "classifier", "classes": 10}}
WHOLE = [validate_config(Config, tree, "whole") for tree in (SHORT, VAE, CLASSIFIER)]
TREES = [SHORT, VAE, CLASSIFIER, *(config.model_dump(mode="json") for config in WHOLE)]
MUTATION_COUNTS = (1, 1, 1, 2, 3)
"""Numbers of mutations of one config, to choose from."""

LEGAL = [*flatten(TREES[3]).items(), ("model.classes", 10)]
VALUES = [
    None, True, False, 0, 1, -1, 7, 8, 16, 64, 256, 4096, 65536, 10**8 - 1, 10**9, 2**63 - 1, 10**40, 10**400, 0.5,
    -0.0, 1e-300, 1e308, float("inf"), float("nan"), "", "x", "two", "vaegan", "mlp", "resnet", "folder", "\0",
    "é\u2028", "\ud800", "../../x", "/", [], [1], [[]], ["psnr"], {}, {"x": 1}, {"family": "ae"}, [None], "1e5", "~",
    "null",
]  # fmt: skip
TEXTS = [
    "", " ", "~", "null", "true", "yes", "0", "-1", "8", "4096", "1_0", "0x10", "0o7", "1:30", "1e3", "1e999", "-1e999",
    ".inf", ".nan", "1" + "0" * 400, "1" * 5000, "2020-01-01", "x", "'8'", '"\\ud800"', '"\\x1b[2J"', "[", "]", "{",
    "{}", "[[[[]]]]", "[" * 400, "&a 8", "*a", "<<: {a: 1}", "!!int x", "!!int 0x" + "f" * 4000, "!!float 1", "!!str 8",
    "!!binary aGk=", "!!python/name:os.system", "!!python/object/apply:os.system [x]", "!x 8", "|", ">-", "@", "`", "%",
    "# 8", ": 8", "8 8", "\t8", "\x07", "\x1b[31m", "\x85", "\u2028", "\ufeff", "\uffff", "\ud800", "é", "\U0001f600",
]  # fmt: skip
"""Text behind a colon or an equals sign."""
BYTES = [
    b"\0", b"\t", b"\r", b"\x1b", b"\x7f", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xff\xfe", b"---\n",
    b"...\n", b"%YAML 9.9\n", b"? ", b"- ", b"  ", b"{", b"}", b":", b"#", b"&a ", b"*a ", b"!!set ", b"'", b'"',
]  # fmt: skip


def mutate_tree(rng: random.Random) -> bytes:
    """Return a config of which one to three keys were removed, renamed or set to something odd."""
    tree = copy.deepcopy(rng.choice(TREES))
    for _ in range(rng.choice(MUTATION_COUNTS)):
        section = tree
        while (
            deeper := [value for value in section.values() if isinstance(value, dict) and value]
        ) and rng.random() < 0.7:
            section = rng.choice(deeper)
        if not section:
            continue
        key = rng.choice(list(section))
        match rng.randrange(5):
            case 0:
                del section[key]
            case 1:
                section[rng.choice([key + "s", key[:-1], key.upper(), "", " ", "family", "steps"])] = section.pop(key)
            case _:
                section[key] = rng.choice(VALUES) if rng.random() < 0.7 else rng.choice(LEGAL)[1]
    return yaml.safe_dump(tree).encode()


def mutate_text(rng: random.Random) -> bytes:
    """Return a config of which one to three lines or bytes were repeated, moved, removed, replaced or commented."""
    text = dump_config(rng.choice(WHOLE)).encode()
    for _ in range(rng.choice(MUTATION_COUNTS)):
        lines = text.splitlines(keepends=True)
        at, place = rng.randrange(len(lines)), rng.randrange(len(text))
        match rng.randrange(10):
            case 0:
                lines.insert(rng.randrange(len(lines)), lines[at])
            case 1:
                lines[at] = rng.choice([b" ", b"   ", b"\t", b"- "]) + lines[at]
            case 2:
                lines[at] = lines[at].lstrip()
            case 3 | 4:
                word = rng.choice(TEXTS).encode(errors="surrogatepass")
                lines[at] = lines[at].partition(b":")[0] + b": " + word + b"\n"
            case 5:
                lines = lines[:at]
            case 6:
                lines = [text[:place], rng.choice(BYTES), text[place:]]
            case 7:
                lines = [text[:place], text[place + rng.randint(1, 20) :]]
            case 8:
                lines = [b"\xef\xbb\xbf"[: rng.randint(1, 3)], *lines]
            case 9:
                lines.insert(at, b" " * rng.randrange(4) + b"# " + lines[at])
        text = b"".join(lines) or b" "
    return text.decode(errors="replace").encode("utf-16") if rng.random() < 0.05 else text


def mutate_setting(rng: random.Random) -> str:
    """Return one `key=value` of the command line, as the system passes it."""
    key, value = rng.choice(LEGAL)
    match rng.randrange(8):
        case 0:
            key = rng.choice([key.upper(), key[:-1], f"{key}.x", "", ".", "train..steps", "[0]", "é", "a b", "model"])
        case 1 | 2:
            value = rng.choice(VALUES)
        case 3:
            value = rng.choice(LEGAL)[1]
    words = [json.dumps(value), json.dumps(value), *rng.choices(TEXTS, k=2)]
    setting = f"{key}{rng.choice(['='] * 9 + ['==', ':', ''])}{rng.choice(words)}"
    return os.fsdecode(setting.replace("\0", "").encode(errors="surrogatepass"))


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.long)])
def test_mutated_configs_pass_a_dry_run_or_are_refused_in_one_line(count: int, tmp_path, monkeypatch, vaegan) -> None:
    monkeypatch.chdir(tmp_path)
    Path("whole.yaml").write_text(dump_config(WHOLE[0]))
    rng, answers = random.Random(count), Counter()
    assert vaegan("train", "whole.yaml", "--dry-run")[0] == 0  # and everything is imported
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(count):
        how, name, settings = ("tree", "text", "settings")[number % 3], "mutated.yaml", []
        match how:
            case "tree":
                Path(name).write_bytes(mutate_tree(rng))
            case "text":
                Path(name).write_bytes(mutate_text(rng))
            case _:
                name, settings = "whole.yaml", [mutate_setting(rng) for _ in range(rng.choice(MUTATION_COUNTS))]
        with monkeypatch.context() as patch:
            if number % 20 >= 3:  # the cost of a step takes half a second to count
                patch.setattr(step_cost, "measure_step", lambda *_: StepCost(0, 0, None))
            code, out, err = vaegan("train", name, *settings, "--dry-run")
        assert "not known" not in out, out
        given = f"{settings} {Path(name).read_bytes()!r}"
        if code == 0:
            assert err == "" and "nothing was trained" in out, given
        else:
            assert code == 2 and out == "" and re.fullmatch(r"vaegan: [^\n]{10,700}\n", err), f"{code} {err} {given}"
            assert err[:-1].isprintable(), given
        answers[how, code] += 1
    assert len(answers) == 6 and min(answers.values()) > count // 100, answers
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18, "KiB: weights were allocated"


def test_a_dry_run_of_the_largest_networks_allocates_no_weights(tmp_path, monkeypatch, vaegan) -> None:
    monkeypatch.chdir(tmp_path)
    Path("whole.yaml").write_text(dump_config(WHOLE[0]))
    assert vaegan("train", "whole.yaml", "--dry-run")[0] == 0  # and everything is imported
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    parts = [f"{part}.{key}" for part in ("model", "model.discriminator") for key in ("width=4096", "depth=16")]
    for network in ("mlp", "conv", "resnet"):
        networks = [f"model.network={network}", f"model.discriminator.network={network}"]
        words = ["model.latent_size=65536", "data.image_size=256", "train.batch_size=1000000000", *parts, *networks]
        with monkeypatch.context() as patch:
            if network == "resnet":  # many layers take ten seconds to count
                patch.setattr(step_cost, "measure_step", lambda *_: StepCost(0, 0, None))
            code, out, err = vaegan("train", "whole.yaml", *words, "--dry-run")
        assert "not known" not in out
        assert (code, err) == (0, "") and int(re.search(r"all +([\d,]+)", out)[1].replace(",", "")) > 10**9
    for codebook in ("ema", "gradient"):
        words = ["model.codes=65536", "model.code_size=4096", f"model.codebook={codebook}"]
        assert vaegan("train", "digits/vqvae", *words, "--dry-run")[0] == 0
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**18
