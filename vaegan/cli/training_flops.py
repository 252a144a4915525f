"""The floating-point operations of trainings, counted beforehand, and the steps that make them equal."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vaegan.config import Config
from vaegan.errors import UserError
from vaegan.text import to_one_line
from vaegan.trainers.step_cost import StepCost, measure_step


@dataclass
class FlopCounter:
    """Count the floating-point operations of trainings, by those of a step, which are counted once."""

    costs: dict[str, StepCost] = field(default_factory=dict)
    """Cost of a step by what it depends on."""
    problem: str = ""
    """Reason why operations cannot be counted here; empty: none has been met."""

    def count(self, config: Config) -> int | None:
        """Return the operations of a training without its evaluations; None: they cannot be counted here."""
        key = config.train.model_copy(update={"steps": 1}).model_dump_json() + config.model_dump_json(
            include={"model", "data"}
        )
        if self.problem:
            return None
        if key not in self.costs:
            try:
                self.costs[key] = measure_step(config)
            except Exception as error:  # what it is counted with is new in every version of torch
                self.problem = to_one_line(error)
                return None
        cost, steps, loss = self.costs[key], config.train.steps, getattr(config.model, "adversarial", None)
        if cost.penalty_flops is None or loss is None:
            return steps * cost.flops
        penalties: int = -(-steps // loss.penalty_every)  # the first step has one
        return penalties * cost.penalty_flops + (steps - penalties) * cost.flops


def match_flops(configs: Mapping[str, Config]) -> dict[str, Config]:
    """Return the configs with as many steps as take the operations of the first that is trained.

    A step counts with its share of gradient penalties. Evaluations and grids of samples are not counted; of a prior
    over codes its own training is, with the encoder that gives it the codes, but not the training of its autoencoder.

    Args:
        configs: Config of each variant of a study.

    Raises:
        UserError: Operations cannot be counted here.
    """
    counter, trained = FlopCounter(), {name: config for name, config in configs.items() if config.train.steps}
    counts = {name: counter.count(config) for name, config in trained.items()}
    budget, matched = next(iter(counts.values()), None), dict(configs)
    for name, flops in counts.items():
        if budget is None or flops is None:
            raise UserError(f"matched: flops: cannot be counted here ({counter.problem}); match images_seen instead")
        train = trained[name].train
        steps = max(1, round(train.steps * budget / flops))
        matched[name] = trained[name].model_copy(update={"train": train.model_copy(update={"steps": steps})})
    return matched
