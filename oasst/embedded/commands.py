"""Base class of our management commands: it starts the embedded servers and turns errors into one sentence."""

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
from oasst.core.command_lines import manage_command, running_command
from oasst.core.errors import DomainError
from oasst.core.locks import timeouts_as_busy
from oasst.embedded.errors import ServiceError
from oasst.embedded.instance_lock import running_site_url
from oasst.embedded.servers import EmbeddedServers


class ServiceCommand(BaseCommand):
    """A command that needs the database. It works beside a running `up` and without one.

    It starts the embedded servers if they do not run, and stops them at the end if no other process uses them.
    """

    needs_tables = True
    begins_site = False
    """True if the command may create a new site in an empty OASST_HOME."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        with ExitStack() as stack:
            try:
                stack.enter_context(exit_on_sigterm())
                if not self.begins_site:
                    require_site(settings.OASST_HOME)
                stack.enter_context(EmbeddedServers(settings.OASST_HOME))
                stack.enter_context(use_running_site_url())
                stack.callback(close_connections)
                if self.needs_tables:
                    require_tables()
                token = running_command.set(type(self).__module__.rpartition(".")[2])
                stack.callback(running_command.reset, token)
                with timeouts_as_busy():
                    return super().execute(*args, **options)
            except ServiceError as error:
                raise CommandError(str(error)) from error
            except DomainError as error:
                raise CommandError(f"{error.message} [{error.code}]") from error


@contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """Make SIGTERM unwind the stack as Ctrl-C does, so that the servers we started are stopped."""

    def exit_on_signal(number: int, _frame: object) -> None:
        sys.exit(128 + number)

    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, exit_on_signal)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def require_site(home: Path) -> None:
    """Raise ServiceError if there is no site in this home: most often OASST_HOME is wrong."""
    if not EmbeddedServers(home).has_database():
        raise ServiceError(
            f"No site in {home} yet. If yours is kept elsewhere, set OASST_HOME to that directory. scripts/up, or "
            f"`{manage_command('migrate')}`, begins one here."
        )


@contextmanager
def use_running_site_url() -> Iterator[None]:
    """Set PUBLIC_URL to the address of the site that runs for this home, so that links a command prints lead there.

    PORT or PUBLIC_URL in the environment take precedence. Settings derived from PUBLIC_URL stay as they are: only
    processes that answer requests use them.
    """
    is_set = env.text("PORT") or env.text("PUBLIC_URL")
    address = "" if is_set else running_site_url(settings.OASST_HOME)
    original = settings.PUBLIC_URL
    settings.PUBLIC_URL = address or original
    try:
        yield
    finally:
        settings.PUBLIC_URL = original


def require_tables() -> None:
    try:
        tables = connection.introspection.table_names()
    except OperationalError as error:
        raise CommandError(f"The database does not answer: {error}") from error
    if "django_migrations" not in tables:
        which = "that DATABASE_URL names" if env.text("DATABASE_URL") else f"of {settings.OASST_HOME}"
        raise CommandError(
            f"The database {which} has no tables yet: run scripts/up or `{manage_command('migrate')}` first."
        )


def close_connections() -> None:
    """Close connections and pools before the server stops: a pool that loses its server logs errors and reconnects."""
    for wrapper in connections.all(initialized_only=True):
        if wrapper.in_atomic_block:  # a test calls the command inside its own transaction
            continue
        wrapper.close()
        if close_pool := getattr(wrapper, "close_pool", None):
            close_pool()
