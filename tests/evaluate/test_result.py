"""The two files of a run that hold the result of its evaluation."""

import math
import resource
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from vaegan.config.models import VAEConfig
from vaegan.config.schema import EvaluateConfig
from vaegan.evaluate.model_evaluation import evaluate_model
from vaegan.evaluate.result import EvaluationResult, read_result, write_result
from vaegan.models import build_model
from vaegan.storage.run_folder import Run

from .distortions import to_split


def make_run_with_result(folder: Path) -> Run:
    folder.mkdir(exist_ok=True)
    run = Run(folder)
    write_result(EvaluationResult({"elbo": 1.0}, {}, scores={"elbo": torch.tensor([1.0], dtype=torch.float64)}), run)
    return run


def test_what_is_written_is_read_back_and_replaces_the_old_files(tmp_path: Path, digits: Tensor) -> None:
    run = make_run_with_result(tmp_path)
    model = build_model(VAEConfig(width=8, latent_size=6), (1, 8, 8), 0)
    result = evaluate_model(model, to_split(digits[:8]), EvaluateConfig(), seed=0, notify=lambda _: None)
    write_result(result, run)
    loaded = read_result(run)
    assert replace(loaded, scores={}) == replace(result, scores={})
    assert loaded.scores.keys() == result.scores.keys()
    assert all(torch.equal(loaded.scores[name], values) for name, values in result.scores.items())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["metrics.json", "scores.safetensors"]


def test_a_number_that_json_has_not_leaves_the_old_files(tmp_path: Path) -> None:
    run = make_run_with_result(tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        write_result(EvaluationResult({"elbo": math.inf}, {}), run)
    assert read_result(run).metrics == {"elbo": 1.0}


def test_metrics_of_another_evaluation_are_not_read(tmp_path: Path) -> None:
    run, other = make_run_with_result(tmp_path / "one"), make_run_with_result(tmp_path / "other")
    write_result(EvaluationResult({}, {}, scores={"psnr": torch.ones(3, dtype=torch.float64)}), other)
    other.scores_file.replace(run.scores_file)
    with pytest.raises(ValueError, match=r"scores\.safetensors does not match its checksum"):
        read_result(run)


@pytest.mark.parametrize("values", [torch.ones(3), torch.tensor([math.nan], dtype=torch.float64)])
def test_scores_that_are_no_numbers_are_not_read(tmp_path: Path, values: Tensor) -> None:
    write_result(EvaluationResult({}, {}, scores={"psnr": values}), Run(tmp_path))
    with pytest.raises(ValueError, match="not finite numbers of double precision"):
        read_result(Run(tmp_path))


def test_a_full_disk_leaves_the_old_files_and_is_told_of_with_its_name(tmp_path: Path) -> None:
    run = make_run_with_result(tmp_path)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, most))
    try:
        with pytest.raises(OSError, match="File too large") as error:
            write_result(EvaluationResult({"elbo": 1.0}, {"a": "b" * 300}, scores=read_result(run).scores), run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert error.value.filename == str(run.metrics_file)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["metrics.json", "scores.safetensors"]
    assert read_result(run).metrics == {"elbo": 1.0}
