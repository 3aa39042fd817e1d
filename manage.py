#!/usr/bin/env python3
"""The command line of oasst: `./manage.py help` lists what it can do."""

import os
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

# Django's own commands that talk to the database. Ours say so themselves
# (oasst.embedded.commands.ServiceCommand).
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


BEGIN_A_SITE = ("makemigrations", "migrate")
"""Of those the ones that may be the first to use a home."""
VENV = Path(__file__).resolve().parent / ".venv"


def main() -> None:
    use_the_packages()
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
        with_servers(home, lambda: execute_from_command_line(sys.argv), begins=sys.argv[1] in BEGIN_A_SITE)
    else:
        execute_from_command_line(sys.argv)


def use_the_packages() -> None:
    """Go on as the Python of .venv where this one has no Django: `./manage.py` is what people type."""
    if find_spec("django"):
        return
    python = VENV / "bin" / "python"
    if python.exists() and Path(sys.prefix).resolve() != VENV.resolve():
        os.execv(python, [str(python), *sys.argv])  # noqa: S606  (ours, with the words that were typed)
    sys.exit("Django is not installed here. scripts/up installs all packages into .venv, and starts the site.")


def with_servers(home: Path, run: Callable[[], None], *, begins: bool) -> None:
    from oasst.embedded.commands import close_connections, ending_in_order, require_site
    from oasst.embedded.errors import ServiceError
    from oasst.embedded.servers import Embedded

    try:
        if not begins:
            require_site(home)
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
