"""Draws of the posterior of an image's code: the Metropolis-adjusted Langevin algorithm, and importance sampling."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from vaegan.errors import UserError
from vaegan.progress import ProgressCallback, ignore_progress, nest_progress
from vaegan.randomness import draw_normal, make_generator

from .posterior_inference import CodePosterior, Laplace, approximate_posterior, draw_starts, find_map_codes

SamplerName = Literal["langevin", "importance"]
RESTARTS = 4
"""Starts of the search for the most probable code."""
SEARCH_STEPS = 200
"""Steps of the search from each start."""
LANGEVIN_STEPS = 200
"""Steps of each chain; the step size is adapted in the first half."""
TARGET_ACCEPTANCE = 0.574
"""Acceptance rate of the most efficient Langevin chains (Roberts & Rosenthal 1998)."""
ADAPTATION_EXPONENT = 0.6
"""The t-th adaptation of a step size's logarithm is weighted by t to minus this (Robbins & Monro 1951)."""
PROPOSALS = 512
"""Codes among which importance sampling chooses."""
PROPOSAL_DEGREES_OF_FREEDOM = 10
"""Degrees of freedom of Student's distribution, which proposals are drawn from for its heavy tails."""
BATCH_CODES = 64
"""Proposals that are decoded at a time."""


@dataclass(frozen=True)
class PosteriorCodes:
    """Codes of N images, and what says how far to trust them."""

    codes: Tensor
    """Shape (K, N, d): the most probable one first, then K - 1 draws."""
    acceptance: Tensor | None = None
    """Mean acceptance rate of the Langevin chains of each image after adaptation, shape (N,)."""
    effective_size: Tensor | None = None
    """Effective number of each image's proposals, 1 / sum of the squared weights, shape (N,); draws are hardly
    different from each other if it is small."""


def infer_codes(
    posterior: CodePosterior, answers: int = 1, sampler: SamplerName = "langevin", seed: int = 0, *,
    restarts: int = RESTARTS, steps: int = SEARCH_STEPS, start_images: Tensor | None = None,
    progress: ProgressCallback = ignore_progress,
) -> PosteriorCodes:  # fmt: skip
    """Return the most probable code of each image, and further ones drawn from the posterior.

    The noise is a function of the seed and the number of the draw alone, the same for each image, so that an image's
    codes depend neither on the other images nor on their number.

    Args:
        posterior: The posterior of N images.
        answers: Number K of codes of each image, at least 1.
        sampler: Way of drawing all but the first.
        seed: Root of the noise.
        restarts: Starts of the search for the most probable code, at least 1.
        steps: Steps of the search from each start.
        start_images: Images that the first starts are the codes of, shape (N, C, S, S); None: the operator's `fill`.
        progress: Called with (steps done, steps in all).

    Raises:
        UserError: There is no such sampler, there are no answers or starts, or codes have too many values for several
            answers.
    """
    for name, count in (("answers", answers), ("restarts", restarts)):
        if count < 1:
            raise UserError(f"{name}: {count}; give at least 1")
    if sampler not in get_args(SamplerName):
        raise UserError(f"sampler: {sampler}; give {' or '.join(get_args(SamplerName))}")
    more = 0 if answers == 1 else LANGEVIN_STEPS if sampler == "langevin" else PROPOSALS
    starts = draw_starts(posterior, restarts, seed, start_images)
    best = find_map_codes(posterior, starts, steps, nest_progress(progress, 0, steps, steps + more))
    if answers == 1:
        return PosteriorCodes(best[None])
    laplace, nested = approximate_posterior(posterior, best), nest_progress(progress, steps, more, steps + more)
    if sampler == "langevin":
        draws, acceptance = draw_by_langevin(posterior, laplace, answers - 1, seed, progress=nested)
        return PosteriorCodes(torch.cat([best[None], draws]), acceptance=acceptance)
    draws, effective_size = draw_by_importance(posterior, laplace, answers - 1, seed, progress=nested)
    return PosteriorCodes(torch.cat([best[None], draws]), effective_size=effective_size)


