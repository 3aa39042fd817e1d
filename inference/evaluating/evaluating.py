"""Measure a model, and the one it is compared with, on the part of a snapshot that neither was trained on."""

import hashlib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from inference.evaluating import answering, duels, held_out, reward_checks, shares, tasks
from inference.evaluating.answering import Answers
from inference.evaluating.formats import OtherLanguage
from inference.evaluating.held_out import TreeLoss
from inference.evaluating.judge_by_url import JudgeByUrl
from inference.evaluating.models import facts_of, open_model, refuse_reward_model
from inference.evaluating.prompts import SAFETY_FILE, prompts, safety_prompts
from inference.evaluating.report import ModelFacts, Report
from inference.evaluating.settings import Settings
from inference.evaluating.tasks import Marks, Task, read_tasks
from inference.training.errors import TrainingError
from inference.training.judging import Judge
from inference.training.samples import Funnel
from inference.training.snapshot import SnapshotFolder

REWARD_WINS, JUDGE_WINS = "reward", "judge"


@dataclass(frozen=True)
class Question:
    """What is to be found out. The same question has the same answer on the same machine, apart from a judge by URL."""

    model: Path
    snapshot: SnapshotFolder
    settings: Settings
    name: str = ""
    against: Path | None = None
    against_name: str = ""
    reward_model: Path | None = None
    reward_name: str = ""
    judge_key: str = ""
    """For the server of the judge; never in the report."""
    other_language: OtherLanguage | None = None
    """Without it nothing is said about languages."""
    say: Callable[[str], None] = field(default=lambda text: None)
    """Hears what is being done."""


def evaluate(question: Question) -> Report:
    """Return the report. Takes minutes.

    Raise TrainingError: `base` or `reward_model` for a folder without a fitting model, `broken` for a model that has or
    computes values that are no numbers, `changed`, `template`, `prompts`, `tasks`, `judge`.
    """
    return _Evaluation(question).run()


def sources(settings: Settings) -> dict[str, str]:
    """Return the SHA-256 of the files that an evaluation reads besides. Raise TrainingError (`config`)."""
    names = [*settings.tasks, *([settings.prompts_file] if settings.prompts_file else [])]
    files = {name: Path(name) for name in names} | ({SAFETY_FILE.name: SAFETY_FILE} if settings.safety else {})
    try:
        return {name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()}
    except OSError as error:
        raise TrainingError(f"A file of the settings cannot be read: {error}", code="config") from error


