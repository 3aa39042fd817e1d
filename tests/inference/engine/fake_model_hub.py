"""The parts of the Hugging Face hub's API that a download of a model uses, and a plain file server, on this machine."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

COMMIT = "c" * 40


@dataclass
class ModelHub:
    """Serves `files` as the repository some/model, and below /plain/."""

    files: dict[str, bytes] = field(default_factory=dict)
    url: str = ""
    cut_after: int = 0
    """The next answer with weights or an archive is cut after so many bytes, once. 0: never."""
    lies_about: str = ""
    """The file whose digest is told wrong."""
    ranges: list[str] = field(default_factory=list)
    """The ranges that were asked for."""


def _handler(hub: ModelHub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            if path.startswith("/api/models/some/model"):
                self.describe(path)
            elif path.startswith((f"/some/model/resolve/{COMMIT}/", "/plain/")):
                name = path.removeprefix("/plain/").removeprefix(f"/some/model/resolve/{COMMIT}/")
                self.send(hub.files.get(name))
            else:
                self.send(None)

        do_HEAD = do_GET

        def describe(self, path: str) -> None:
            files = [
                {
                    "rfilename": name,
                    "type": "file",
                    "path": name,
                    "oid": hashlib.sha1(content, usedforsecurity=False).hexdigest(),
                    "size": len(content),
                    **({"lfs": self.lfs(name, content)} if name.endswith(".safetensors") else {}),
                }
                for name, content in hub.files.items()
            ]
            found: Any = files if "/tree/" in path else {"id": "some/model", "sha": COMMIT, "siblings": files}
            self.send(json.dumps(found).encode())

        def lfs(self, name: str, content: bytes) -> dict[str, Any]:
            digest = hashlib.sha256(content).hexdigest()
            digest = "0" * 64 if name == hub.lies_about else digest
            return {"sha256": digest, "oid": digest, "size": len(content), "pointerSize": 130}

        def send(self, content: bytes | None) -> None:
            start = 0
            if content is not None and (asked := self.headers.get("Range")):
                hub.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").partition("-")[0])
            status = 404 if content is None else 416 if start and start >= len(content) else 206 if start else 200
            self.send_response(status)
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            body = (content or b"")[start:]
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content or b"").hexdigest()}"')
            self.send_header("Content-Length", str(len(body)))
            if status == 206:
                self.send_header("Content-Range", f"bytes {start}-{len(content or b'') - 1}/{len(content or b'')}")
            self.end_headers()
            if self.command == "GET":
                is_large = self.path.endswith((".safetensors", ".tar.gz"))
                if hub.cut_after and is_large and len(body) > hub.cut_after:
                    body, hub.cut_after = body[: hub.cut_after], 0
                self.wfile.write(body)

    return Handler


@contextmanager
def model_hub(files: dict[str, bytes]) -> Iterator[ModelHub]:
    hub = ModelHub(files)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
