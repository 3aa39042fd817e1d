"""Structured logs of everything that runs in our processes: our code, Django, Celery, the web server.

One JSON object a line, or lines for people when they go to a terminal. What is bound with
structlog.contextvars (the request id) stands in every line that the request causes.
"""

import logging
import logging.config
import os
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

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


# One list for the life of the process: loggers keep it, and tests capture lines by changing it in place.
_processors: list[Any] = [
    structlog.stdlib.filter_by_level,
    *_shared,
    structlog.stdlib.PositionalArgumentsFormatter(),
    _name_process,
    structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
]


def configure(wanted: dict[str, str]) -> None:
    """Send the logs of this process to standard error. Django calls this with the setting LOGGING.

    level: the least that is shown. style: json, human, or auto (human on a terminal).
    """
    level, style = wanted["level"], wanted["style"]
    human = style == "human" or (style == "auto" and sys.stderr.isatty())
    finish: list[Any] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
        if human
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
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
                    "class": "logging.StreamHandler",
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
