"""What our commands share: they bring the embedded servers along, and they fail in a sentence."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.utils import OperationalError

from oasst import env
from oasst.core.command_lines import manage
from oasst.core.errors import DomainError
from oasst.core.locks import waits_are_busy
from oasst.embedded.errors import ServiceError
from oasst.embedded.instance_lock import address_of_running
from oasst.embedded.servers import Embedded


class ServiceCommand(BaseCommand):
    """A command that needs the database: works beside a running `up` and without one.

    The embedded servers are started when nobody has, and stopped at the end when nobody else uses them.
    """

    needs_tables = True
    begins_site = False
    """Whether it may be the first to use a home."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        with ExitStack() as stack:
            try:
                stack.enter_context(ending_in_order())
                if not self.begins_site:
                    require_site(settings.OASST_HOME)
                stack.enter_context(Embedded(settings.OASST_HOME))
                stack.enter_context(at_the_running_site())
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


def require_site(home: Path) -> None:
    """Raises ServiceError where nobody has used this home yet: most often it is not the one that was meant."""
    if not Embedded(home).is_used():
        raise ServiceError(
            f"No site in {home} yet. If yours is kept elsewhere, set OASST_HOME to that directory. scripts/up, or "
            f"`{manage('migrate')}`, begins one here."
        )


@contextmanager
def at_the_running_site() -> Iterator[None]:
    """Links that a command prints lead to the site that runs for this home, whatever PORT and PUBLIC_URL it was given.

    Where this shell sets one of the two, that holds. Nothing else changes: what is derived from PUBLIC_URL is for
    whoever answers requests.
    """
    told = env.text("PORT") or env.text("PUBLIC_URL")
    address = "" if told else address_of_running(settings.OASST_HOME)
    before = settings.PUBLIC_URL
    settings.PUBLIC_URL = address or before
    try:
        yield
    finally:
        settings.PUBLIC_URL = before


def require_tables() -> None:
    try:
        tables = connection.introspection.table_names()
    except OperationalError as error:
        raise CommandError(f"The database does not answer: {error}") from error
    if "django_migrations" not in tables:
        which = "that DATABASE_URL names" if env.text("DATABASE_URL") else f"of {settings.OASST_HOME}"
        raise CommandError(f"The database {which} has no tables yet: run scripts/up or `{manage('migrate')}` first.")


def close_connections() -> None:
    """Before the server goes: a pool that loses its server complains and tries again."""
    for one in connections.all(initialized_only=True):
        if one.in_atomic_block:  # a test calls the command inside its own transaction
            continue
        one.close()
        if close_pool := getattr(one, "close_pool", None):
            close_pool()
