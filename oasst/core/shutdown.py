"""Hooks that stop long-lived parts, such as engine threads and background loops, before a serving process ends."""

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)
_hooks: list[Callable[[], None]] = []


def on_shutdown(hook: Callable[[], None]) -> None:
    """Call `hook` once before the process ends. It may take a few seconds at most."""
    _hooks.append(hook)


def run_hooks() -> None:
    """Call the hooks, the newest first. A hook that fails does not stop the others."""
    while _hooks:
        hook = _hooks.pop()
        try:
            hook()
        except Exception:
            logger.exception("shutdown hook failed: %r", hook)
