"""An S3 server on this machine: moto's, with a hook for each request."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3.session
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

from oasst.core.server_urls import Bucket

KEY_ID, SECRET = "AKIAFAKEFAKEFAKEFAKE", "a-secret-of-the-bucket"
NAME, FOLDER = "datasets", "oasst"


class _Silent(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class FakeBucket:
    """`before` is called with method and path of each request; `requests` remembers them."""

    def __init__(self, endpoint: str) -> None:
        self.bucket = Bucket(NAME, FOLDER, "us-east-1", endpoint)
        self.client: Any = boto3.session.Session(KEY_ID, SECRET, region_name="us-east-1").client(
            "s3", endpoint_url=endpoint
        )
        self.requests: list[str] = []
        self.before: Callable[[str, str], str | None] = lambda method, path: None

    def listed(self) -> list[str]:
        found = self.client.list_objects_v2(Bucket=NAME)
        return [one["Key"] for one in found.get("Contents", ())]

    def read(self, key: str) -> bytes:
        content: bytes = self.client.get_object(Bucket=NAME, Key=key)["Body"].read()
        return content

    def empty(self) -> None:
        for key in self.listed():
            self.client.delete_object(Bucket=NAME, Key=key)
        self.requests.clear()
        self.before = lambda method, path: None

    def puts(self) -> list[str]:
        """The paths of uploaded files, below the snapshot's."""
        return [line.partition(f"/{FOLDER}/")[2].partition("/")[2] for line in self.requests if line.startswith("PUT")]


@contextmanager
def fake_bucket() -> Iterator[FakeBucket]:
    application = DomainDispatcherApplication(create_backend_app)
    found: list[FakeBucket] = []

    def hooked(environ: Any, start_response: Any) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        if found:
            found[0].requests.append(f"{method} {path}")
            if status := found[0].before(method, path):
                start_response(status, [("Content-Type", "application/xml")])
                code = status.partition(" ")[2]
                return [f"<Error><Code>{code}</Code><Message>{SECRET}</Message></Error>".encode()]
        answer: Iterable[bytes] = application(environ, start_response)
        return answer

    server = make_server("127.0.0.1", 0, hooked, threaded=True, request_handler=_Silent)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        bucket = FakeBucket(f"http://127.0.0.1:{server.server_port}")
        bucket.client.create_bucket(Bucket=NAME)
        found.append(bucket)
        yield bucket
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
