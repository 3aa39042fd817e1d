"""What our commands share: they bring the embedded servers along, and they fail in a sentence."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.utils import OperationalError

from oasst.core.errors import DomainError
from oasst.core.locks import waits_are_busy
from oasst.services.embedded import Embedded
from oasst.services.errors import ServiceError


class ServiceCommand(BaseCommand):
    """A command that needs the database: works beside a running `up` and without one.

    The embedded servers are started when nobody has, and stopped at the end when nobody else uses them.
    """

    needs_tables = True

    def execute(self, *args: Any, **options: Any) -> str | None:
        with ExitStack() as stack:
            try:
                stack.enter_context(ending_in_order())
                stack.enter_context(Embedded(settings.OASST_HOME))
                stack.callback(close_connections)
                if self.needs_tables:
                    require_tables()
                with waits_are_busy():
                    return super().execute(*args, **options)
            except ServiceError as error:
                raise CommandError(str(error)) from error
            except DomainError as error:
                raise CommandError(f"{error.message} [{error.code}]") from error


@contextmanager
def ending_in_order() -> Iterator[None]:
    """SIGTERM unwinds the stack like Ctrl-C does, so that what was started is stopped."""

    def leave(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def require_tables() -> None:
    try:
        tables = connection.introspection.table_names()
    except OperationalError as error:
        raise CommandError(f"The database does not answer: {error}") from error
    if "django_migrations" not in tables:
        raise CommandError("The database has no tables yet: run scripts/up or `manage.py migrate` first.")


def close_connections() -> None:
    """Before the server goes: a pool that loses its server complains and tries again."""
    for one in connections.all(initialized_only=True):
        if one.in_atomic_block:  # a test calls the command inside its own transaction
            continue
        one.close()
        if close_pool := getattr(one, "close_pool", None):
            close_pool()
