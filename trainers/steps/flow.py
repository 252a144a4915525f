"""The training step of a prior over the codes of an autoencoder: flow matching (Lipman et al. 2023)."""

import math

import torch

from vaegan.code_scale import measure_code_moments
from vaegan.config.models import FlowConfig
from vaegan.data import Data
from vaegan.errors import UserError
from vaegan.losses.flow_matching import flow_matching_error
from vaegan.models import Flow

from .base import Backward, Networks, StepInput, StepOutput, Term, log_terms, sum_terms
from .prior import PriorStep


class FlowStep(PriorStep[FlowConfig]):
    """Minimise (v((1 - t) e + t z, t) - (z - e))^2 over codes z, noise e and uniform times t, a mean over a code."""

    def get_noise_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the noise of the posterior samples, of the source of the paths, and of the times."""
        assert self.model_config.autoencoder is not None
        size = math.prod(self.model_config.autoencoder.get_code_shape(self.config.data.image_shape))
        return {"posterior": (size,), "source": (size,), "time": ()}

    def init_from_data(self, networks: Networks, data: Data) -> None:
        """Load the autoencoder's weights, and measure the mean and deviation that standardise its codes."""
        super().init_from_data(networks, data)
        flow = networks[self.model_name]
        assert isinstance(flow, Flow)
        try:
            moments = measure_code_moments(flow.autoencoder, data.train, self.config.seed)
        except UserError as error:
            assert self.config.prior is not None
            problem = f"prior.autoencoder: {self.config.prior.autoencoder}: {error}"
            raise UserError(problem, on_all_ranks=True) from None
        for buffer, values in zip((flow.mean, flow.scale), moments, strict=True):
            buffer.copy_(values.view(buffer.shape))

    def accumulate_gradients(self, networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
        """Encode the images, and predict the velocity at a point of each code's path."""
        noise, time = batch.noise, torch.special.ndtr(batch.noise["time"])  # normal to uniform
        out = networks[self.model_name](
            batch.images, noise["posterior"], noise["source"], time, batch.autocast_dtype, batch.labels
        )

        terms = {"velocity": Term(flow_matching_error(out.predicted, out.velocity).mean())}
        backward(sum_terms(terms))
        return StepOutput(log_terms(terms))
