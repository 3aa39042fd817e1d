#!/usr/bin/env python
"""The command line of oasst: `manage.py help` lists what it can do."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

# Django's own commands that talk to the database. Ours say so themselves
# (oasst.core.commands.ServiceCommand).
NEED_SERVERS = (
    "changepassword",
    "clearsessions",
    "createsuperuser",
    "dbshell",
    "dumpdata",
    "flush",
    "inspectdb",
    "loaddata",
    "makemigrations",
    "migrate",
    "remove_stale_contenttypes",
    "shell",
    "showmigrations",
    "sqlflush",
    "sqlmigrate",
)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oasst.settings")
    from django.conf import settings
    from django.core.management import execute_from_command_line

    from oasst.env import BadVariable
    from oasst.services.errors import ServiceError

    try:
        home = settings.OASST_HOME
    except (BadVariable, ServiceError) as error:
        sys.exit(f"Configuration: {error}")
    if len(sys.argv) > 1 and sys.argv[1] in NEED_SERVERS and "--help" not in sys.argv:
        with_servers(home, lambda: execute_from_command_line(sys.argv))
    else:
        execute_from_command_line(sys.argv)


def with_servers(home: Path, run: Callable[[], None]) -> None:
    from oasst.core.commands import close_connections, ending_in_order
    from oasst.services.embedded import Embedded
    from oasst.services.errors import ServiceError

    try:
        with ending_in_order(), Embedded(home):
            try:
                run()
            finally:
                close_connections()
    except ServiceError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)  # what was started has been stopped on the way here; where it happened is nobody's concern