class _Evaluation:
    def __init__(self, question: Question) -> None:
        self.question = question
        self.settings = question.settings
        self.names = (question.name or question.model.name, question.against_name or _name_of(question.against))
        self.report = Report(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            model=_facts(question.model, self.names[0]),
            against=None if question.against is None else _facts(question.against, self.names[1]),
            snapshot=question.snapshot.digest,
            settings=self.settings.model_dump(mode="json"),
            sources=sources(self.settings),
        )

    def run(self) -> Report:
        losses, marks, parameters = [], [], []
        known = read_tasks(self.settings)
        for folder, name in self._models():
            found = self._without_answers(folder, name, known)
            losses.append(found[0])
            marks.append(found[1])
            parameters.append(found[2])
        self._note_losses(losses)
        self._note_marks(known, marks)
        for facts, number in zip((self.report.model, self.report.against), parameters, strict=False):
            assert facts is not None
            facts.parameters = number
        with self._timed("answers"):
            said = self._answers()
        with self._timed("reward model"):
            self._note_rewards(said)
        with self._timed("judge"):
            self._note_judge(said)
        self.report.sampling = [answering.as_sampling_report(one, self.settings) for one in said]
        return self.report

    def _models(self) -> list[tuple[Path, str]]:
        question = self.question
        return [
            (question.model, self.names[0]),
            *([(question.against, self.names[1])] if question.against is not None else []),
        ]

    @contextmanager
    def _timed(self, part: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.report.seconds[part] = round(time.monotonic() - started, 3)

    def _without_answers(self, folder: Path, name: str, known: list[Task]) -> tuple[list[TreeLoss], list[Marks], int]:
        """Return losses, marks and size of a model, which is in memory only meanwhile."""
        self.question.say(f"{name}: losses on the {self.settings.part} part …")
        with self._timed(f"losses of {name}"):
            opened = open_model(folder, name, self.settings.threads)
            funnel = Funnel()
            losses = held_out.tree_losses(opened, self.question.snapshot, self.settings, funnel)
            self.report.funnels["threads"] = funnel.as_values()
        with self._timed(f"tasks of {name}"):
            found = [tasks.marks(opened, task) for task in known]
        return losses, found, opened.facts.parameters

    def _note_losses(self, losses: list[list[TreeLoss]]) -> None:
        self.report.asked.append(held_out.PART)
        self.report.measures |= held_out.measures(losses[0], losses[1] if len(losses) > 1 else None, self.settings)

    def _note_marks(self, known: list[Task], marks: list[list[Marks]]) -> None:
        if known:
            self.report.asked.append(tasks.PART)
        for number, task in enumerate(known):
            self.report.measures |= tasks.measures(task, marks[0][number], marks[1][number] if len(marks) > 1 else None)

    def _answers(self) -> list[Answers]:
        funnel = Funnel()
        asked = prompts(self.question.snapshot, self.settings, funnel)
        self.report.funnels["prompts"] = funnel.as_values()
        asked += safety_prompts() if self.settings.safety else ()
        said = []
        for folder, name in self._models():
            self.question.say(f"{name}: answers to {len(asked)} prompts …")
            said.append(answering.ask(folder, name, asked, self.settings, self.question.other_language))
        other = said[1] if len(said) > 1 else None
        if self.settings.prompts:
            self.report.asked.append(shares.FORMAT)
            self.report.measures |= shares.format_measures(said[0], other)
        if self.settings.prompts and self.question.other_language is not None:
            self.report.asked.append(shares.LANGUAGE)
            self.report.measures |= shares.language_measures(said[0], other)
        if self.settings.safety:
            self.report.asked.append(shares.SAFETY)
            self.report.measures |= shares.safety_measures(said[0], other)
        return said

    def _note_rewards(self, said: list[Answers]) -> None:
        folder = self.question.reward_model
        if folder is None:
            return
        self.question.say("Scores of the reward model …")
        judge = Judge(folder)
        self.report.reward_model = facts_of(folder, self.question.reward_name or folder.name)
        funnel = Funnel()
        judged = reward_checks.judged_rankings(judge, self.question.snapshot, self.settings, funnel)
        self.report.funnels["rankings"] = funnel.as_values()
        self.report.asked.append(reward_checks.PART)
        self.report.measures |= reward_checks.measures(judged, self.settings)
        scores = duels.ScoresOf(judge)
        if len(said) > 1 and self.settings.prompts:
            self.report.asked.append(REWARD_WINS)
            self.report.measures |= duels.win_rates(REWARD_WINS, "the reward model", scores.decide, said[0], said[1])
        for one in said:
            scores.note(one)

    def _note_judge(self, said: list[Answers]) -> None:
        if not self.settings.judge_url or len(said) < 2 or not self.settings.prompts:
            return
        self.question.say("The judge compares …")
        judge = JudgeByUrl(self.settings.judge_url, self.settings.judge_model, key=self.question.judge_key)
        self.report.asked.append(JUDGE_WINS)
        self.report.measures |= duels.win_rates(JUDGE_WINS, "the judge", judge.decide, said[0], said[1])


def _facts(folder: Path, name: str) -> ModelFacts:
    refuse_reward_model(folder)
    return facts_of(folder, name)


def _name_of(folder: Path | None) -> str:
    return "" if folder is None else folder.name
