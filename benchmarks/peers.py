"""Measure the trainers of Pythae beside the training loop: the same networks, images, batches and optimizer.

    pip install -e '.[peers]'
    OMP_NUM_THREADS=1 python benchmarks/peers.py

The networks are those of this package, wrapped for Pythae, which trains them in its own way in a process of its own:
`BaseTrainer`, and for the VAE-GAN `CoupledOptimizerAdversarialTrainer` with two-way scores, no penalty, and a margin so
wide that every step updates all networks. Here the VAE-GAN is the three-way one, without a penalty and with its R1 in
every fourth step. Both take turns of some steps; the first turn is not timed.

Printed are medians of the rounds: images per second by the clock and of the CPU time of all threads, their ratios, the
FLOPs of convolutions and matrix products in a step, the ratio of CPU time at equal FLOPs, and the share of what the
convolutions of the networks reach one by one, forward and backward, in the same precision. Recorded results:
benchmarks/README.md.
"""

import argparse
import contextlib
import io
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import torch
from bare_loops import make_bare_loop
from gpu import PRECISIONS
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEGAN, VQVAE, VAEConfig, VAEGANConfig, VQVAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseDiscriminator, BaseEncoder
from pythae.trainers import (
    BaseTrainer,
    BaseTrainerConfig,
    CoupledOptimizerAdversarialTrainer,
    CoupledOptimizerAdversarialTrainerConfig,
)
from throughput import Cost, make_config, read_clocks, summarise, time_in_turns
from torch import Tensor, nn

from vaegan.config import Config
from vaegan.data import Data, open_data
from vaegan.images import to_float
from vaegan.trainers.step_cost import CostCounter
from vaegan.trainers.steps import build_step

SETTINGS = {"vae": {"": ()}, "vaegan3": {"": ("model.adversarial.r1=0",), " with R1": ()}, "vqvae": {"": ()}}
"""Settings of each training here, by family and by what is said of it."""
SIZE, BATCH_SIZE = 32, 64
CPU = torch.device("cpu")


class PeerEncoder(BaseEncoder):  # type: ignore[misc]
    """An encoder as Pythae calls it: of vectors with a posterior, or of grids without one."""

    def __init__(self, network: nn.Module, latent_size: int | None) -> None:
        BaseEncoder.__init__(self)
        self.network, self.has_posterior = network, latent_size is not None
        self.latent_dim = latent_size

    def forward(self, images: Tensor) -> Any:
        """Return the codes of images."""
        codes = self.network(images)
        if not self.has_posterior:
            return ModelOutput(embedding=codes)
        mean, log_variance = codes.chunk(2, 1)
        return ModelOutput(embedding=mean, log_covariance=log_variance)


class PeerDecoder(BaseDecoder):  # type: ignore[misc]
    """A decoder as Pythae calls it."""

    def __init__(self, network: nn.Module) -> None:
        BaseDecoder.__init__(self)
        self.network = network

    def forward(self, codes: Tensor) -> Any:
        """Return the images of codes."""
        return ModelOutput(reconstruction=self.network(codes))


class PeerDiscriminator(BaseDiscriminator):  # type: ignore[misc]
    """A discriminator as Pythae calls it; the last layer of the trunk has the features of the similarity."""

    def __init__(self, network: Any) -> None:
        BaseDiscriminator.__init__(self)
        self.trunk, self.head, self.depth = network.trunk, nn.Linear(network.trunk.feature_size, 1), 2

    def forward(self, images: Tensor, output_layer_levels: list[int] | None = None) -> Any:
        """Return the features of images (level 1), or the probability that they are real."""
        features = self.trunk(images)[-1].flatten(1)
        if output_layer_levels is not None:
            return ModelOutput(embedding_layer_1=features)
        return ModelOutput(embedding=self.head(features).sigmoid())


def build_trainer(family: str, config: Config, images: Tensor, folder: str) -> tuple[Any, Any]:
    """Return Pythae's trainer of a family on images in [-1, 1], and the autoencoder of a config that it trains."""
    networks: dict[str, Any] = build_step(config).build_networks()
    autoencoder, model, train = networks["autoencoder"], config.model, config.train
    shape, latent_size = tuple(images.shape[1:]), getattr(model, "latent_size", None)
    encoder, dataset = PeerEncoder(autoencoder.encoder, latent_size), BaseDataset(images, torch.zeros(len(images)))
    settings = {"input_dim": shape, "latent_dim": latent_size or 0}
    options = {
        "output_dir": folder, "per_device_train_batch_size": train.batch_size, "no_cuda": True, "seed": config.seed,
    }  # fmt: skip
    adam = {"betas": train.betas}
    if family == "vaegan3":
        names = "encoder", "decoder", "discriminator"
        rates = {f"{name}_learning_rate": train.learning_rate for name in names}
        parameters = {f"{name}_optimizer_params": adam for name in names}
        peer = VAEGAN(
            VAEGANConfig(**settings, reconstruction_layer=1, margin=1e6), encoder, PeerDecoder(autoencoder.decoder),
            PeerDiscriminator(networks["discriminator"]),
        )  # fmt: skip
        coupled = CoupledOptimizerAdversarialTrainerConfig(**options, **rates, **parameters)
        return CoupledOptimizerAdversarialTrainer(peer, dataset, training_config=coupled), autoencoder
    if family == "vae":
        peer = VAE(VAEConfig(**settings), encoder, PeerDecoder(autoencoder.decoder))
    else:
        vq_settings = VQVAEConfig(**settings, num_embeddings=model.codes, use_ema=True)  # type: ignore[union-attr]
        peer = VQVAE(vq_settings, encoder, PeerDecoder(nn.Sequential(autoencoder.decoder, nn.Tanh())))
    basic = BaseTrainerConfig(**options, learning_rate=train.learning_rate, optimizer_params=adam)
    return BaseTrainer(peer, dataset, training_config=basic), autoencoder


