"""A stand-in of the Hugging Face Hub on loopback: the part of its HTTP interface that huggingface_hub talks to here."""

import base64
import json
import threading
from dataclasses import dataclass, field
from hashlib import sha1, sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

import yaml

TOKEN = "hf_of_the_owner"
"""The token that may write, and read what is private."""
COMMIT_HASH_DIGITS = 40


@dataclass
class Repository:
    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Files of each commit by their paths."""
    refs: dict[str, str] = field(default_factory=dict)
    """Commit of each branch and tag."""
    tags: set[str] = field(default_factory=set)
    """Those of `refs` that are tags."""

    def find(self, revision: str) -> str | None:
        """Return the commit of a branch, a tag or a commit."""
        return self.refs.get(revision, revision if revision in self.commits else None)

    def commit(self, branch: str, files: dict[str, bytes]) -> str:
        """Add files to a branch, and return the commit."""
        before = self.commits.get(self.refs.get(branch, ""), {})
        oid = sha1(repr((branch, len(self.commits))).encode()).hexdigest()
        self.commits[oid], self.refs[branch] = before | files, oid
        return oid


class Hub(ThreadingHTTPServer):
    """The server, with what it holds and what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def list_requests(self, method: str, words: str) -> list[str]:
        """Return the paths of the requests that hold some words."""
        return [path for verb, path in self.requests if verb == method and words in path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self.serve()

    def do_HEAD(self) -> None:
        self.serve()

    def do_POST(self) -> None:
        self.serve()

    def do_PUT(self) -> None:
        self.serve()

    def serve(self) -> None:
        length = self.headers.get("Content-Length")
        self.body = self.rfile.read(int(length)) if length else self.read_chunks()
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append((self.command, path))
        match [self.command, *path.strip("/").split("/")]:
            case ["POST", "api", "repos", "create"]:
                self.create()
            case ["POST", "api", "validate-yaml"]:
                header = json.loads(self.body)["content"].split("---")[1]
                is_valid = isinstance(yaml.safe_load(header), dict)
                self.answer({"errors": [], "warnings": []}, 200 if is_valid else 400)
            case ["PUT", "objects", oid]:
                assert sha256(self.body).hexdigest() == oid
                self.server.objects[oid] = self.body
                self.answer({})
            case ["POST", "verify"]:
                self.answer({})
            case ["POST", _, _, "info", "lfs", "objects", "batch"]:
                wanted = json.loads(self.body)["objects"]
                links = {"verify": {"href": f"{self.server.address}/verify"}}
                objects = [
                    each | {"actions": {"upload": {"href": f"{self.server.address}/objects/{each['oid']}"}, **links}}
                    for each in wanted
                ]
                self.answer({"objects": objects, "transfer": "basic"})
            case [_, "api", "models", owner, name, *rest]:
                self.serve_repository(f"{owner}/{name}", rest)
            case ["GET" | "HEAD", owner, name, "resolve", revision, *parts]:
                if (found := self.find(f"{owner}/{name}", revision)) is not None:
                    self.send(found[1], "/".join(parts), found[0])
            case _:
                self.fail(404, "")

    def create(self) -> None:
        if not self.is_owner:
            return self.fail(401, "")
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        known = name in self.server.repositories
        if not known:
            made = self.server.repositories[name] = Repository(asked.get("visibility") == "private")
            made.commit("main", {".gitattributes": b"*.safetensors filter=lfs\n"})
        return self.answer({"url": f"{self.server.address}/{name}"}, 409 if known else 200)

    def serve_repository(self, name: str, rest: list[str]) -> None:
        if self.command == "POST" and rest[0] != "paths-info" and not self.is_owner:
            return self.fail(403, "")
        revision = "/".join(rest[1:]) or "main"
        repository = self.server.repositories.get(name)
        if repository is not None and rest[:1] == ["branch"]:
            known = revision in repository.refs
            repository.refs.setdefault(revision, repository.refs["main"])
            return self.answer({}, 409 if known else 200)
        found = self.find(name, revision)
        if found is None or repository is None:
            return None
        oid, files = found
        entries = [self.describe(path, contents) for path, contents in files.items()]
        match [self.command, *rest[:1]]:
            case ["GET"] | ["GET", "revision"]:
                siblings = [{"rfilename": path} for path in files]
                return self.answer(
                    {"id": name, "sha": oid, "private": repository.private, "siblings": siblings, "tags": []}
                )
            case ["GET", "tree"]:
                return self.answer(entries)
            case ["POST", "paths-info"]:
                paths = parse_qs(self.body.decode())["paths"]
                return self.answer([entry for entry in entries if entry["path"] in paths])
            case ["POST", "preupload"]:
                asked = [each["path"] for each in json.loads(self.body)["files"]]
                modes = {path: "lfs" if path.endswith(".safetensors") else "regular" for path in asked}
                return self.answer(
                    {"files": [{"path": path, "uploadMode": modes[path], "shouldIgnore": False} for path in asked]}
                )
            case ["POST", "commit"]:
                lines = [json.loads(line) for line in self.body.splitlines()]
                sent = {line["value"]["path"]: self.get_contents(line) for line in lines if line["key"] != "header"}
                oid = repository.commit(revision, sent)
                address = f"{self.server.address}/{name}/commit/{oid}"
                return self.answer({"commitUrl": address, "commitOid": oid, "pullRequestUrl": None})
            case ["POST", "tag"]:
                tag = json.loads(self.body)["tag"]
                repository.refs[tag] = oid
                repository.tags.add(tag)
                return self.answer({})
            case ["GET", "refs"]:
                refs = [{"name": ref, "ref": ref, "targetCommit": each} for ref, each in repository.refs.items()]
                tags = [each for each in refs if each["name"] in repository.tags]
                return self.answer({"branches": [], "converts": [], "tags": tags})
        return self.fail(404, "")

    def get_contents(self, line: dict) -> bytes:
        value = line["value"]
        return self.server.objects[value["oid"]] if line["key"] == "lfsFile" else base64.b64decode(value["content"])

    def describe(self, path: str, contents: bytes) -> dict:
        entry = {"type": "file", "path": path, "size": len(contents), "oid": sha1(contents).hexdigest()}
        if path.endswith(".safetensors"):
            entry["lfs"] = {"oid": sha256(contents).hexdigest(), "size": len(contents), "pointerSize": 134}
        return entry

    def find(self, name: str, revision: str) -> tuple[str, dict[str, bytes]] | None:
        """Return the commit of a revision and its files; answer that there is none where there is none."""
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and not self.is_owner):
            self.fail(401 if repository else 404, "RepoNotFound")
        elif (oid := repository.find(revision)) is None:
            self.fail(404, "RevisionNotFound")
        else:
            return oid, repository.commits[oid]
        return None

    @property
    def is_owner(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {TOKEN}"

    def send(self, files: dict[str, bytes], path: str, oid: str) -> None:
        if path not in files:
            return self.fail(404, "EntryNotFound")
        entry = self.describe(path, files[path])
        etag = entry.get("lfs", entry)["oid"]
        return self.answer(files[path], 200, {"ETag": f'"{etag}"', "X-Repo-Commit": oid})

    def fail(self, status: int, code: str) -> None:
        self.answer({"error": code}, status, {"X-Error-Code": code} if code else {})

    def answer(self, contents: object, status: int = 200, headers: dict[str, str] | None = None) -> None:
        body = contents if isinstance(contents, bytes) else json.dumps(contents).encode()
        self.send_response(status)
        for key, value in {
            "Content-Length": str(len(body)),
            "Content-Type": "application/json",
            **(headers or {}),
        }.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def read_chunks(self) -> bytes:
        body = b""
        while self.headers.get("Transfer-Encoding") == "chunked" and (size := int(self.rfile.readline(), 16)):
            body += self.rfile.read(size)
            self.rfile.readline()
        return body
