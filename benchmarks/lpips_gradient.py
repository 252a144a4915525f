"""Compare the gradient of the LPIPS term in bfloat16 with that in float32, for images at several distances.

    python benchmarks/lpips_gradient.py /path/to/images --network random

The networks are those of `model.perceptual_network`. Printed is the cosine of the two gradients of the images of a
batch, as one vector and as the lowest of any image. Recorded results: benchmarks/README.md.
"""

import argparse
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from vaegan.config.data import DataConfig
from vaegan.data import open_data
from vaegan.images import to_float
from vaegan.losses import perceptual


def compute_gradient(network: torch.nn.Module, images: Tensor, others: Tensor, in_bfloat16: bool) -> Tensor:
    """Return the gradient of the summed LPIPS with respect to the other images, float64, shape (N, values)."""
    others = others.clone().requires_grad_()
    with torch.autocast(images.device.type, torch.bfloat16, enabled=in_bfloat16):
        distances = network(images, others)
    distances.float().sum().backward()
    assert others.grad is not None
    return others.grad.double().flatten(1)


def main() -> None:
    """Print a row for each kind of distance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    parser.add_argument("--network", choices=["random", "alex", "vgg", "squeeze"], default="random")
    parser.add_argument("--size", type=int, default=64, help="side of the images in pixels, 64 or more")
    parser.add_argument("--count", type=int, default=32, help="images of the batch")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = open_data(DataConfig(source="folder", root=arguments.images, image_size=arguments.size, cache="none"))
    images = to_float(data.train[torch.arange(arguments.count)]).to(device)
    network = perceptual.get_training_lpips_network(arguments.network, device)
    small = F.avg_pool2d(images, 4)
    others = {"enlarged from a quarter": F.interpolate(small, scale_factor=4, mode="bilinear")}
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0)).to(device)
    others |= {f"noise of {scale}": (images + scale * noise).clamp(-1, 1) for scale in (0.2, 0.05, 0.01)}
    print("| images | cosine | lowest of an image |\n| --- | --- | --- |")
    for name, each in others.items():
        exact, rounded = (compute_gradient(network, images, each, in_bfloat16) for in_bfloat16 in (False, True))
        whole = F.cosine_similarity(exact.flatten(), rounded.flatten(), dim=0)
        print(f"| {name} | {whole:.4f} | {F.cosine_similarity(exact, rounded).min():.4f} |")


if __name__ == "__main__":
    main()
