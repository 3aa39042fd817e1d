"""manage.py pg: run PostgreSQL's client programs on the database of the site."""

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
        program = programs.client_directory() / options["program"]
        if os.sep in options["program"] or not program.is_file():
            raise CommandError(f"PostgreSQL has no program called {options['program']}.")
        close_connections()  # this process only waits from here on
        done = subprocess.run([program, *options["arguments"]], env={**os.environ, **libpq_environment()})
        if done.returncode:
            raise CommandError(
                f"{options['program']} ended with exit code {done.returncode}.", returncode=done.returncode
            )


def libpq_environment() -> dict[str, str]:
    """Return the connection as environment variables of libpq, with every option of DATABASE_URL that has one, so that
    the programs use TLS if the site does. Unlike arguments, other users cannot read the environment.
    """
    database = connection.settings_dict
    options = database["OPTIONS"]
    values = {name: database[name.upper()] for name in ("host", "port", "user", "password")}
    values |= {**options, "dbname": database["NAME"]}
    # Without the lock timeout of the site: these programs wait for whole tables.
    values["options"] = options.get("options", "").removeprefix(settings.LOCK_TIMEOUT).strip()
    variables = {each.keyword.decode(): each.envvar for each in Conninfo.get_defaults() if each.envvar}
    return {variable.decode(): str(values[name]) for name, variable in variables.items() if values.get(name)}
