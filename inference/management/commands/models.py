"""manage.py models: list the models that the site knows, and change who may choose them."""

import argparse
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from inference.engine import weights
from inference.engine.base import EngineError
from inference.folders import folder_of
from inference.models import ServedModel
from inference.registry import models, offer
from inference.registry.stages import roll_back, set_stage, verdict_of
from oasst.embedded.commands import ServiceCommand


class Command(ServiceCommand):
    help = (
        "List the models that the site knows, or change who may choose one: models stage NAME staff|share|all|nobody, "
        "models roll_back, models add NAME. A site that runs follows within seconds."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", parser_class=argparse.ArgumentParser)
        acts.add_parser("list", help="the models, and who may choose them (the default)")
        stage = acts.add_parser("stage", help="change who may choose a model")
        stage.add_argument("name")
        stage.add_argument("stage", choices=ServedModel.Stage.values)
        stage.add_argument("--share", type=int, metavar="PERCENT", help="of the users, at the stage share")
        stage.add_argument("--reason", default="", help="for the audit log")
        stage.add_argument("--force", action="store_true", help="without an evaluation that passed; needs a reason")
        back = acts.add_parser("roll_back", help="take the last change of a stage back")
        back.add_argument("--reason", default="", help="for the audit log")
        add = acts.add_parser("add", help="add a model whose files are in OASST_HOME/models")
        add.add_argument("name")
        add.add_argument("--license", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["act"]:
            case "stage":
                row = set_stage(
                    options["name"],
                    options["stage"],
                    by=None,
                    share=options["share"],
                    reason=options["reason"],
                    force=options["force"],
                )
                self._say_stage(row)
            case "roll_back":
                self._say_stage(roll_back(None, options["reason"]))
            case "add":
                self._add(options["name"], options["license"])
            case _:
                self._list()

    def _say_stage(self, row: ServedModel) -> None:
        self.stdout.write(f"{row.name} is for {self._who(row)}. The default is {offer.default_model() or 'none'}.")

    def _add(self, name: str, license: str) -> None:
        try:
            row = models.register_fetched(name, license=license, digest=models.digest_of(name))
        except EngineError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{row.name} is known. `./manage.py models stage {row.name} staff` offers it to staff.")

    def _list(self) -> None:
        rows = list(ServedModel.objects.order_by("name"))
        default = offer.default_model()
        if not rows:
            self.stdout.write("No model is known yet. `./manage.py fetch_model --list` says which there are.")
        width = max((len(row.name) for row in rows), default=0)
        for row in rows:
            verdict = verdict_of(row.name)
            words = {None: "", True: ", passed its gate", False: ", did not pass its gate"}[
                verdict.passed if verdict is not None else None
            ]
            parent = f" from {row.parent_id}" if row.parent_id else ""
            mark = "*" if row.name == default else " "
            origin = row.get_origin_display().lower()
            self.stdout.write(
                f"{mark} {row.name:{width}}  {self._who(row):30} {self._size(row):>8}  {origin}{parent}{words}"
            )
        if rows:
            self.stdout.write("* answers who chose none.")

    def _who(self, row: ServedModel) -> str:
        if row.stage == ServedModel.Stage.NOBODY and row.name == settings.OASST_CHAT_MODEL:
            return "everybody (settings)"
        if row.stage == ServedModel.Stage.SHARE:
            return f"{row.share} % of the users"
        return str(row.get_stage_display()).lower()

    def _size(self, row: ServedModel) -> str:
        if not models.is_here(row.name):
            return "missing"
        return f"{weights.stored_bytes(folder_of(row.name)) / 1e6:.0f} MB"