def draw_by_langevin(
    posterior: CodePosterior, laplace: Laplace, count: int, seed: int, steps: int = LANGEVIN_STEPS,
    progress: ProgressCallback = ignore_progress,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the last states of Langevin chains that start at the maximum, shape (count, N, d), and acceptance rates.

    A step proposes z' = z + h^2/2 C grad log p(z | y) + h C^(1/2) noise, with C the covariance of the Laplace
    approximation, and is accepted by the rule of Metropolis and Hastings (Roberts & Tweedie 1996). The step size h of
    each chain is adapted in the first half of the steps, and kept in the second.

    Args:
        posterior: The posterior.
        laplace: Its Laplace approximation.
        count: Number of chains of each image.
        seed: Root of the noise; that of chain k is a function of the seed and k.
        steps: Steps of each chain.
        progress: Called with (steps done, steps in all).

    Returns:
        The draws, and the mean acceptance rate of each image's chains in the second half, shape (N,).
    """
    state = laplace.mean.expand(count, *laplace.mean.shape).clone()
    noise = torch.stack([draw_normal((steps, state.shape[-1]), seed, "langevin", chain) for chain in range(count)])
    uniform = torch.stack(
        [torch.rand(steps, generator=make_generator(seed, "accept", chain)) for chain in range(count)]
    )
    noise, log_uniform = noise.to(state), uniform.to(state).log()
    log_size = state.new_zeros(state.shape[:2])
    accepted = state.new_zeros(state.shape[:2])
    density, drift = _compute_drift(posterior, laplace, state)
    for step in range(steps):
        size = log_size.exp()[..., None]
        standard = noise[:, step, None].expand_as(state)
        move = 0.5 * size**2 * drift + size * standard  # in units of the root of the covariance
        proposal = state + _transform(laplace, move)
        proposed_density, proposed_drift = _compute_drift(posterior, laplace, proposal)
        back = (-move - 0.5 * size**2 * proposed_drift) / size
        log_ratio = proposed_density - density + 0.5 * (standard.square() - back.square()).sum(-1)
        taken = log_uniform[:, step, None] < log_ratio
        state = torch.where(taken[..., None], proposal, state)
        density = torch.where(taken, proposed_density, density)
        drift = torch.where(taken[..., None], proposed_drift, drift)
        probability = log_ratio.clamp_max(0).exp().nan_to_num(0)
        if step < steps // 2:
            log_size += (step + 1) ** -ADAPTATION_EXPONENT * (probability - TARGET_ACCEPTANCE)
        else:
            accepted += probability / (steps - steps // 2)
        progress(step + 1, steps)
    return state, accepted.mean(0)


@torch.no_grad()
def draw_by_importance(
    posterior: CodePosterior, laplace: Laplace, count: int, seed: int, proposals: int = PROPOSALS,
    progress: ProgressCallback = ignore_progress,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return draws of the posterior by sampling importance resampling (Rubin 1988), and effective sample sizes.

    Codes are proposed by Student's distribution around the Laplace approximation, weighted by the posterior over the
    proposal, and resampled systematically.

    Args:
        posterior: The posterior.
        laplace: Its Laplace approximation.
        count: Number of draws of each image.
        seed: Root of the noise.
        proposals: Number M of codes that are proposed.
        progress: Called with (proposals done, proposals in all).

    Returns:
        The draws, shape (count, N, d), and the effective number of proposals of each image, shape (N,).
    """
    size, freedom = laplace.mean.shape[-1], PROPOSAL_DEGREES_OF_FREEDOM
    standard = torch.stack([draw_normal((size + freedom,), seed, "proposal", index) for index in range(proposals)])
    standard = standard.to(laplace.mean)
    student = standard[:, :size] * (freedom / standard[:, size:].square().sum(1, keepdim=True)).sqrt()
    log_proposal = -0.5 * (freedom + size) * (student.square().sum(1) / freedom).log1p()
    batch = max(1, BATCH_CODES // len(laplace.mean))
    codes, densities = list[Tensor](), list[Tensor]()
    for part in student.split(batch):
        codes.append(laplace.mean + _transform(laplace, part[:, None]))
        densities.append(posterior.compute_log_density(codes[-1]))
        progress(sum(map(len, codes)), proposals)
    log_weights = torch.cat(densities).double() - log_proposal[:, None].double()
    weights = log_weights.softmax(0)
    uniform = torch.rand((), generator=make_generator(seed, "resampling"), dtype=torch.float64).item()
    places = (torch.arange(count, dtype=torch.float64, device=weights.device) + uniform) / count
    edges = weights.cumsum(0).T.contiguous()
    chosen = torch.searchsorted(edges, places.expand(len(edges), -1).contiguous()).clamp_max(proposals - 1).T
    images = torch.arange(len(edges), device=chosen.device)
    return torch.cat(codes)[chosen, images], 1 / weights.square().sum(0)


def _transform(laplace: Laplace, standard: Tensor) -> Tensor:
    """Multiply vectors (..., N or 1, d) by the root of the covariance of each image."""
    moved: Tensor = (laplace.root @ standard[..., None])[..., 0]
    return moved


def _compute_drift(posterior: CodePosterior, laplace: Laplace, codes: Tensor) -> tuple[Tensor, Tensor]:
    """Compute log p(z | y), shape (K, N), and the transpose of the root times its gradient, shape (K, N, d)."""
    with torch.enable_grad():
        codes = codes.detach().requires_grad_()
        density = posterior.compute_log_density(codes)
        (gradient,) = torch.autograd.grad(density.sum(), [codes])
    return density.detach(), (laplace.root.mT @ gradient[..., None])[..., 0]
