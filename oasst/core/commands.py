"""What our commands share: they bring the embedded servers along, and they fail in a sentence."""

from contextlib import ExitStack
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection, connections
from django.db.utils import OperationalError

from oasst.core.errors import DomainError
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
                stack.enter_context(Embedded(settings.OASST_HOME))
                stack.callback(close_connections)
                if self.needs_tables:
                    require_tables()
                return super().execute(*args, **options)
            except ServiceError as error:
                raise CommandError(str(error)) from error
            except DomainError as error:
                raise CommandError(f"{error.message} [{error.code}]") from error


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
