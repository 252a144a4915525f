"""Measure what it costs to import vaegan and to load a trained model, beside importing torch alone.

Usage, with the folder of a trained run:

    python benchmarks/import_cost.py runs/digits-vae --rounds 9

Each line is the median over fresh processes, which take turns, of the seconds from start to end, of those in which it
computed, and of the largest memory that it had (resident set).
"""

import argparse
import os
import statistics
import subprocess
import sys
import time

STATEMENTS = {
    "Python alone": "pass",
    "import vaegan": "import vaegan",
    "import torch": "import torch",
    "import vaegan; vaegan.load(run)": "import sys, vaegan; vaegan.load(sys.argv[1])",
    "the same, and model.sample(16)": "import sys, vaegan; vaegan.load(sys.argv[1]).sample(16)",
}


def measure(statement: str, run: str) -> tuple[float, float, float]:
    """Return the seconds, the CPU seconds and the peak memory in MiB of a fresh Python that executes a statement."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", statement, run])
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    if status:
        raise RuntimeError(f"{statement}: ended with status {status}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**10


def main() -> None:
    """Measure every statement in turns, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="folder of a trained run")
    parser.add_argument("--rounds", type=int, default=9)
    arguments = parser.parse_args()
    for statement in STATEMENTS.values():  # reads the files from the disk, and compiles them
        measure(statement, arguments.run)
    rounds = [[measure(text, arguments.run) for text in STATEMENTS.values()] for _ in range(arguments.rounds)]
    print("| | seconds | CPU seconds | MiB |\n| --- | --- | --- | --- |")
    for name, results in zip(STATEMENTS, zip(*rounds, strict=True), strict=True):
        seconds, cpu_seconds, memory = (statistics.median(values) for values in zip(*results, strict=True))
        print(f"| {name} | {seconds:.2f} | {cpu_seconds:.2f} | {memory:.0f} |")


if __name__ == "__main__":
    main()
