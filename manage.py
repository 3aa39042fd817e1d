#!/usr/bin/env python3
"""The command line of oasst: `./manage.py help` lists what it can do."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

# Django's own commands that use the database. Ours are subclasses of oasst.embedded.commands.ServiceCommand.
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
MAY_CREATE_HOME = ("makemigrations", "migrate")
VENV = Path(__file__).resolve().parent / ".venv"


def main() -> None:
    use_venv()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oasst.settings")
    from django.conf import settings
    from django.core.management import execute_from_command_line

    from oasst.embedded.errors import ServiceError
    from oasst.env import BadVariable

    try:
        home = settings.OASST_HOME
    except (BadVariable, ServiceError) as error:
        sys.exit(f"Configuration: {error}")
    if len(sys.argv) > 1 and sys.argv[1] in NEED_SERVERS and "--help" not in sys.argv:
        run_with_servers(home, lambda: execute_from_command_line(sys.argv), may_create=sys.argv[1] in MAY_CREATE_HOME)
    else:
        execute_from_command_line(sys.argv)


def use_venv() -> None:
    """Restart with the Python of .venv if this one has no Django, so that `./manage.py` just works."""
    if find_spec("django"):
        return
    python = VENV / "bin" / "python"
    if python.exists() and Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606
    sys.exit("Django is not installed here. scripts/up installs all packages into .venv, and starts the site.")


def run_with_servers(home: Path, run: Callable[[], None], *, may_create: bool) -> None:
    from oasst.embedded.commands import close_connections, exit_on_sigterm, require_site
    from oasst.embedded.errors import ServiceError
    from oasst.embedded.servers import EmbeddedServers

    try:
        if not may_create:
            require_site(home)
        with exit_on_sigterm(), EmbeddedServers(home):
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
        sys.exit(130)  # everything is stopped by now, and a traceback would not help
