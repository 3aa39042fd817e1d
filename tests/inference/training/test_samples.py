"""From rows of a snapshot to tokens: what is learned, what is cut, what is left out and why."""

from pathlib import Path
from typing import Any

import pytest

from inference.engine.chat_template import ChatTemplate
from inference.engine.loading import LoadedModel
from inference.training import samples
from inference.training.config import Dpo, Kto, Reward, Sft
from inference.training.errors import TrainingError
from inference.training.samples import NO_LABEL, Conversation, Funnel
from inference.training.snapshot import SnapshotFolder, open_snapshot
from tests.inference.training.making import BAD, GOOD, ask, judged, pair, prompt, ranking, thread, write_snapshot

LONG = "very " * 200


@pytest.fixture
def template(tiny_model: LoadedModel) -> ChatTemplate:
    return ChatTemplate(tiny_model.tokenizer, for_training=True)


def snapshot(folder: Path, form: str, *rows: Any) -> SnapshotFolder:
    return write_snapshot(folder, {form: {"train": rows}})


class Reader:
    """Reads samples back as text."""

    def __init__(self, tiny_model: LoadedModel) -> None:
        self._tokenizer = tiny_model.tokenizer

    def text(self, ids: list[int]) -> str:
        found: str = self._tokenizer.decode(ids)
        return found

    def learned(self, one: Conversation) -> str:
        assert all(label in (NO_LABEL, token) for token, label in zip(one.ids, one.labels, strict=True))
        return self.text([label for label in one.labels if label != NO_LABEL])


@pytest.fixture
def reader(tiny_model: LoadedModel) -> Reader:
    return Reader(tiny_model)


class TestConversations:
    def read(
        self, folder: Path, template: ChatTemplate, *rows: Any, **settings: Any
    ) -> tuple[list[Conversation], Funnel]:
        funnel = Funnel()
        config = Sft(**settings)
        return samples.conversations(snapshot(folder, "threads", *rows), "train", template, config, funnel), funnel

    def test_the_answers_are_learned(self, tmp_path: Path, template: ChatTemplate, reader: Reader) -> None:
        (one,), funnel = self.read(tmp_path, template, thread(1, "Hi", " Hello \n", "More", "Bye"))
        assert reader.learned(one) == "Hello<|im_end|>Bye<|im_end|>"
        assert (funnel.rows, funnel.samples, funnel.left_out.total()) == (1, 1, 0)

    def test_what_two_conversations_share_is_learned_once(
        self, tmp_path: Path, template: ChatTemplate, reader: Reader
    ) -> None:
        first, second = thread(1, "Hi", "Hello", "More", "Bye"), thread(1, "Hi", "Hello", "Else", "So")
        second["message_ids"][2:] = ["other", "another"]
        found, _ = self.read(tmp_path, template, first, second)
        assert [reader.learned(one) for one in found] == ["Hello<|im_end|>Bye<|im_end|>", "So<|im_end|>"]
        assert "Hello" in reader.text(found[1].ids)

    def test_long_conversations_are_cut_between_turns(
        self, tmp_path: Path, template: ChatTemplate, reader: Reader
    ) -> None:
        texts = [text for number in range(6) for text in (f"Question {number}", f"Answer {number}")]
        found, _ = self.read(tmp_path, template, thread(1, *texts), max_length=100)
        assert len(found) > 1 and all(len(one.ids) <= 100 for one in found)
        assert all(reader.text(one.ids).startswith("<|im_start|>user\nQuestion") for one in found)
        assert "".join(map(reader.learned, found)) == "".join(f"Answer {number}<|im_end|>" for number in range(6))

    def test_of_a_turn_that_is_too_long_the_answer_loses_its_end(
        self, tmp_path: Path, template: ChatTemplate, reader: Reader
    ) -> None:
        (one,), _ = self.read(tmp_path, template, thread(1, "Hi", LONG), max_length=64)
        assert len(one.ids) == 64 and reader.text(one.ids).startswith("<|im_start|>user\nHi<|im_end|>")
        assert "<|im_end|>" not in reader.learned(one), "or it would learn to end in the middle of a sentence"

    def test_a_question_that_leaves_no_room_is_left_out(self, tmp_path: Path, template: ChatTemplate) -> None:
        found, funnel = self.read(tmp_path, template, thread(1, LONG, "Yes"), thread(2, "Hi", "Yes"), max_length=64)
        assert len(found) == 1 and funnel.as_values()["left_out"] == {"too long": 1}

    def test_only_the_best_replies(self, tmp_path: Path, template: ChatTemplate, reader: Reader) -> None:
        rows = [thread(number, "Hi", f"Answer {number}", top_k=top_k) for number, top_k in enumerate((1, 2, 3, None))]
        found, funnel = self.read(tmp_path, template, *rows, top_k=2)
        assert [reader.learned(one)[:8] for one in found] == ["Answer 0", "Answer 1"]
        assert funnel.left_out["not among the best replies"] == 2

    def test_one_language(self, tmp_path: Path, template: ChatTemplate) -> None:
        found, funnel = self.read(tmp_path, template, thread(1), thread(2, lang="de"), langs=("de",))
        assert len(found) == funnel.rows == 1

    def test_some_of_them_the_same_ones_each_time(self, tmp_path: Path, template: ChatTemplate) -> None:
        rows = [thread(number) for number in range(20)]
        first, funnel = self.read(tmp_path / "a", template, *rows, most_samples=5)
        second, _ = self.read(tmp_path / "b", template, *rows, most_samples=5)
        other, _ = self.read(tmp_path / "c", template, *rows, most_samples=5, seed=1)
        assert first == second != other and len(first) == 5 and funnel.left_out["more than wanted"] == 15

    def test_nothing_to_learn_from(self, tmp_path: Path, template: ChatTemplate) -> None:
        with pytest.raises(TrainingError, match="no conversations to learn from in the snapshot") as refused:
            self.read(tmp_path, template)
        assert refused.value.code == "empty"

    def test_nothing_is_left(self, tmp_path: Path, template: ChatTemplate) -> None:
        with pytest.raises(TrainingError, match=r"of 1: 1 not among the best replies"):
            self.read(tmp_path, template, thread(1, top_k=3), top_k=1)


