"""The instance term: a reconstruction is told from past images by the features of the discriminator."""

import torch
import torch.nn.functional as F
from torch import Tensor


def instance_nll(reconstructions: Tensor, images: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Compute -log of the probability by which a reconstruction is assigned to its own image, in nats, shape (N,).

    It is InfoNCE (van den Oord et al. 2018, eq. 4), as in the VAE-GAN of Parmar et al. 2021 (DC-VAE): the softmax of
    cosine similarities, divided by the temperature, to its image and to the images of the queue. The negatives come
    from the queue alone, so that it is a function of one image and of the state of the step.

    Args:
        reconstructions: Features of the reconstructions, shape (N, d).
        images: Features of the images, shape (N, d).
        queue: Features of past images, shape (K, d); rows of zeros stand for none.
        temperature: Divisor of the similarities.
    """
    anchors = F.normalize(reconstructions, dim=1)
    own = (anchors * F.normalize(images, dim=1)).sum(1, keepdim=True) / temperature
    others = anchors @ F.normalize(queue, dim=1).T / temperature
    others = others.masked_fill((queue == 0).all(1), -torch.inf)
    nll: Tensor = torch.cat([own, others], 1).logsumexp(1) - own[:, 0]
    assert nll.shape == (len(reconstructions),)
    return nll
