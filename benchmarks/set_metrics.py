"""Time and memory of KID and of precision, recall, density and coverage of large sets of features.

    python benchmarks/set_metrics.py --images 50000 --features 2048

Prints seconds of the wall clock and of the CPU, and the peak of memory beyond the features themselves.
"""

import argparse
import resource
import time
from collections.abc import Callable

import torch

from vaegan.evaluate.metrics.dealt_rows import DealtRows, deal_tensor
from vaegan.evaluate.metrics.kid import compute_block_values, compute_kid
from vaegan.evaluate.metrics.precision_recall import compute_prdc
from vaegan.randomness import draw_normal


def main() -> None:
    """Measure each metric once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=2048)
    arguments = parser.parse_args()
    shape = (arguments.images, arguments.features)
    sets = [deal_tensor(draw_normal(shape, 0, name)) for name in ("real", "other")]
    metrics: dict[str, Callable[[DealtRows, DealtRows], object]] = {
        "kid": compute_kid, "blocks of kid": compute_block_values, "prdc": compute_prdc,
    }  # fmt: skip
    print(f"{shape[0]:,} x {shape[0]:,} features of {shape[1]}, {torch.get_num_threads()} threads")
    for name, compute in metrics.items():
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        wall, cpu = time.perf_counter(), time.process_time()
        value = compute(*sets)
        seconds = time.perf_counter() - wall, time.process_time() - cpu
        rise = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
        print(f"{name}: {seconds[0]:.1f} s, {seconds[1]:.1f} s of CPU, {rise:.0f} MiB more at the peak; {value}")


if __name__ == "__main__":
    main()
