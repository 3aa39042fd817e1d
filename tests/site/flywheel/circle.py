"""One whole turn, as the people of a site take it: from conversations to a model, and from its chats to conversations.

`test_circle` does it with a tiny model, `long_circle` with a real one (`scripts/bench flywheel`).
"""

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from statistics import mean
from typing import Any

import pytest
import torch
from django.core.management import call_command
from django.core.management.base import CommandError
from safetensors.torch import load_file, save_file

from inference.battles import battles
from inference.battles.contestants import Kind
from inference.battles.rating import rate
from inference.chats import asking
from inference.engine.base import Finish
from inference.models import Battle, BattleBoard, Chat, Evaluation, ServedModel, TrainingRun
from inference.registry import offer
from inference.turns.events import Done
from inference.turns.local_engine import open_models
from oasst.accounts.models import User
from tests.crowd import work_until
from tests.factories import new_people
from tests.inference.talking import POLICY, content, fresh, last, watch
from tests.paths import SAMPLE
from tests.trees.chats import answered_chat
from tests.trees.interchange.test_snapshots import content as content_of_file
from trees import donations, hard_prompts
from trees.lifecycle.states import State
from trees.models import Donation, HardPrompt, Message
from trees.policies.reading import current_policy


@dataclass
class Circle:
    """A site. Each method is one act, and checks what the person who does it sees."""

    home: Path
    base: str
    plan: Sequence[str]
    """Changes of the plan, as `--set` takes them."""
    staff: User
    say: Callable[[str], None]

    @property
    def model(self) -> str:
        return f"{self.base}-first-dpo"

    def freeze(self, name: str) -> Path:
        """Freeze a snapshot and return its folder."""
        folder = self.home / "out" / name
        self.run("snapshot_create", name=name, output=folder, include_synthetic=True)
        return folder

    def learn(self) -> None:
        """Conversations are imported and frozen; the model that learned from them is offered to staff."""
        self.run("import_trees", SAMPLE, license="Apache-2.0")
        self.freeze("first")
        self.run("flywheel", snapshot="first", base=self.base, changes=self.plan)
        runs = {run.method: run for run in TrainingRun.objects.all()}
        for run in runs.values():
            self.say(f"{run.method}: {run.steps} steps in {run.seconds:.0f} s, {run.peak_bytes / 1e9:.1f} GB at most")
        self._changed(runs["sft"], "loss", better=-1)
        self._changed(runs["reward"], "accuracy")
        self._changed(runs["dpo"], "margin")
        assert ServedModel.objects.get(pk=self.model).stage == "staff"
        assert self.model in offer.models_for(self.staff)

    def _changed(self, run: TrainingRun, figure: str, *, better: int = 1) -> None:
        """The last third of the steps is better than the first third."""
        found = [point.figures[figure] for point in run.points.order_by("step") if figure in point.figures]
        first, then = mean(found[: len(found) // 3]), mean(found[-(len(found) // 3) :])
        self.say(f"{run.method}: {figure} {first:.3f}, then {then:.3f}")
        assert (then - first) * better > 0, f"{run.method} learned nothing: {found}"

    def refuse_a_broken_model(self) -> None:
        """The new model with its weights in disorder: its files are whole, and what it says is noise."""
        source = self.home / "broken"
        shutil.copytree(self.home / ServedModel.objects.get(pk=self.model).folder, source)
        _put_in_disorder(source / "model.safetensors")
        self.run("fetch_model", "broken", source=str(source))
        changes = [change.removeprefix("evaluation.") for change in self.plan if change.startswith("evaluation.")]
        with pytest.raises(CommandError, match="refuse"):
            self.run("evaluate", "broken", against=self.base, snapshot="first", changes=changes)
        self.say(" ".join(Evaluation.objects.get(model="broken").reasons))
        with pytest.raises(CommandError, match="did not pass its gate"):
            self.run("models", "stage", "broken", "all")
        assert "broken" not in offer.models_for(self.staff)

    def chat(self, text: str, **chosen: Any) -> Chat:
        """Somebody of the staff asks the new model, again if it wrote nothing or found no end."""
        chat = Chat.objects.create(user=self.staff)
        options: dict[str, Any] = {"user": self.staff, "policy": POLICY, "model": self.model}
        with _answering():
            turn = asking.start_turn(chat_id=chat.pk, text=text, chosen={**chosen, "seed": 1}, **options)
            for seed in range(2, 9):
                assert isinstance(last(watch(turn.pk)), Done) and fresh(turn).model == self.model
                if content(turn) and fresh(turn).finish_reason != Finish.LENGTH:
                    break
                question = turn.message.parent_id
                turn = asking.answer_again(message_id=question, chosen={**chosen, "seed": seed}, **options)
        self.say(f"{text} {content(turn)}")
        return chat

    def compare(self, text: str) -> None:
        """They compare the new model with the old one, without knowing which is which, and see the board."""
        with _answering():
            battle = battles.begin(user=self.staff, text=text, kind=Kind.MODELS, policy=POLICY)
            for answer_id in (battle.left_id, battle.right_id):
                assert isinstance(last(watch(answer_id)), Done)
        assert {battle.left_model, battle.right_model} == {self.base, self.model}
        side = "left" if battle.left_model == self.model else "right"
        battles.decide(user=self.staff, battle_id=battle.pk, outcome=side, why=["clear"])
        Battle.objects.update(is_check=False)  # drawn by chance
        assert rate() >= 1
        board = BattleBoard.objects.get(lang="")
        self.say(f"Board: {[(row['model'], row['points']) for row in board.standing]}")
        assert board.standing[0]["model"] == self.model

    def give(self, chat: Chat) -> Donation:
        """They give the chat to the data set, where people write beside the model and rank all replies."""
        part: dict[str, Any] = {"upto": None, "alone": False, "lang": "en", "policy": current_policy()}
        seen = donations.get_offer_for(self.staff, chat.pk, **part)
        assert seen.refusal is None, seen.refusal
        masked = [spot.key for piece in seen.pieces for spot in piece.spots]
        given = donations.give(user=self.staff, chat_id=chat.pk, masked=masked, seen=seen.digest, **part)
        work_until(given.tree, State.READY_FOR_EXPORT, current_policy(), new_people(8))
        ranked = Message.objects.filter(tree=given.tree_id, depth=1, rank__isnull=False)
        self.say(f"The model's rank among {len(ranked)} replies: {[one.rank for one in ranked if one.synthetic]}")
        assert {reply.synthetic for reply in ranked} == {True, False}
        return given

    def judge_chats(self) -> None:
        """The reward model reads what was answered, and proposes what was answered worst to moderators."""
        for number in range(hard_prompts.LEAST_JUDGED):
            said = "It is near. " * (1 + number % 4)
            answered_chat(self.staff, (f"How far is it to town number {number}, on foot?", said))
        self.run("judge_chats", reward=str(TrainingRun.objects.get(method="reward").pk))
        found = list(HardPrompt.objects.values_list("text", "why"))
        self.say(f"Proposed: {found}")
        assert found and all(why == ["low_score"] for _, why in found)

    def find(self, given: Donation, folder: Path) -> None:
        """The snapshot has the answer of the model, marked as what it is, and where people put it."""
        text = Message.objects.get(tree=given.tree_id, synthetic=True).text
        (answer,) = [row for row in _rows(folder, "messages") if row["synthetic"] and row["text"] == text]
        assert (answer["model_name"], answer["user_id"]) == (self.model, None) and answer["rank"] is not None
        orders = [row["ranked_message_ids"] for row in _rows(folder, "ranking_events")]
        assert any(answer["message_id"] in order for order in orders)

    def train_on_what_people_prefer(self) -> None:
        """What they preferred in the chat is in the next snapshot, if it is for this site alone."""
        folder = self.home / "out" / "third"
        self.run("snapshot_create", name="third", output=folder, include_chats=True)
        (pair,) = _rows(folder, "chat_pairs")
        assert (pair["source"], pair["chosen_model"], pair["rejected_model"]) == ("battle", self.model, self.base)

    def run(self, *words: str, **options: Any) -> None:
        out = StringIO()
        try:
            call_command(*words, stdout=out, **options)
        finally:
            self.say(out.getvalue().rstrip())


def go_around(circle: Circle, question: str, **chosen: Any) -> None:
    """Take the circle once."""
    circle.learn()
    circle.refuse_a_broken_model()
    given = circle.give(circle.chat(question, **chosen))
    circle.compare("Which is heavier, iron or wood?")
    circle.find(given, circle.freeze("second"))
    circle.train_on_what_people_prefer()
    circle.judge_chats()


def _rows(folder: Path, form: str) -> list[dict[str, Any]]:
    files = sorted((folder / "data" / form).glob("*.jsonl.zst"))
    return [json.loads(line) for file in files for line in content_of_file(file).splitlines()]


@contextmanager
def _answering() -> Iterator[None]:
    """The models of this process answer, as in a web server."""
    models = open_models()
    models.start()
    try:
        yield
    finally:
        models.stop()


def _put_in_disorder(file: Path) -> None:
    chance = torch.Generator().manual_seed(20240107)
    tensors = load_file(file)
    for name, values in tensors.items():
        order = torch.randperm(values.numel(), generator=chance)
        tensors[name] = values.flatten()[order].reshape(values.shape).contiguous()
    save_file(tensors, file, metadata={"format": "pt"})
