"""What has to be stopped before a serving process ends: engine threads, background loops.

A part that starts something long-lived adds a hook; the process that serves calls them all when it is told
to stop.
"""

import logging
from collections.abc import Callable

logger = logging.getLogger(__name__)
_hooks: list[Callable[[], None]] = []


def on_shutdown(hook: Callable[[], None]) -> None:
    """Call `hook` once before the process ends. It may take a few seconds, not more."""
    _hooks.append(hook)


def run_hooks() -> None:
    """Last registered, first stopped. A hook that fails does not keep the others from running."""
    while _hooks:
        hook = _hooks.pop()
        try:
            hook()
        except Exception:
            logger.exception("shutdown hook failed: %r", hook)
