"""manage.py best_of: let a model answer each prompt several times, and keep what a reward model likes best."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

from inference.folders import folder_of_base
from inference.runs import environment
from inference.training.errors import TrainingError
from oasst.embedded.commands import ServiceCommand
from oasst.site.flywheel.evaluating import folder_of_reward_model
from oasst.site.flywheel.snapshots import snapshot_here


class Command(ServiceCommand):
    help = (
        "Let a model answer each prompt of a snapshot several times, let a reward model judge the answers, and write "
        "the best ones as a folder that `python -m inference.training sft --snapshot FOLDER` learns from (rejection "
        "sampling). They stay marked as written by a model. Says how good the best of 1, 2, 4 and 8 is. "
        "Example: ./manage.py best_of smollm2-135m-instruct --reward ID_OF_THE_TRAINING --snapshot 2026.1 --to best"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("model", help="its name in the registry, or a folder")
        parser.add_argument(
            "--reward", required=True, metavar="MODEL", help="a reward model: a folder, or the id of its training"
        )
        parser.add_argument("--snapshot", required=True, metavar="NAME", help="as snapshot_list shows it")
        parser.add_argument("--to", required=True, type=Path, metavar="FOLDER", help="what is written")
        parser.add_argument("--answers", type=int, default=8, metavar="N", help="to each prompt (default: 8)")
        parser.add_argument("--keep", type=int, default=1, metavar="N", help="of these (default: 1)")
        parser.add_argument("--prompts", type=int, default=0, metavar="N", help="the first so many; default: all")
        parser.add_argument("--answer-length", type=int, default=256, metavar="TOKENS", help="at most (default: 256)")
        parser.add_argument("--temperature", type=float, default=1.0, help="(default: 1)")
        parser.add_argument("--seed", type=int, default=0, help="the same one gives the same answers here (default: 0)")

    def handle(self, *args: Any, **options: Any) -> None:
        if missing := environment.missing_in_words():
            raise CommandError(missing)
        if not 0 < options["keep"] <= options["answers"] or options["prompts"] < 0:
            raise CommandError("Keep at least one answer, and no more than --answers.")
        environment.step_back()
        try:
            self._select(options)
        except TrainingError as error:
            raise CommandError(f"{error.message} [{error.code}]") from error

    def _select(self, options: dict[str, Any]) -> None:
        from inference.engine.sampling import InvalidSetting, Sampling
        from inference.training import best_of
        from inference.training.judging import Judge
        from inference.training.sampling import Sampler
        from inference.training.snapshot import open_snapshot

        try:
            sampling = Sampling(max_tokens=options["answer_length"], temperature=options["temperature"])
        except InvalidSetting as error:
            raise CommandError(error.message) from error
        folder = folder_of_base(options["model"])
        judge = Judge(folder_of_reward_model(options["reward"]))
        prompts = best_of.prompts_of(open_snapshot(snapshot_here(options["snapshot"]).folder), "train")
        prompts = prompts[: options["prompts"] or len(prompts)]
        self.stdout.write(f"{options['answers']} answers to each of {len(prompts)} prompts …")
        scored = best_of.score(
            prompts, Sampler(folder), judge, n=options["answers"], config=sampling, seed=options["seed"]
        )
        best_of.write_selection(
            scored, options["to"], keep=options["keep"], model_name=options["model"], reward_model=options["reward"]
        )
        for size, value in best_of.curve(scored).items():
            self.stdout.write(f"The best of {size}: score {value:.3f}")
        self.stdout.write(f"{options['to']} written.")
