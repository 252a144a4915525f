"""Configs that were damaged at random are planned or refused, never anything else."""

import copy
import random

import yaml

from vaegan.config import Config, load_config
from vaegan.config.reading import check
from vaegan.errors import Mistake
from vaegan.trainers.plan import plan

SHORT = {
    "model": {"family": "vaegan", "network": "mlp", "width": 8},
    "data": {"source": "digits", "image_size": 8, "channels": 1},
    "train": {"steps": 3, "batch_size": 8},
}
VALUES = [
    None, True, False, 0, 1, -1, 7, 8, 10**9, 10**40, 0.5, -0.0, 1e-300, float("inf"), float("nan"), "", "x", "two",
    "vaegan", "mlp", "folder", "\0", "é\u2028", [], [1], [[]], ["psnr"], {}, {"x": 1}, {"family": "ae"}, [None], "1e5",
    "~", "null",
]  # fmt: skip


def mutated(tree: dict, chance: random.Random) -> dict:
    """A config with one to three keys lost, renamed, doubled elsewhere or set to something odd."""
    tree = copy.deepcopy(tree)
    for _ in range(chance.randint(1, 3)):
        section = tree
        while (
            deeper := [value for value in section.values() if isinstance(value, dict) and value]
        ) and chance.random() < 0.7:
            section = chance.choice(deeper)
        if not section:
            continue
        key = chance.choice(list(section))
        match chance.randrange(5):
            case 0:
                del section[key]
            case 1:
                section[chance.choice([key + "s", key[:-1], key.upper(), "", " ", "family", "steps"])] = section.pop(
                    key
                )
            case _:
                section[key] = chance.choice(VALUES)
    return tree


def test_mutated_configs_are_planned_or_refused_in_one_line(tmp_path):
    chance, file = random.Random(2), tmp_path / "mutated.yaml"
    vae = {**SHORT, "model": {"family": "vae"}}
    whole = [check(Config, tree, "whole").model_dump(mode="json") for tree in (vae, SHORT)]
    counts = {"planned": 0, "refused": 0}
    for _ in range(300):
        file.write_text(yaml.safe_dump(mutated(chance.choice([*whole, vae, SHORT]), chance)), encoding="utf-8")
        try:
            assert plan(load_config(file)).parameters
            counts["planned"] += 1
        except Mistake as mistake:
            lines = str(mistake).splitlines()
            counts["refused"] += len(lines) == 1
    assert sum(counts.values()) == 300 and min(counts.values()) > 20, counts
