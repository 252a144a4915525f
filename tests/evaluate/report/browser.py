"""A real Chromium without a window, driven over its DevTools protocol (JSON messages on two pipes)."""

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--hide-scrollbars", "--remote-debugging-pipe", "--force-color-profile=srgb",
)  # fmt: skip
PATIENCE = 60.0


class Page:
    """Drive one page, and keep everything that it said and asked for."""

    def __init__(self, write: int, read: int) -> None:
        self.write, self.read = write, read
        self.buffer = b""
        self.calls = 0
        self.session: str | None = None
        self.events: list[dict[str, Any]] = []

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        self.calls += 1
        message: dict[str, Any] = {"id": self.calls, "method": method, "params": parameters}
        if self.session is not None:
            message["sessionId"] = self.session
        os.write(self.write, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self.calls:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def open(self, path: Path) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=path.as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._next())

    def list_problems(self) -> list[dict[str, Any]]:
        """Return what the page printed to its console, and what the browser reported about it."""
        methods = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed")
        return [event for event in self.events if event.get("method") in methods]

    def list_requests(self) -> list[str]:
        """Return every address that was asked for."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while b"\0" not in self.buffer:
            ready, _, _ = select.select([self.read], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            received = os.read(self.read, 1 << 20)
            assert received, "the browser has gone"
            self.buffer += received
        line, self.buffer = self.buffer.split(b"\0", 1)
        return json.loads(line)


@contextmanager
def new_page(profile: Path) -> Iterator[Page]:
    """Open an empty page of a browser that ends with the block."""
    to_browser, write = os.pipe()
    read, from_browser = os.pipe()
    # The browser reads commands from descriptor 3 and answers on descriptor 4.
    start = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    command = ["bash", "-c", start, "bash", str(CHROMIUM), *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(command, pass_fds=(to_browser, from_browser), stderr=subprocess.DEVNULL)
    os.close(to_browser)
    os.close(from_browser)
    try:
        page = Page(write, read)
        targets: list[dict[str, Any]] = []
        while not (targets := [t for t in page.call("Target.getTargets")["targetInfos"] if t["type"] == "page"]):
            time.sleep(0.05)
        attached = page.call("Target.attachToTarget", targetId=targets[0]["targetId"], flatten=True)
        page.session = attached["sessionId"]
        yield page
    finally:
        process.terminate()
        process.wait(PATIENCE)
        os.close(write)
        os.close(read)