class TestPairs:
    def read(self, folder: Path, template: ChatTemplate, *rows: Any, **settings: Any) -> tuple[list[Any], Funnel]:
        funnel = Funnel()
        return samples.pairs(snapshot(folder, "pairs", *rows), "train", template, Dpo(**settings), funnel), funnel

    def test_two_answers_to_one_prompt(self, tmp_path: Path, template: ChatTemplate, reader: Reader) -> None:
        (one,), _ = self.read(tmp_path, template, pair(1, share=0.8))
        assert reader.text(one.prompt) == f"<|im_start|>user\n{ask(1)}<|im_end|>\n<|im_start|>assistant\n"
        assert reader.text(one.chosen) == f"{GOOD}<|im_end|>" and reader.text(one.rejected) == f"{BAD}<|im_end|>"
        assert one.share == 0.8

    def test_ranks_without_people_are_certain(self, tmp_path: Path, template: ChatTemplate) -> None:
        (one,), _ = self.read(tmp_path, template, pair(1, share=None))
        assert one.share == 1

    def test_near_ties(self, tmp_path: Path, template: ChatTemplate) -> None:
        rows = [pair(1, share=0.55, near_tie=True), pair(2)]
        found, funnel = self.read(tmp_path / "a", template, *rows)
        assert len(found) == 1 and funnel.left_out["near tie"] == 1
        found, _ = self.read(tmp_path / "b", template, *rows, near_ties=True)
        assert len(found) == 2

    def test_the_oldest_turns_go_first(self, tmp_path: Path, template: ChatTemplate, reader: Reader) -> None:
        row = pair(1)
        row["prompt"] = [
            {"role": "user", "content": LONG},
            {"role": "assistant", "content": "So"},
            {"role": "user", "content": "And now?"},
        ]
        (one,), _ = self.read(tmp_path, template, row, max_length=80)
        assert reader.text(one.prompt).startswith("<|im_start|>user\nAnd now?")

    def test_an_answer_that_does_not_fit_is_never_cut(self, tmp_path: Path, template: ChatTemplate) -> None:
        row = pair(1)
        row["rejected"] = [{"role": "assistant", "content": LONG}]
        found, funnel = self.read(tmp_path, template, row, pair(2), max_length=80)
        assert len(found) == 1 and funnel.left_out["too long"] == 1