def run_peer(connection: Connection, family: str, config: Config, images: Tensor) -> None:
    """Send the FLOPs of an epoch of Pythae's trainer, then the cost of one whenever something is received."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        with contextlib.redirect_stdout(io.StringIO()):
            trainer, _ = build_trainer(family, config, images, folder)
            trainer.prepare_training()
        with CostCounter() as counter:
            trainer.train_step(epoch=1)
        connection.send(counter.flops)
        while connection.recv():
            start = read_clocks(CPU)
            trainer.train_step(epoch=1)
            connection.send(read_clocks(CPU) - start)


@contextlib.contextmanager
def start_peer(family: str, config: Config, images: Tensor) -> Iterator[Connection]:
    """Run Pythae in a process of its own during the block; yield the connection to it."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=run_peer, args=(theirs, family, config, images), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours
        ours.send(False)
    finally:
        ours.close()
        process.join(10)
        process.terminate()


def time_beside_peer(config: Config, data: Data, peer: Connection, rounds: int, steps: int) -> list[tuple[Cost, Cost]]:
    """Return the cost of turns of the training and of Pythae."""
    costs: list[Cost] = []

    def work() -> None:
        peer.send(True)
        costs.append(peer.recv())

    turns = time_in_turns(config, data, work, rounds, steps, CPU)
    return [(ours, theirs) for (ours, _), theirs in zip(turns, costs[1:], strict=True)]


def measure_convolutions(config: Config, images: Tensor, dtype: torch.dtype) -> float:
    """Return the FLOP per CPU second of the networks' convolutions, each run alone, forward and backward."""
    networks: dict[str, Any] = build_step(config).build_networks()
    calls: list[tuple[Any, Tensor]] = []
    hooks = []
    parts = [networks["autoencoder"].encoder, networks["autoencoder"].decoder]
    parts += [networks["discriminator"]] if "discriminator" in networks else []
    for module in (module for part in parts for module in part.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            hooks.append(module.register_forward_pre_hook(lambda module, inputs: calls.append((module, *inputs))))
    with torch.no_grad():
        codes = parts[0](images)
        parts[1](codes if codes.dim() == 4 else codes.chunk(2, 1)[0])
        for discriminator in parts[2:]:
            discriminator(images)
    for hook in hooks:
        hook.remove()
    seconds, flops = 0.0, 0
    for module, features in calls:
        module.to(dtype=dtype, memory_format=torch.channels_last)
        features = features.to(dtype=dtype, memory_format=torch.channels_last).requires_grad_()
        gradient, times = torch.randn_like(module(features)), []
        for _ in range(9):
            start = time.process_time()
            module(features).backward(gradient)
            times.append(time.process_time() - start)
        with CostCounter() as counter:
            module(features).backward(gradient)
        seconds, flops = seconds + statistics.median(times), flops + counter.flops
    return flops / seconds


def main() -> None:
    """Print a row for each family and precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--families", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--width", type=int, default=16, help="channels at full resolution")
    parser.add_argument("--steps", type=int, default=8, help="optimizer steps of a turn, a multiple of 4")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each that are timed")
    arguments = parser.parse_args()
    columns = ["GFLOP a step", "Pythae", "images/s", "Pythae", "ratio", "images/CPU s", "Pythae", "ratio"]
    head = ["family", "precision", *columns, "ratio at equal FLOP", "of the convolutions"]
    print(f"{torch.get_num_threads()} threads\n\n| {' | '.join(head)} |\n|{' --- |' * len(head)}")
    count = arguments.steps * BATCH_SIZE
    for family in arguments.families:
        config = make_config(family, SIZE, arguments.width, BATCH_SIZE)
        data = open_data(config.data)
        images = to_float(data.train[torch.arange(count) % len(data.train)])
        ceilings = {name: measure_convolutions(config, images[:BATCH_SIZE], PRECISIONS[name]) for name in PRECISIONS}
        for name, ceiling in ceilings.items():
            print(f"convolutions of {family} in {name}: {ceiling / 1e9:,.0f} GFLOP a CPU second")
        with start_peer(family, config, images) as peer:
            peer_flops = peer.recv() / arguments.steps
            for (label, settings), precision in [(s, p) for s in SETTINGS[family].items() for p in PRECISIONS]:
                words = *settings, f"train.precision={precision}", "train.compile=false"
                config = make_config(family, SIZE, arguments.width, BATCH_SIZE, *words)
                with CostCounter() as counter:
                    make_bare_loop(family, config, data, CPU, compiled=False)(4)
                flops = counter.flops / 4
                rounds = time_beside_peer(config, data, peer, arguments.rounds, arguments.steps)
                ratio = statistics.median(theirs.cpu_seconds / ours.cpu_seconds for ours, theirs in rounds)
                speed = flops * arguments.steps / statistics.median(ours.cpu_seconds for ours, _ in rounds)
                cells = [f"{flops / 1e9:.1f}", f"{peer_flops / 1e9:.1f}", *summarise(rounds, count)]
                cells += [f"{ratio * flops / peer_flops:.2f}", f"{speed / ceilings[precision]:.2f}"]
                print(f"| {family}{label} | {precision} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
