"""Structured logs of everything that runs in our processes: our code, Django, Celery, the web server.

One JSON object a line, or lines for people when they go to a terminal. What is bound with
structlog.contextvars (the request id) stands in every line that the request causes. What looks like a secret is taken
out of every line, and of the traceback of a process that ends by one, and what would command a terminal is written out
(oasst.core.redaction).
"""

import logging
import logging.config
import os
import sys
import threading
import traceback
from collections.abc import Iterator, MutableMapping
from typing import Any, TextIO

import structlog

from oasst.core import redaction

# Talkative at INFO without telling an operator anything.
_QUIET = (
    "daphne",
    "twisted",
    "kombu",
    "amqp",
    "asyncio",
    "celery.worker.strategy",
    "django_prometheus",
    "urllib3",
)

_shared: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def _name_process(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Which child of `up` wrote this."""
    if name := os.environ.get("OASST_PROCESS"):
        event.setdefault("process", name)
    return event


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The last before a line is rendered, for our own lines and those of libraries, tracebacks included."""
    return redaction.redact_fields(event)


# One list for the life of the process: loggers keep it, and tests capture lines by changing it in place.
_processors: list[Any] = [
    structlog.stdlib.filter_by_level,
    *_shared,
    structlog.stdlib.PositionalArgumentsFormatter(),
    _name_process,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


class RedactingHandler(logging.StreamHandler[TextIO]):
    """Where a line cannot be written, Python's own would print it as it came, with all its arguments."""

    def handleError(self, record: logging.LogRecord) -> None:
        kind = sys.exception().__class__.__name__
        print(f"A line of {record.name} could not be logged: {kind}", file=sys.__stderr__)


def configure(wanted: dict[str, str]) -> None:
    """Send the logs of this process to standard error. Django calls this with the setting LOGGING.

    level: the least that is shown. style: json, human, or auto (human on a terminal).
    """
    level, style = wanted["level"], wanted["style"]
    human = style == "human" or (style == "auto" and sys.stderr.isatty())
    redaction.learn(_secrets_of_this_site())
    # Exceptions as text: the prettier traceback of structlog shows the values of variables.
    plain = structlog.dev.plain_traceback
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain)
        if human
        else structlog.processors.JSONRenderer()
    )
    finish = [structlog.processors.format_exc_info, _redact, renderer]
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {
                "structured": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "foreign_pre_chain": [*_shared, _name_process],
                    "processors": [structlog.stdlib.ProcessorFormatter.remove_processors_meta, *finish],
                }
            },
            "handlers": {
                "stderr": {
                    "class": "oasst.core.logs.RedactingHandler",
                    "stream": "ext://sys.stderr",
                    "formatter": "structured",
                }
            },
            "root": {"handlers": ["stderr"], "level": level},
            "loggers": {
                # Django's defaults bring handlers of their own; everything goes through ours, once.
                "django": {"handlers": [], "level": "NOTSET", "propagate": True},
                "django.server": {"handlers": [], "level": "NOTSET", "propagate": True},
                **({name: {"level": "WARNING"} for name in _QUIET} if level != "DEBUG" else {}),
            },
        }
    )
    structlog.configure(
        processors=_processors,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    logging.captureWarnings(True)
    _redact_last_words()


def _secrets_of_this_site() -> Iterator[str]:
    """What the settings hold that nobody else may know, wherever it turns up."""
    from django.conf import settings  # late: Django calls us while it is being set up

    for name in (
        *("SECRET_KEY", "AUTH_SECRET", "METRICS_TOKEN", "OFFICIAL_WEB_API_KEY", "EMAIL_HOST_PASSWORD"),
        *("HUGGING_FACE_API_KEY", "ENGINE_KEY"),
    ):
        yield str(getattr(settings, name, "") or "")
    yield from getattr(settings, "ROOT_TOKENS", ())
    yield from getattr(settings, "SECRET_KEY_FALLBACKS", ())
    yield from (str(one.get("PASSWORD") or "") for one in settings.DATABASES.values())
    for provider in getattr(settings, "SOCIALACCOUNT_PROVIDERS", {}).values():
        yield from (app["secret"] for app in provider.get("APPS", ()))


def _redact_last_words() -> None:
    """A process or thread that ends by an exception says so without passing the logs."""

    def write(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
        sys.stderr.write(redaction.clean("".join(traceback.format_exception(kind, error, trace)).rstrip("\n")) + "\n")

    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = write
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda given: write(given.exc_type, given.exc_value, given.exc_traceback)
