"""Base class of commands that work on files alone: without a site, a database or Redis."""

import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from oasst.core.errors import DomainError
from oasst.embedded.commands import exit_on_sigterm


class FileCommand(BaseCommand):
    requires_system_checks: list[str] = []

    def execute(self, *args: Any, **options: Any) -> str | None:
        try:
            with exit_on_sigterm():
                return super().execute(*args, **options)
        except DomainError as error:
            raise CommandError(f"{error.message} [{error.code}]") from error
        except BrokenPipeError:  # the reader of standard output, such as `head`, has ended
            sys.stderr.close()
            sys.exit(141)
