"""Structured logs of everything that runs in our processes: our code, Django, Celery, the web server.

One JSON object per line, or readable lines on a terminal. Each line has the values bound with structlog.contextvars,
such as the request id. `oasst.core.redaction` removes secrets and terminal control characters from every line, and
from the traceback of a process that crashes.
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

# Their INFO lines do not help an operator.
_QUIET = ("daphne", "twisted", "kombu", "amqp", "asyncio", "celery.worker.strategy", "django_prometheus", "urllib3")

_shared: list[Any] = [
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
]


def _name_process(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the name of the process that `up` started."""
    if name := os.environ.get("OASST_PROCESS"):
        event.setdefault("process", name)
    return event


def _redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Remove secrets. Runs last before rendering, for all lines and their tracebacks."""
    return redaction.redact_fields(event)


# Never replace this list: loggers keep it, and tests change it in place to capture lines.
_processors: list[Any] = [
    structlog.stdlib.filter_by_level,
    *_shared,
    structlog.stdlib.PositionalArgumentsFormatter(),
    _name_process,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


class RedactingHandler(logging.StreamHandler[TextIO]):
    """A handler that reports a line it cannot write without its arguments, which may be secret."""

    def handleError(self, record: logging.LogRecord) -> None:
        kind = sys.exception().__class__.__name__
        print(f"A line of {record.name} could not be logged: {kind}", file=sys.__stderr__)


def configure(config: dict[str, str]) -> None:
    """Send the logs of this process to standard error. Django calls this with the setting LOGGING.

    `level` is the lowest level shown, `style` is json, human, or auto (human on a terminal).
    """
    level, style = config["level"], config["style"]
    human = style == "human" or (style == "auto" and sys.stderr.isatty())
    redaction.register_secrets(_secrets_of_this_site())
    # Not structlog's rich traceback, which shows the values of variables.
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
                # Without Django's own handlers, which would log each line a second time.
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
    _redact_crashes()


def _secrets_of_this_site() -> Iterator[str]:
    """Yield all secrets in the settings."""
    from django.conf import settings  # late, because Django calls `configure` during its setup

    for name in (
        *("SECRET_KEY", "AUTH_SECRET", "METRICS_TOKEN", "OFFICIAL_WEB_API_KEY", "EMAIL_HOST_PASSWORD"),
        *("AWS_SECRET_ACCESS_KEY", "HF_TOKEN"),
        *("HUGGING_FACE_API_KEY", "ENGINE_KEY"),
    ):
        yield str(getattr(settings, name, "") or "")
    yield from getattr(settings, "ROOT_TOKENS", ())
    yield from getattr(settings, "SECRET_KEY_FALLBACKS", ())
    yield from (str(database.get("PASSWORD") or "") for database in settings.DATABASES.values())
    for provider in getattr(settings, "SOCIALACCOUNT_PROVIDERS", {}).values():
        yield from (app["secret"] for app in provider.get("APPS", ()))


def _redact_crashes() -> None:
    """Redact the traceback of a process or thread that ends by an exception, which bypasses logging."""

    def write(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
        sys.stderr.write(
            redaction.clean_line("".join(traceback.format_exception(kind, error, trace)).rstrip("\n")) + "\n"
        )

    if sys.excepthook is sys.__excepthook__:
        sys.excepthook = write
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = lambda args: write(args.exc_type, args.exc_value, args.exc_traceback)
