"""From a trained model and its training images to the density of their codes."""

from functools import partial
from itertools import chain
from operator import itemgetter

import torch
from torch import Tensor

from .console import Update, silent
from .data import Images
from .images import to_float
from .models import Autoencoder
from .models.density import Density, fit
from .processes import from_the_first, rounds, to_the_first, together
from .randomness import normal


@torch.no_grad()
def fitted(
    asked: str, model: Autoencoder, images: Images, seed: int, batch_size: int, progress: Update = silent
) -> Density:
    """The density of the aggregate posterior, the mean of q(z | x) over images; all processes make it together.

    Ghosh et al. 2020, section 4, fit the outputs of a deterministic encoder. Of a Gaussian posterior one draw for each
    image is taken, since draws are what the decoder has learnt to decode: their means vary less, and not at all in a
    dimension that the posterior leaves to the prior. The codes of a conditional model are those of all classes, since
    its prior, in whose place the density comes, knows no class either.

    Args:
        asked: As of `fit`.
        model: Of a family whose code is one vector, in evaluation mode.
        images: Those that it was trained on.
        seed: Root of the posterior noise and of the fit.
        batch_size: Images at a time.
        progress: Called with (images done, images in all) after each round, on every process.

    Raises:
        Mistake: As `fit`, or the images have not the labels of a conditional model.
        Failure: As `fit`, or an image cannot be read.
    """
    some = next(model.parameters())

    def drawn(places: range) -> list[tuple[int, Tensor]]:
        chosen = torch.arange(places.start, places.stop)
        pixels = images[chosen].to(some.device)
        posterior = model.encode(to_float(pixels, some.dtype), images.known(chosen, model.classes))
        noise = torch.stack([normal(posterior.mean.shape[1:], seed, "density", place) for place in places])
        return [(places.start, posterior.sample(noise.to(posterior.mean)).cpu())]

    parts: list[tuple[int, Tensor]] = []
    for places, done in rounds(len(images), batch_size):
        parts += together(partial(drawn, places) if places else list)
        progress(done, len(images))
    ordered = sorted(chain(*to_the_first(parts)), key=itemgetter(0))
    return from_the_first(lambda: fit(asked, torch.cat([codes for _, codes in ordered]), seed))
