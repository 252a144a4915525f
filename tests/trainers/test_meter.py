"""The meter: means and counts over steps and ranks, and that a resume goes on with them exactly."""

import json

import pytest
import torch

from vaegan.trainers.accelerator import make_accelerator
from vaegan.trainers.meter import Meter
from vaegan.trainers.steps.base import StepOutput

from ..tiny import tiny


def test_a_meter_goes_on_exactly_where_it_was() -> None:
    accelerator = make_accelerator(tiny("vae").train)

    def reports(start: int, stop: int, meter: Meter) -> Meter:
        for step in range(start, stop):
            scalars = {"loss": torch.tensor(0.1 * step)} | ({"lazy": torch.tensor(1.0 + step)} if step % 2 else {})
            meter.add(StepOutput(scalars, {"counts": torch.tensor([step, 1])}), 0.5)
            meter.add(StepOutput({"loss": torch.tensor(0.3 * step)}, {"counts": torch.tensor([0, 1])}), 0.5)
        return meter

    whole = reports(0, 7, Meter()).reduce(accelerator)
    resumed = Meter()
    resumed.load_state_dict(
        json.loads(json.dumps(reports(0, 3, Meter()).reduce(accelerator).state_dict())), accelerator
    )
    assert reports(3, 7, resumed).reduce(accelerator).compute() == whole.compute()
    assert whole.compute()["loss"] == pytest.approx(0.2 * 3)
    assert whole.compute()["counts"] == [21.0, 14.0]
    assert Meter().reduce(accelerator).compute() == {}
