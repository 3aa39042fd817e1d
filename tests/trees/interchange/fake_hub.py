"""The parts of the Hugging Face hub's API that a push uses, on this machine."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "hf_a_token_that_may_write"


@dataclass
class Repository:
    private: bool
    commits: list[dict[str, bytes]] = field(default_factory=lambda: [{".gitattributes": b"*.parquet filter=lfs\n"}])
    tags: dict[str, str] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, bytes]:
        return self.commits[-1]

    @property
    def head(self) -> str:
        return f"{len(self.commits):040x}"


class FakeHub:
    """`refuse` maps the start of a path to the status that it is answered with."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.repositories: dict[str, Repository] = {}
        self.large: dict[str, bytes] = {}
        self.uploads = 0
        self.refuse: dict[str, int] = {}


def _is_large(path: str) -> bool:
    return path.endswith((".parquet", ".zst", ".safetensors"))


def _oid(path: str, content: bytes) -> str:
    if _is_large(path):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _handler(hub: FakeHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            if "/resolve/" in urlsplit(self.path).path:
                self.download()
            else:
                self.answer(b"")

        do_HEAD = do_GET

        def download(self) -> None:
            _, _, owner, name, _, commit, path = urlsplit(self.path).path.split("/", 6)
            content = hub.repositories[f"{owner}/{name}"].commits[int(commit, 16) - 1].get(path)
            self.send_response(404 if content is None else 200)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", commit)
            self.send_header("ETag", hashlib.sha256(content or b"").hexdigest())
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content or b"")

        def do_POST(self) -> None:
            self.answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

        do_PUT = do_POST

        def answer(self, body: bytes) -> None:
            path = urlsplit(self.path).path
            status = next((code for start, code in hub.refuse.items() if path.startswith(start)), 0)
            if not status and "/upload/" not in path and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                status = 401
            found: Any = {"error": "refused"}
            if not status:
                status, found = self.act(path, body)
            content = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def act(self, path: str, body: bytes) -> tuple[int, Any]:
            if path == "/api/validate-yaml":
                return 200, {"errors": [], "warnings": []}
            if path == "/api/repos/create":
                return self.create(json.loads(body))
            if path.startswith("/upload/"):
                hub.uploads += 1
                hub.large[path.rpartition("/")[2]] = body
                return 200, {}
            if path.endswith(".git/info/lfs/objects/batch"):
                return 200, {"objects": [self.large_file(one) for one in json.loads(body)["objects"]]}
            _, _, kind, owner, name, *rest = path.split("/")
            repository = hub.repositories.get(f"{owner}/{name}")
            if kind not in ("datasets", "models") or repository is None:
                return 404, {"error": "Repository not found"}
            return self.about(repository, f"{owner}/{name}", rest, body)

        def create(self, wanted: dict[str, Any]) -> tuple[int, Any]:
            assert wanted.get("type", "model") in ("dataset", "model")
            name = f"{wanted['organization']}/{wanted['name']}"
            if name in hub.repositories:
                return 409, {"error": "You already created this repo", "url": f"{hub.url}/datasets/{name}"}
            is_private = wanted.get("private") is True or wanted.get("visibility") == "private"
            hub.repositories[name] = Repository(private=is_private)
            return 200, {"url": f"{hub.url}/datasets/{name}"}

        def large_file(self, wanted: dict[str, Any]) -> dict[str, Any]:
            if wanted["oid"] in hub.large:
                return wanted
            return {**wanted, "actions": {"upload": {"href": f"{hub.url}/upload/{wanted['oid']}"}}}

        def about(self, repository: Repository, name: str, rest: list[str], body: bytes) -> tuple[int, Any]:
            match rest:
                case [] | ["revision", _]:
                    return 200, {"id": name, "sha": repository.head, "siblings": []}
                case ["tree", _]:
                    facts = repository.files.items()
                    return 200, [
                        {"type": "file", "path": path, "size": len(content), "oid": _oid(path, content)}
                        for path, content in facts
                    ]
                case ["preupload", _]:
                    return 200, {"files": [self.mode(repository, one) for one in json.loads(body)["files"]]}
                case ["commit", _]:
                    return self.commit(repository, name, [json.loads(line) for line in body.splitlines()])
                case ["refs"]:
                    tags = [
                        {"name": tag, "ref": f"refs/tags/{tag}", "targetCommit": commit}
                        for tag, commit in repository.tags.items()
                    ]
                    return 200, {"branches": [], "converts": [], "tags": tags}
                case ["tag", revision]:
                    tag = json.loads(body)["tag"]
                    if tag in repository.tags:
                        return 409, {"error": "Tag reference exists already"}
                    repository.tags[tag] = revision
                    return 200, {}
            return 404, {"error": "unknown path"}

        def mode(self, repository: Repository, wanted: dict[str, Any]) -> dict[str, Any]:
            path = wanted["path"]
            oid = _oid(path, repository.files[path]) if path in repository.files else None
            mode = "lfs" if _is_large(path) else "regular"
            return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid}

        def commit(self, repository: Repository, name: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
            files = dict(repository.files)
            for line in lines[1:]:
                value = line["value"]
                if line["key"] == "file":
                    files[value["path"]] = base64.b64decode(value["content"])
                elif line["key"] == "lfsFile":
                    files[value["path"]] = hub.large[value["oid"]]
                    assert hashlib.sha256(files[value["path"]]).hexdigest() == value["oid"]
                else:
                    assert line["key"] == "deletedFile"
                    del files[value["path"]]
            repository.commits.append(files)
            url = f"{hub.url}/datasets/{name}/commit/{repository.head}"
            return 200, {"commitUrl": url, "commitOid": repository.head}

    return Handler


@contextmanager
def fake_hub() -> Iterator[FakeHub]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    hub = FakeHub(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = _handler(hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
