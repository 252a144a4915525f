"""A real kernel of Jupyter, in a process of its own."""

import os
from pathlib import Path
from types import TracebackType
from typing import Any

from jupyter_client.manager import KernelManager

TIMEOUT_SECONDS = 120.0
"""Longest time for a kernel to start, and for the output of a cell."""


class Kernel:
    """A kernel that runs cells in a folder, for use in a ``with`` block."""

    def __init__(self, folder: Path) -> None:
        self.manager = KernelManager(transport="ipc", connection_file=str(folder / "kernel.json"))
        environment = {**os.environ, "IPYTHONDIR": str(folder / "ipython"), "MPLCONFIGDIR": str(folder / "matplotlib")}
        environment.pop("MPLBACKEND", None)  # the kernel chooses its own
        self.manager.start_kernel(cwd=str(folder), env=environment)
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=TIMEOUT_SECONDS)

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)

    def start(self, code: str) -> None:
        """Begin to run a cell."""
        self.client.execute(code)

    def read(self) -> dict[str, Any]:
        """Return the next message about the output of a cell: its type as ``type``, and its content."""
        message = self.client.get_iopub_msg(timeout=TIMEOUT_SECONDS)
        return {"type": message["msg_type"], **message["content"]}

    def read_to_end(self) -> list[dict[str, Any]]:
        """Return the messages about a cell's output until it has ended."""
        messages: list[dict[str, Any]] = []
        while (message := self.read()).get("execution_state") != "idle":
            if message["type"] not in ("status", "execute_input"):
                messages.append(message)
        return messages

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run a cell, and return the messages about its output."""
        self.start(code)
        return self.read_to_end()

    def interrupt(self) -> None:
        """Interrupt the cell that runs, as the stop button does."""
        self.manager.interrupt_kernel()


def read_text(messages: list[dict[str, Any]], name: str = "stdout") -> str:
    """Return what a cell printed."""
    return "".join(message["text"] for message in messages if message["type"] == "stream" and message["name"] == name)
