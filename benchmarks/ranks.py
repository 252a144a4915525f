"""Compare the ranks of a training with each other, and two processes with one: a published script's step and ours.

    python benchmarks/ranks.py

Both train a tiny AutoencoderKL against a discriminator of patches on the same batches, noise and initial weights, over
gloo on the CPU. The published step is rebuilt from the logic of `train_autoencoderkl.py` in the research projects of
diffusers (2025): encoder and decoder are called through `unwrap_model`, so that their gradients are not exchanged;
generator and discriminator take turns; the discriminator keeps the gradient of the generator's steps, and the decoder
that of the discriminator's; LPIPS is left out, which has no gradient there. Its noise is that of the images' places in
the batch, which is kinder than the script's own. Printed is the norm of the difference of all trained weights, relative
to how far the training has moved them. Recorded results: benchmarks/README.md.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vaegan.config import Config, load_config
from vaegan.data import open_data
from vaegan.images import to_float
from vaegan.networks.diffusers_autoencoder import build_diffusers_model
from vaegan.randomness import draw_normal
from vaegan.trainers import loop, train
from vaegan.trainers.steps import build_step

STEPS = (1, 3, 20)
"""Numbers of steps after which weights are compared."""
RECIPE = {
    "model": {
        "family": "vaegan", "network": "diffusers", "likelihood": "laplace", "scale": 1.0, "beta": 1e-6,
        "diffusers": {
            "_class_name": "AutoencoderKL", "block_out_channels": [16, 32], "norm_num_groups": 8,
            "down_block_types": ["DownEncoderBlock2D"] * 2, "up_block_types": ["UpDecoderBlock2D"] * 2,
        },
        "discriminator": {"classes": "reconstructed", "network": "patch", "width": 16, "depth": 2},
        "adversarial": {"loss": "hinge", "weight": 0.5, "adaptive": [0.0, 1e4], "similarity": 0.0, "r1": 0.0},
    },
    "data": {"source": "shapes", "image_size": 16, "channels": 3, "count": 200},
    "train": {"steps": 1, "batch_size": 8, "learning_rate": 1e-3, "ema_decay": 0.0},
    "track": {"wandb": "disabled"},
}  # fmt: skip
"""Config of our training."""


def flatten(networks: dict[str, nn.Module]) -> Tensor:
    """Return all weights of networks in one vector, float64."""
    return torch.cat([weight.detach().double().flatten() for net in networks.values() for weight in net.parameters()])


def train_ours(config: Config, folder: Path) -> dict[int, Tensor]:
    """Train for each number of steps; return this rank's weights at the end, and at 0 steps the initial ones."""
    networks, data, built = {}, open_data(config.data), loop.build_state
    weights = {0: flatten(build_step(config).build_networks())}

    def build_state(*arguments: Any) -> Any:
        state = built(*arguments)
        networks["state"] = state
        return state

    loop.build_state = build_state  # type: ignore[attr-defined]
    for steps in STEPS:
        settings = config.train.model_copy(update={"steps": steps})
        train(config.model_copy(update={"train": settings}), folder / f"ours-{steps}", data)
        weights[steps] = flatten(networks["state"].networks)
    return weights


def train_published(config: Config) -> dict[int, Tensor]:
    """Take the published steps on this rank's images; return its weights after each number of steps, from 0 on."""
    accelerator = Accelerator(cpu=True)
    rank, world, size = accelerator.process_index, accelerator.num_processes, config.train.batch_size
    built: Any = build_step(config).build_networks()
    images = to_float(open_data(config.data).train[torch.arange(size * max(STEPS))])
    vae: Any = build_diffusers_model(config.model, config.data.image_shape)  # type: ignore[arg-type]
    state = {name.partition(".")[2]: value for name, value in built["autoencoder"].state_dict().items()}
    vae.load_state_dict(state)
    discriminator: Any = built["discriminator"]
    rate = config.train.learning_rate
    optimizers = [torch.optim.AdamW(net.parameters(), rate) for net in (vae, discriminator)]
    vae, discriminator, *optimizers = accelerator.prepare(vae, discriminator, *optimizers)
    networks = {"vae": accelerator.unwrap_model(vae), "discriminator": accelerator.unwrap_model(discriminator)}
    weights, model = {0: flatten(networks)}, networks["vae"]
    for step in range(max(STEPS)):
        places = slice(rank * size // world, (rank + 1) * size // world)
        batch = images[step * size : (step + 1) * size][places]
        posterior = model.encode(batch).latent_dist
        noise = draw_normal((size, *posterior.mean.shape[1:]), 0, "published", step)[places]
        reconstruction = model.decode(posterior.mean + posterior.std * noise).sample
        if step % 2 == 0:
            error = F.l1_loss(reconstruction, batch, reduction="none").sum() / len(batch)
            adversarial = -discriminator(reconstruction).scores.mean()
            last = model.decoder.conv_out.weight
            norms = [torch.autograd.grad(loss, last, retain_graph=True)[0].norm() for loss in (error, adversarial)]
            weight = (norms[0] / (norms[1] + 1e-4)).clamp(0, 1e4).detach() * 0.5
            accelerator.backward(error + 1e-6 * posterior.kl().sum() / len(batch) + weight * adversarial)
            accelerator.clip_grad_norm_(vae.parameters(), 1.0)
            optimizers[0].step()
            optimizers[0].zero_grad()
        else:
            scores = [discriminator(each).scores for each in (batch, reconstruction)]
            accelerator.backward(0.5 * (F.relu(1 - scores[0]).mean() + F.relu(1 + scores[1]).mean()))
            accelerator.clip_grad_norm_(discriminator.parameters(), 1.0)
            optimizers[1].step()
            optimizers[1].zero_grad()
        if step + 1 in STEPS:
            weights[step + 1] = flatten(networks)
    return weights


def run_worker(kind: str, folder: Path) -> None:
    """Train on this rank, and save its weights."""
    config = load_config(RECIPE)
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    weights = train_ours(config, folder / f"{world}") if kind == "ours" else train_published(config)
    save_file({str(steps): value for steps, value in weights.items()}, folder / f"{kind}-{world}-{rank}.safetensors")


def main() -> None:
    """Print a row for each training and number of steps."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        run_worker(arguments.worker[0], Path(arguments.worker[1]))
        return
    print("| step | after | rank 0 - rank 1 | two processes - one |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for kind in ("published", "ours"):
            for world in (1, 2):
                launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc_per_node={world}"]
                subprocess.run([*launch, __file__, "--worker", kind, str(folder)], check=True, capture_output=True)
            one, first, second = (load_file(folder / f"{kind}-{name}.safetensors") for name in ("1-0", "2-0", "2-1"))
            for steps in map(str, STEPS):
                moved = (one[steps] - one["0"]).norm()
                ranks, processes = ((a[steps] - b[steps]).norm() / moved for a, b in ((first, second), (first, one)))
                print(f"| {kind} | {steps} | {ranks:.1e} | {processes:.1e} |", flush=True)


if __name__ == "__main__":
    main()
