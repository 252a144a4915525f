"""One of the processes that train argv[3:] (config files) into folders of argv[2]; argv[1]: how many there must be.

On the way one of them gets SIGTERM, so that all stop, and they resume.
"""

import os
import signal
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from vaegan.config import load_config
from vaegan.data import open_data
from vaegan.errors import Interrupted
from vaegan.trainers import base, train
from vaegan.trainers.recorder import Recorder
from vaegan.trainers.state import State

STOP = 3


class Watched(Recorder):
    """Sends the signal to the last process, and keeps every process's weights."""

    def __enter__(self) -> "Watched":
        """Make sure that this is no process alone."""
        assert self.accelerator.num_processes == int(sys.argv[1])
        super().__enter__()
        return self

    def after_step(self, state: State, *rest: object) -> None:
        """Get the signal during step number `STOP`."""
        super().after_step(state, *rest)
        if state.step == STOP and self.checkpoint is None and self.accelerator.is_last_process:
            os.kill(os.getpid(), signal.SIGTERM)

    def finish(self, state: State) -> None:
        """Write what this process holds."""
        super().finish(state)
        rank = self.accelerator.process_index
        held = {
            f"{name}/{key}": value
            for name, network in state.networks.items()
            for key, value in network.state_dict().items()
        }
        held |= {f"average/{key}": value for key, value in state.average.state_dict().items()}
        save_file({key: value.contiguous() for key, value in held.items()}, self.run.path / f"rank{rank}.safetensors")


if __name__ == "__main__":
    root, configs = Path(sys.argv[2]), sys.argv[3:]
    torch.set_num_threads(1)
    base.Recorder = Watched
    for file in configs:
        config = load_config(file)
        data, folder = open_data(config.data), root / Path(file).stem
        try:
            train(config, folder, data)
        except Interrupted as interrupted:
            stopped = str(interrupted)
        assert f"stopped at step {STOP}" in stopped
        train(config, folder, data, resume=True)
