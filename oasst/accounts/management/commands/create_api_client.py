"""Create an API client and its first key, or another key."""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any
from uuid import UUID

from django.core.management.base import CommandError

from oasst.accounts import api_clients
from oasst.accounts.development_key import KNOWN_SECRET
from oasst.accounts.models import ApiClient
from oasst.embedded.commands import ServiceCommand

_SHORT = 20


class Command(ServiceCommand):
    help = """Make an API client and print its key as the last line.

The key is shown only once, because the site stores a hash of it. A trusted client may also use operations for our own
front ends, such as changing users and moderating. Every call makes a new client, even if the name exists.

  create_api_client "Discord bot"
  KEY=$(./manage.py create_api_client website --trusted | tail -n 1)
  create_api_client website --trusted --key "$OLD_KEY"      a client that already has a key
  create_api_client --another-for 0190…                      a second key, for a change without downtime

API clients send the key in the header X-API-Key. In the admin, under "API clients", they are made, trusted, switched
off and get new keys as well."""

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", metavar="NAME", nargs="?", help="name of the client, for people who manage keys")
        parser.add_argument("--another-for", metavar="ID", type=UUID, help="one more key for this API client")
        parser.add_argument("--trusted", action="store_true", help="a front end of our own")
        parser.add_argument("--kind", default="", metavar="K", help="such as web, bot or import; it changes nothing")
        parser.add_argument("--email", default="", metavar="ADDRESS", help="of the person responsible")
        parser.add_argument("--key", metavar="KEY", help="use this key instead of making one")

    def handle(self, *args: Any, **options: Any) -> None:
        if (options["name"] is None) == (options["another_for"] is None):
            raise CommandError("Give either a NAME or --another-for ID.")
        if options["another_for"]:
            self._another_key(options["another_for"], options["key"])
            return
        client, key = api_clients.create_api_client(
            name=options["name"],
            trusted=options["trusted"],
            key=options["key"],
            frontend_type=options["kind"],
            admin_email=options["email"],
        )
        if key == KNOWN_SECRET:
            self.stderr.write(self.style.WARNING("1234 works only where OFFICIAL_WEB_API_KEY=1234 switches it on."))
        elif len(key) < _SHORT:
            self.stderr.write(self.style.WARNING("This key is short enough to be guessed. Keep it for development."))
        kind = "trusted" if client.trusted else "ordinary"
        self.stdout.write(f"Created the {kind} API client {client.name}, id {client.id}.\n{key}")

    def _another_key(self, client_id: UUID, key: str | None) -> None:
        client = ApiClient.objects.filter(pk=client_id).first()
        if client is None:
            raise CommandError("There is no API client with this id.")
        _, secret = api_clients.create_api_key(client, key=key)
        self.stdout.write(f"The API client {client.name} has another key. Revoke the old one later.\n{secret}")
