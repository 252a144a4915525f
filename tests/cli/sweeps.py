"""A stand-in for W&B's server, which takes one sweep and gives its agent two runs to train."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import yaml

SWEEP, PROJECT, TEAM = "sweep123", "vaegan", "team"
RUNS = ("first001", "second02")


class Server(ThreadingHTTPServer):
    """A server for the requests of `wandb sweep` and `wandb agent`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.sweep = ""
        self.given: list[dict[str, Any]] = []
        self.reported: list[dict[str, bool]] = []

    def answer(self, operation: str, variables: dict[str, Any]) -> dict[str, Any]:
        """Return the data of one GraphQL operation."""
        project = {"id": "p", "name": PROJECT, "entity": {"id": "e", "name": TEAM}}
        match operation:
            case "Viewer":
                return {"viewer": {"id": "u", "entity": TEAM, "username": "u", "flags": "{}"}}
            case "UpsertSweep":
                self.sweep = variables["config"]
                return {"upsertSweep": {"sweep": {"name": SWEEP, "project": project}, "configValidationWarnings": []}}
            case "SweepWithRuns":
                return {"project": {"sweep": {"id": "s", "name": SWEEP, "config": self.sweep, "runs": {"edges": []}}}}
            case "CreateAgent":
                return {"createAgent": {"agent": {"id": "a"}}}
            case "Heartbeat":
                self.reported.append(json.loads(variables["runState"]))
                commands = [] if self.reported[-1] else [self._next()]
                return {"agentHeartbeat": {"agent": {"id": "a"}, "commands": json.dumps(commands)}}
        return {}

    def _next(self) -> dict[str, Any]:
        number = len(self.given)
        if number == len(RUNS):
            return {"type": "exit"}
        config = yaml.safe_load(self.sweep)
        chosen = {name: {"value": _choose(space, number)} for name, space in config["parameters"].items()}
        self.given.append({name: each["value"] for name, each in chosen.items()})
        return {"type": "run", "run_id": RUNS[number], "program": config["program"], "args": chosen}


class Handler(BaseHTTPRequestHandler):
    """A handler of one request."""

    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        query = json.loads(body) if self.path == "/graphql" else {}
        operation = query.get("operationName") or query.get("query", "").split("(")[0].split()[-1:]
        data = self.server.answer("".join(operation), query.get("variables") or {})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps({"data": data}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def serve() -> Iterator[Server]:
    """Run a server on a free port while the block lasts."""
    with Server() as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def _choose(space: dict[str, Any], number: int) -> object:
    values = space.get("values") or [space["min"], space["max"]]
    return values[-number]
