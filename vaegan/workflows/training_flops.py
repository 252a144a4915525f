"""The floating-point operations of trainings, counted beforehand, and the steps that make them equal."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from vaegan.config import Config
from vaegan.errors import UserError
from vaegan.evaluate.comparing.matching import match_steps
from vaegan.text import to_one_line
from vaegan.trainers.step_cost import StepCost, measure_step


@dataclass
class FlopCounter:
    """Count the floating-point operations of trainings from those of a step, which are counted once."""

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
            except Exception as error:  # the parts of torch that count change with every version
                self.problem = to_one_line(error)
                return None
        cost, steps, loss = self.costs[key], config.train.steps, getattr(config.model, "adversarial", None)
        if cost.penalty_flops is None or loss is None:
            return steps * cost.flops
        penalties: int = -(-steps // loss.penalty_every)  # the first step has one
        return penalties * cost.penalty_flops + (steps - penalties) * cost.flops


def match_flops(configs: Mapping[str, Config]) -> dict[str, Config]:
    """Return the configs, each with so many steps that it takes the operations of the first one that is trained.

    A step counts with its share of gradient penalties. Evaluations and grids of samples are not counted. For a prior
    over codes its own training is counted, with the encoder that gives it the codes, but not the training of its
    autoencoder.

    Args:
        configs: Config of each variant of a study.

    Raises:
        UserError: Operations cannot be counted here.
    """
    counter, costs = FlopCounter(), {}
    for name, config in configs.items():
        if config.train.steps:
            flops = counter.count(config)
            if flops is None:
                problem = f"cannot be counted here ({counter.problem})"
                raise UserError(f"matched: flops: {problem}; match images_seen instead")
            costs[name] = flops / config.train.steps
    return match_steps(configs, costs)
