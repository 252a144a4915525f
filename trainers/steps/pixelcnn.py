"""The training step of a PixelCNN over the codes of a VQ-VAE: maximum likelihood."""

import torch.nn.functional as F

from vaegan.config.codebooks import PixelCNNConfig

from .base import Backward, Networks, StepInput, StepOutput, Term, log_terms, sum_terms
from .prior import PriorStep


class PixelCNNStep(PriorStep[PixelCNNConfig]):
    """Minimise -log p(codes), or -log p(codes | class), per position."""

    def accumulate_gradients(self, networks: Networks, batch: StepInput, backward: Backward) -> StepOutput:
        """Encode the images and predict their codes."""
        out = networks[self.model_name](batch.images, batch.autocast_dtype, batch.labels)
        nll = F.cross_entropy(out.logits, out.indices, reduction="none").flatten(1).mean(1)

        terms = {"prior": Term(nll.mean())}
        backward(sum_terms(terms))
        return StepOutput(log_terms(terms))
