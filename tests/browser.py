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
LOOPBACK_ALONE = "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1"
"""Flag under which no name leads outside this machine."""
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

    def open(self, place: Path | str) -> None:
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")
        self._load("Page.navigate", url=place if isinstance(place, str) else place.as_uri())

    def reload(self) -> None:
        self._load("Page.reload")

    def wait_for(self, expression: str) -> Any:
        """Evaluate an expression until it is true, and return its value."""
        deadline = time.monotonic() + PATIENCE
        while not (value := self.evaluate(expression)):
            assert time.monotonic() < deadline, f"never true: {expression}"
            time.sleep(0.05)
        return value

    def show(self, width: int, scheme: str, height: int = 900) -> None:
        """Show the page in a window of a width, in a light or dark scheme."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])

    def find(self, selector: str) -> tuple[float, float, float, float]:
        """Scroll an element into view, and return its edges once they rest: left, top, right, bottom."""
        place = json.dumps(selector)
        script = f"""(element => {{
          if (!element?.checkVisibility()) return null;
          element.scrollIntoView({{block: 'center', behavior: 'instant'}});
          const box = element.getBoundingClientRect();
          return [box.left, box.top, box.right, box.bottom];
        }})(document.querySelector({place}))"""
        before, edges = None, self.wait_for(script)
        while edges != before:
            time.sleep(0.15)
            before, edges = edges, self.wait_for(script)
        left, top, right, bottom = edges
        return left, top, right, bottom

    def drag(self, *points: tuple[float, float]) -> None:
        """Press the mouse at the first point, move it through the others, and let it go; of one point it is a click."""
        for number, (x, y) in enumerate([*points, points[-1]]):
            kind = "mousePressed" if not number else "mouseReleased" if number == len(points) else "mouseMoved"
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", buttons=1, clickCount=1)

    def touch(self, *points: tuple[float, float]) -> None:
        """Lay a finger on the first point, move it through the others, and lift it."""
        for number, (x, y) in enumerate(points):
            kind = "touchMove" if number else "touchStart"
            self.call("Input.dispatchTouchEvent", type=kind, touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def click(self, selector: str) -> None:
        """Click into the middle of an element."""
        left, top, right, bottom = self.find(selector)
        self.drag(((left + right) / 2, (top + bottom) / 2))

    def drop(self, selector: str, *files: Path) -> None:
        """Drop files on the middle of an element."""
        left, top, right, bottom = self.find(selector)
        data = {"items": [], "files": list(map(str, files)), "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            place = {"x": (left + right) / 2, "y": (top + bottom) / 2}
            self.call("Input.dispatchDragEvent", type=kind, **place, data=data)

    def press(self, key: str, code: int, text: str = "") -> None:
        """Press a key and let it go."""
        details = {"key": key, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown", **details, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **details)

    def list_problems(self) -> list[dict[str, Any]]:
        """Return what the page printed to its console, and what the browser reported about it."""
        methods = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded", "Network.loadingFailed")
        return [event for event in self.events if event.get("method") in methods]

    def list_requests(self) -> list[str]:
        """Return every address that was asked for."""
        sent = [event for event in self.events if event.get("method") == "Network.requestWillBeSent"]
        return [event["params"]["request"]["url"] for event in sent]

    def wait_for_answers(self, path: str) -> None:
        """Wait until every request to an address with a path in it has been answered, and no other follows at once."""
        deadline, quiet = time.monotonic() + PATIENCE, 0
        while quiet < 3:
            time.sleep(0.05)
            self.evaluate("0")  # takes in what has happened
            sent: dict[str, str] = {}
            for event in self.events:
                if event.get("method") == "Network.requestWillBeSent":
                    sent[event["params"]["requestId"]] = event["params"]["request"]["url"]
                elif event.get("method") in ("Network.loadingFinished", "Network.loadingFailed"):
                    sent.pop(event["params"]["requestId"], None)
            left = [address for address in sent.values() if path in address]
            assert time.monotonic() < deadline, f"never answered: {left}"
            quiet = 0 if left else quiet + 1

    def _load(self, method: str, **parameters: object) -> None:
        """Call a method that loads the page, and wait for its end."""
        before = len(self.events)
        self.call(method, **parameters)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events[before:]):
            self.events.append(self._next())

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
def new_page(profile: Path, *flags: str) -> Iterator[Page]:
    """Open an empty page of a browser, started with further flags, that ends with the block."""
    to_browser, write = os.pipe()
    read, from_browser = os.pipe()
    # The browser reads commands from descriptor 3 and answers on descriptor 4.
    start = f'exec "$@" 3<&{to_browser} 4>&{from_browser}'
    command = ["bash", "-c", start, "bash", str(CHROMIUM), *FLAGS, *flags, f"--user-data-dir={profile}", "about:blank"]
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