class TestOrders:
    def test_the_best_ones_and_the_worst(self, tmp_path: Path, template: ChatTemplate, reader: Reader) -> None:
        folder = snapshot(tmp_path, "rankings", ranking(1, *(f"Answer {number}" for number in range(6))))
        (one,) = samples.orders(folder, "train", template, Reward(most_replies=3), Funnel())
        assert [reader.text(answer) for answer in one.answers] == [f"Answer {n}<|im_end|>" for n in (0, 1, 5)]
        assert one.ranks == [0, 1, 5]

    def test_trees_without_rankings(self, tmp_path: Path, template: ChatTemplate) -> None:
        with pytest.raises(TrainingError, match="no rankings of replies"):
            samples.orders(snapshot(tmp_path, "rankings"), "train", template, Reward(), Funnel())


class TestJudged:
    def test_good_and_bad(self, tmp_path: Path, template: ChatTemplate) -> None:
        folder = snapshot(tmp_path, "kto", judged(1, good=True), judged(2, good=False))
        assert [one.good for one in samples.judged(folder, "train", template, Kto(), Funnel())] == [True, False]

    def test_only_good_ones_teach_no_difference(self, tmp_path: Path, template: ChatTemplate) -> None:
        with pytest.raises(TrainingError, match="All replies in the snapshot are good") as refused:
            samples.judged(snapshot(tmp_path, "kto", judged(1, good=True)), "train", template, Kto(), Funnel())
        assert refused.value.code == "one_sided"


def test_prompts(tmp_path: Path) -> None:
    found = samples.prompts(snapshot(tmp_path, "prompts", prompt(1), prompt(2)), "train", Sft(), Funnel())
    assert [[one.content for one in messages] for messages in found] == [[ask(1)], [ask(2)]]


class TestSnapshots:
    def test_a_part_for_validation_may_be_empty(self, tmp_path: Path, template: ChatTemplate) -> None:
        folder = snapshot(tmp_path, "threads", thread(1))
        assert samples.conversations(folder, "validation", template, Sft(), Funnel()) == []

    def test_a_file_that_was_changed(self, tmp_path: Path) -> None:
        folder = snapshot(tmp_path, "threads", thread(1))
        with (tmp_path / "data/threads/train.jsonl.zst").open("ab") as file:
            file.write(b"x")
        with pytest.raises(TrainingError, match="not as the manifest says") as refused:
            list(folder.rows("threads", "train"))
        assert refused.value.code == "changed"

    def test_a_file_that_is_missing(self, tmp_path: Path) -> None:
        folder = snapshot(tmp_path, "threads", thread(1))
        (tmp_path / "data/threads/train.jsonl.zst").unlink()
        with pytest.raises(TrainingError, match="is missing"):
            list(folder.rows("threads", "train"))

    @pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"files": 3}', "\x00"])
    def test_a_folder_that_is_none(self, tmp_path: Path, content: str | None) -> None:
        if content is not None:
            (tmp_path / "manifest.json").write_text(content)
        with pytest.raises(TrainingError, match="is no folder of a snapshot") as refused:
            open_snapshot(tmp_path)
        assert refused.value.code == "no_snapshot"

    def test_the_digest_is_that_of_the_manifest(self, tmp_path: Path) -> None:
        first = snapshot(tmp_path / "a", "threads", thread(1)).digest
        assert snapshot(tmp_path / "b", "threads", thread(1)).digest == first
        assert snapshot(tmp_path / "c", "threads", thread(2)).digest != first
