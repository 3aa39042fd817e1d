"""A toxicity classifier on this machine: as slow, wrong or broken as a test wants."""

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SCORE = 0.25


def scores_of(text: str) -> list[dict[str, Any]]:
    """Return an answer of a Hugging Face classifier: "toxic" in a text makes it toxic."""
    score = 0.9 if "toxic" in text else SCORE
    labels = ("toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit")
    return [{"label": label, "score": score if label == "toxicity" else 0.01} for label in labels]


class FakeClassifier:
    """`texts` lists the texts asked about, `headers` those of the last request. The other fields say how to answer."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.headers: dict[str, str] = {}
        self.status = 200
        self.retry_after = ""
        self.answer: Callable[[dict[str, Any]], bytes] = _hugging_face
        self.refuses: Callable[[str], int | None] = lambda text: None  # a status for this text
        self.hold = threading.Event()  # until it is set, no request gets an answer
        self.hold.set()
        self.drips = False  # each answer comes byte by byte and never ends
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                text = body.get("inputs") or body["comment"]["text"]
                outer.headers = {name.lower(): value for name, value in self.headers.items()}
                outer.texts.append(text)
                outer.hold.wait(60)
                self.send_response(outer.refuses(text) or outer.status)
                if outer.retry_after:
                    self.send_header("Retry-After", outer.retry_after)
                self.end_headers()
                with suppress(OSError):  # the client left
                    while outer.drips:
                        self.wfile.write(b" ")
                        time.sleep(0.01)
                    self.wfile.write(outer.answer(body))

            def log_message(self, *args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}/score"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.hold.set()
        self.drips = False
        self.server.shutdown()
        self.server.server_close()


def _hugging_face(body: dict[str, Any]) -> bytes:
    return json.dumps([scores_of(body["inputs"])]).encode()


def perspective(body: dict[str, Any]) -> bytes:
    score = 0.9 if "toxic" in body["comment"]["text"] else SCORE
    return json.dumps(
        {
            "attributeScores": {
                name: {"summaryScore": {"value": score, "type": "PROBABILITY"}} for name in body["requestedAttributes"]
            }
        }
    ).encode()
