"""Collective calls in a process that is alone, errors on all ranks, and the batches of each rank."""

from types import SimpleNamespace

import pytest
import torch

from vaegan import distributed
from vaegan.distributed import (
    all_gather_object,
    any_rank,
    broadcast_from_main,
    deal_batches,
    describe_error,
    gather_to_main,
    get_group_rank_and_size,
    get_rank,
    get_world_size,
    report_lost_ranks,
    run_on_all_ranks,
    run_on_main,
)
from vaegan.errors import Failure, FileFailure, UserError


def test_a_process_alone_is_the_main_one() -> None:
    assert (get_rank(), get_world_size(), get_group_rank_and_size()) == (0, 1, (0, 1))
    assert all_gather_object("a") == gather_to_main("a") == ["a"]
    assert run_on_all_ranks(lambda: 3) == run_on_main(lambda: 3) == broadcast_from_main(lambda: 3) == 3
    for flag in (False, True):
        assert any_rank(flag) is flag


@pytest.mark.parametrize(("rank", "size"), [("RANK", "WORLD_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")])
def test_the_rank_is_that_of_the_launcher(rank: str, size: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(rank, "2")
    monkeypatch.setenv(size, "4")
    assert (get_rank(), get_world_size()) == (2, 4)


@pytest.mark.parametrize(
    ("error", "expected", "message"),
    [
        (UserError("key: wrong"), UserError, "key: wrong"),
        (Failure("loss not finite"), Failure, "loss not finite"),
        (FileFailure("x: full"), FileFailure, "x: full"),
        (PermissionError(13, "Permission denied", "runs"), FileFailure, "runs: Permission denied"),
    ],
)
def test_errors_of_ours_are_raised_on_all_ranks(error: Exception, expected: type[Exception], message: str) -> None:
    def work() -> None:
        raise error

    for run in (run_on_all_ranks, run_on_main, broadcast_from_main):
        with pytest.raises(expected) as caught:
            run(work)
        assert type(caught.value) is expected and str(caught.value) == message
        assert caught.value.on_all_ranks  # type: ignore[attr-defined]
    assert describe_error(error) == message


def test_another_error_is_raised_unchanged() -> None:
    error = KeyError("a bug")

    def work() -> None:
        raise error

    with pytest.raises(KeyError) as caught:
        run_on_all_ranks(work)
    assert caught.value is error


def test_a_lost_connection_is_one_line_where_there_are_other_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    def lose() -> None:
        with report_lost_ranks("start again"):
            raise RuntimeError("[gloo] Connection closed by peer")

    with pytest.raises(RuntimeError, match="gloo"):
        lose()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(Failure, match=r"^another process of this launch has ended; start again$"):
        lose()
    with pytest.raises(RuntimeError, match=r"^a bug$"), report_lost_ranks("start again"):
        raise RuntimeError("a bug")


@pytest.mark.parametrize(("count", "size", "batch_size"), [(0, 2, 3), (1, 3, 4), (12, 2, 3), (13, 2, 3), (25, 4, 3)])
def test_batches_are_dealt_once_in_rounds_of_all_ranks(
    count: int, size: int, batch_size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rounds = []
    for rank in range(size):
        monkeypatch.setattr(distributed, "get_group_rank_and_size", lambda rank=rank: (rank, size))
        rounds.append(list(deal_batches(count, batch_size)))
    assert len({len(dealt) for dealt in rounds}) == 1, "every rank has as many rounds"
    indices = [index for one in zip(*rounds, strict=True) for batch, _ in one for index in batch]
    assert indices == list(range(count)) and all(len(batch) <= batch_size for dealt in rounds for batch, _ in dealt)
    for dealt in rounds:
        assert [done for _, done in dealt] == [min(count, size * batch_size * (n + 1)) for n in range(len(dealt))]


@pytest.mark.parametrize(("gpus", "refused"), [(0, False), (1, False), (2, True), (3, False)])
def test_more_processes_than_gpus_are_refused_unless_each_may_see_its_own(gpus, refused, monkeypatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "3")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    alone = SimpleNamespace(num_processes=1, device=torch.device("cpu"))
    monkeypatch.setattr("accelerate.PartialState", lambda **options: alone)
    with pytest.raises(UserError, match="3 processes on a machine of 2 GPUs" if refused else "but Accelerate joins 1"):
        distributed.init_process_group()


def test_two_processes_on_one_gpu_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="two processes of a machine have the same GPU"), report_lost_ranks("?"):
        raise torch.distributed.DistBackendError("NCCL error: Duplicate GPU detected : rank 1 and rank 0 both on 1b000")
