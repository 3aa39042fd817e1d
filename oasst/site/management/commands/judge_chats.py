"""manage.py judge_chats: let a reward model find questions that the chat answers badly."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import CommandError

from inference.runs import environment
from inference.training.errors import TrainingError
from oasst.embedded.commands import ServiceCommand
from oasst.site.flywheel.evaluating import folder_of_reward_model
from trees import hard_prompts
from trees.policies.reading import current_policy


class Command(ServiceCommand):
    help = (
        "Let a reward model judge the last answers to the newest first questions of chats whose people let them be "
        "used, and propose the questions with the lowest scores to moderators, as prompts. Takes minutes. "
        "Example: ./manage.py judge_chats --reward ID_OF_THE_TRAINING"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--reward", required=True, metavar="MODEL", help="a reward model: a folder, or the id of its training"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if missing := environment.missing_in_words():
            raise CommandError(missing)
        from inference.training.judging import Judge

        environment.step_back()
        try:
            judge = Judge(folder_of_reward_model(options["reward"]))
            new = hard_prompts.propose_lowest(current_policy(), judge.scores)
        except TrainingError as error:
            raise CommandError(f"{error.message} [{error.code}]") from error
        self.stdout.write(f"Questions proposed to moderators: {new}.")
