"""One line of JSON for each log message, with the bound values of the request."""

import json
import logging

import pytest
import structlog

from oasst.core import logs


@pytest.fixture(autouse=True)
def _as_before() -> "object":
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level
    structlog.contextvars.clear_contextvars()


def test_json_lines_carry_the_request(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OASST_PROCESS", "web")
    logs.configure({"level": "INFO", "style": "json"})
    structlog.contextvars.bind_contextvars(request_id="abc")
    logging.getLogger("celery.something").info("hello %s", "world", extra={"tree": 7})
    structlog.get_logger("ours").warning("careful", n=1)
    try:
        raise ValueError("reason")
    except ValueError:
        logging.getLogger("django.request").exception("failed")
    logging.getLogger("kombu").info("chatter")

    first, second, third = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["event"], first["tree"], first["level"], first["logger"]) == (
        "hello world",
        7,
        "info",
        "celery.something",
    )
    assert (second["event"], second["n"]) == ("careful", 1)
    assert "ValueError: reason" in third["exception"]
    assert {line["request_id"] for line in (first, second, third)} == {"abc"}
    assert {line["process"] for line in (first, second, third)} == {"web"}
    assert first["timestamp"]


def test_human_lines_are_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure({"level": "INFO", "style": "human"})
    logging.getLogger("ours").info("hello")
    line = capsys.readouterr().err
    assert "hello" in line and not line.startswith("{")
