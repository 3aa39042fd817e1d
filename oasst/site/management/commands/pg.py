"""PostgreSQL's own programs, pointed at the database of the site."""

import argparse
import os
import subprocess
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connection
from psycopg.pq import Conninfo

from oasst.embedded import programs
from oasst.embedded.commands import ServiceCommand, close_connections


class Command(ServiceCommand):
    help = (
        "Run a program of PostgreSQL on the database of the site, for example `pg psql`, "
        "`pg pg_dump --format=custom --file=oasst.dump` or `pg pg_restore --list oasst.dump`."
    )
    needs_tables = False  # restoring begins with an empty database

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("program", help="psql, pg_dump, pg_restore, vacuumdb, …")
        parser.add_argument("arguments", nargs=argparse.REMAINDER, help="its arguments")

    def handle(self, *args: Any, **options: Any) -> None:
        program = programs.for_clients() / options["program"]
        if os.sep in options["program"] or not program.is_file():
            raise CommandError(f"PostgreSQL has no program called {options['program']}.")
        close_connections()  # this process only waits
        done = subprocess.run([program, *options["arguments"]], env={**os.environ, **where()})
        if done.returncode:
            raise CommandError(
                f"{options['program']} ended with exit code {done.returncode}.", returncode=done.returncode
            )


def where() -> dict[str, str]:
    """The connection in the variables that all these programs read. The environment of a process is its own.

    All that DATABASE_URL says and libpq has a variable for, so that they speak TLS where the site does.
    """
    given = connection.settings_dict
    options = given["OPTIONS"]
    known = {"host": given["HOST"], "port": given["PORT"], "user": given["USER"], "password": given["PASSWORD"]}
    known |= {**options, "dbname": given["NAME"]}
    # Locks of the site are short; these programs wait for whole tables.
    known["options"] = options.get("options", "").removeprefix(settings.LOCK_TIMEOUT).strip()
    variables = {one.keyword.decode(): one.envvar for one in Conninfo.get_defaults() if one.envvar}
    return {variable.decode(): str(known[name]) for name, variable in variables.items() if known.get(name)}
