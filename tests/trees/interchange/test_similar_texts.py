"""What exports, snapshots and file tools leave out as nearly the same, and which topics they choose."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError
from django.test import Client
from django.utils import timezone

from oasst.core.errors import Invalid
from tests.factories import conversation
from tests.paths import SAMPLE
from tests.trees.interchange.test_oasst_data import lines_of, node, numbers, tree, write
from tests.trees.interchange.test_oasst_data import run as run_on_files
from tests.trees.interchange.test_snapshots import bring, create, digests, manifest_of, run, texts_in
from tests.wire.conftest import Wire
from trees import jobs
from trees.interchange.selection import from_options
from trees.interchange.wordings import Wordings
from trees.models import Message, NearDuplicate, PromptTopic, Topic, WaitingComparison
from trees.models.similarity import DIMENSIONS

BREAD = "How do I bake a good sourdough bread in an ordinary oven at home?"
BREAD_AGAIN = "How do I bake a very good sourdough bread in an ordinary oven at home?"
BAKING = "Which steps turn flour and water into a loaf?"
CATS = "Why do cats purr when somebody strokes them behind the ears?"
ANSWER = "Take flour, water and salt, knead them for ten minutes, and let the dough rest for a whole night."
ANSWER_AGAIN = "Take flour, water and salt, knead them for ten minutes, and let the dough rest for a long night."


@pytest.fixture(autouse=True)
def _own_places(settings: Any, tmp_path: Path) -> None:
    settings.SNAPSHOT_SALT = "a long secret that nobody can guess"
    settings.SNAPSHOT_FOLDER = tmp_path / "snapshots"


def firsts(*texts: str, kind: str = "prompt en") -> list[str]:
    wordings = Wordings()
    return [text for n, text in enumerate(texts) if wordings.earlier(text, kind=kind, key=str(n)) is None]


class TestWordings:
    def test_the_first_of_a_group_stays(self) -> None:
        assert firsts(BREAD, CATS, BREAD_AGAIN, BREAD.upper()) == [BREAD, CATS]
        assert firsts(BREAD_AGAIN, BREAD) == [BREAD_AGAIN]

    def test_a_chain_is_no_group(self) -> None:
        """Each text is compared with those that stay, so it is like one of them itself."""
        letters = "abcdefghijklmnopqrstuvwxyz0123456789"
        chain = [letters[start : start + 28] for start in (0, 4, 8)]
        assert firsts(*chain[:2]) == chain[:1] and firsts(*chain[1:]) == chain[1:2]
        assert firsts(*chain) == [chain[0], chain[2]]

    def test_other_kinds_and_what_is_called_different_are_not_compared(self) -> None:
        wordings = Wordings()
        assert wordings.earlier(BREAD, kind="prompt en", key="1") is None
        assert wordings.earlier(BREAD, kind="reply en", key="2") is None
        assert wordings.earlier(BREAD_AGAIN, kind="prompt en", key="3", different={"1"}) is None
        assert wordings.earlier(BREAD_AGAIN, kind="prompt en", key="4") == "1"

    def test_texts_that_are_too_short_or_strange(self) -> None:
        texts = ["Thank you!", "Thank you!", "", "\0", "\ud800" * 30, "\ud800" * 30, "🍞" * 100, "🍞" * 100]
        assert firsts(*texts) == texts
        assert len(firsts("x" * 50_000, "x" * 60_000)) == 1


def told_texts(path: Path) -> list[str]:
    """Return the texts of the trees in a file, each before its replies."""
    found: list[str] = []
    for line in lines_of(path):
        waiting = [line["prompt"]]
        while waiting:
            one = waiting.pop()
            found.append(one["text"])
            waiting.extend(reversed(one.get("replies", [])))
    return found


class TestFiles:
    def test_what_repeats_goes_with_what_follows_it(self, tmp_path: Path) -> None:
        first = tree(node(1, node(2, node(3), text=ANSWER), node(4, text=ANSWER_AGAIN), text=BREAD))
        second = tree(node(5, node(6), text=BREAD_AGAIN))
        third = tree(node(7, node(8, text=BREAD), node(9, node(10), text=ANSWER), text=BREAD, lang="de"))
        path = write(tmp_path / "in.jsonl", first, second, third)
        _, told = run_on_files("filter", path, tmp_path / "out.jsonl", "--without-near-duplicates")
        assert numbers(tmp_path / "out.jsonl") == [1, 2, 3, 7, 8, 9, 10]
        assert "Left out as nearly the same as an earlier one: 2 messages." in told

    def test_single_messages(self, tmp_path: Path) -> None:
        first, second = (tree(node(n, text=BREAD, user_id="u")) for n in (1, 2))
        path = write(tmp_path / "in.jsonl", first, second)
        run_on_files("filter", path, tmp_path / "out.jsonl", "--user", "u", "--without-near-duplicates")
        assert numbers(tmp_path / "out.jsonl") == [1]

    def test_a_file_that_is_given_twice_under_other_ids(self, tmp_path: Path) -> None:
        once = tmp_path / "1.jsonl"
        once.write_text("".join(SAMPLE.read_text().splitlines(keepends=True)[:10]))
        again = tmp_path / "2.jsonl"
        again.write_text(
            re.sub(r'(_id": ?")(.)', lambda found: f"{found[1]}{15 - int(found[2], 16):x}", once.read_text())
        )
        for out, paths in (("one.jsonl", [once]), ("two.jsonl", [once, again])):
            run_on_files("filter", *paths, tmp_path / out, "--without-near-duplicates")
        texts = told_texts(tmp_path / "one.jsonl")
        assert len(texts) > 50
        assert [text for text in told_texts(tmp_path / "two.jsonl") if len(text) > 40] == [
            text for text in texts if len(text) > 40
        ]


def talk(prompt: str, *answers: str) -> Any:
    """Return a finished tree with these texts, for a file."""
    line: Any = conversation(answers=len(answers))
    line["prompt"]["text"] = prompt
    for reply, text in zip(line["prompt"]["replies"], answers, strict=True):
        reply["text"] = text
    return line


@pytest.fixture
def talks(db: None, tmp_path: Path) -> None:
    bring(
        tmp_path / "in.jsonl", talk(BREAD, ANSWER, ANSWER_AGAIN), talk(BREAD_AGAIN, "Buy it."), talk(BAKING), talk(CATS)
    )


def message(text: str) -> Message:
    return Message.objects.get(text=text)


def pair(first: str, second: str, status: str = "open", **scores: float) -> NearDuplicate:
    one, other = sorted((message(first), message(second)), key=lambda found: found.pk)
    decided = None if status == "open" else timezone.now()
    return NearDuplicate.objects.create(first=one, second=other, status=status, decided_at=decided, **scores)


OPTION = "--without-near-duplicates"


class TestSnapshots:
    def test_only_the_first_is_taken_in_and_the_others_are_counted(self, talks: None, tmp_path: Path) -> None:
        said = create("2026.1", tmp_path / "out", OPTION)
        assert texts_in(tmp_path / "out") == {BREAD, ANSWER, BAKING, CATS}
        assert "Left out of the trees: near_duplicate (1)." in said
        manifest = manifest_of(tmp_path / "out")
        assert manifest["left_out"]["trees"] == {"near_duplicate": 1}
        assert manifest["left_out"]["messages"] == {"below_one_left_out": 1, "near_duplicate": 1}
        assert manifest["filters"]["near_duplicates"] is False
        assert manifest["near_duplicates"]["prompts"] == {"compared": 3, "near_duplicates": 0, "unknown": 0}
        readme = " ".join((tmp_path / "out" / "README.md").read_text().split())
        assert "| trees | nearly the same as an earlier one | 1 |" in readme
        assert "of messages that are nearly the same only the first is in it" in readme

    def test_the_same_bytes_whatever_moderators_decide_later(self, talks: None, tmp_path: Path) -> None:
        create("2026.1", tmp_path / "first", OPTION)
        pair(BREAD, BREAD_AGAIN, "dismissed", wording=0.9)
        create("2026.1", tmp_path / "second", OPTION)
        assert digests(tmp_path / "first") == digests(tmp_path / "second")
        with pytest.raises(CommandError, match="other options: near_duplicates False"):
            create("2026.1", tmp_path / "third")
        create("2026.2", tmp_path / "next", OPTION)
        assert BREAD_AGAIN in texts_in(tmp_path / "next"), "a moderator called it different enough"

    def test_pairs_by_meaning_count(self, talks: None, tmp_path: Path) -> None:
        pair(BREAD, BAKING, meaning=0.91)
        create("2026.1", tmp_path / "out", OPTION)
        assert texts_in(tmp_path / "out") == {BREAD, ANSWER, CATS}

    def test_what_is_like_one_that_is_left_out_stays(self, talks: None, tmp_path: Path) -> None:
        """Of each group something is published, even if moderators removed the first."""
        Message.objects.filter(tree=message(BREAD).tree).update(deleted=True)
        create("2026.1", tmp_path / "out", OPTION)
        assert texts_in(tmp_path / "out") == {BREAD_AGAIN, "Buy it.", BAKING, CATS}

    def test_a_suggested_edit_repeats_its_original_on_purpose(self, talks: None, tmp_path: Path) -> None:
        Message.objects.filter(text=ANSWER_AGAIN).update(correction_of=message(ANSWER))
        create("2026.1", tmp_path / "out", OPTION)
        assert ANSWER_AGAIN in texts_in(tmp_path / "out")

    def test_without_the_option_the_card_says_what_is_known(self, talks: None, tmp_path: Path) -> None:
        pair(BREAD, BREAD_AGAIN, wording=0.9)
        pair(BREAD, BAKING, "dismissed", meaning=0.9)
        create("2026.1", tmp_path / "out")
        assert {BREAD, BREAD_AGAIN} <= texts_in(tmp_path / "out")
        found = manifest_of(tmp_path / "out")["near_duplicates"]
        assert found["prompts"] == {"compared": 1, "near_duplicates": 1, "unknown": 3}
        assert found["replies"] == {"compared": 0, "near_duplicates": 0, "unknown": 3}
        readme = " ".join((tmp_path / "out" / "README.md").read_text().split())
        assert "1 of 1 initial prompts are nearly the same" in readme and "6 messages were not compared." in readme

    def test_a_text_that_waits_to_be_compared_is_unknown(self, talks: None, tmp_path: Path) -> None:
        jobs.queue_unread_texts()
        jobs.read_texts("wording")
        WaitingComparison.objects.exclude(message=message(CATS)).delete()
        create("before", tmp_path / "before")
        found = manifest_of(tmp_path / "before")["near_duplicates"]
        assert found["prompts"] == {"compared": 3, "near_duplicates": 0, "unknown": 1}
        jobs.find_near_duplicates()
        create("after", tmp_path / "after")
        assert manifest_of(tmp_path / "after")["near_duplicates"]["prompts"]["unknown"] == 0


class TestExports:
    def test_trees_and_messages(self, talks: None, tmp_path: Path) -> None:
        run("export_trees", "--output", str(tmp_path / "out.jsonl"), OPTION)
        assert told_texts(tmp_path / "out.jsonl") == [BREAD, ANSWER, BAKING, CATS]
        run("export_messages", "--output", str(tmp_path / "rows.jsonl"), OPTION)
        assert {row["text"] for row in lines_of(tmp_path / "rows.jsonl")} == {BREAD, ANSWER, BAKING, CATS}

    def test_single_messages_are_refused(self) -> None:
        with pytest.raises(Invalid, match="of trees only"):
            from_options({"without_near_duplicates": True, "rejected_only": True})


def group(name: str, *texts: str, lang: str = "en") -> Topic:
    topic = Topic.objects.create(name=name, lang=lang, model="m", center=[0.0] * DIMENSIONS, size=len(texts))
    PromptTopic.objects.bulk_create(PromptTopic(message=message(text), topic=topic) for text in texts)
    return topic


class TestTopics:
    @pytest.fixture
    def grouped(self, talks: None) -> None:
        group("bread, oven, anna", BREAD, BREAD_AGAIN)
        group("cats, ears", CATS)

    @pytest.mark.parametrize(
        ("options", "kept"),
        [
            (["--topic", "bread"], [BREAD, BREAD_AGAIN]),
            (["--topic", "Oven bread", "--topic", "ears"], [BREAD, BREAD_AGAIN, CATS]),
            (["--exclude-topic", "bread"], [BAKING, CATS]),
            (["--topic", "bread", OPTION], [BREAD]),
        ],
    )
    def test_trees_are_chosen(self, grouped: None, tmp_path: Path, options: Sequence[str], kept: list[str]) -> None:
        run("export_trees", "--prompts-only", "--output", str(tmp_path / "out.jsonl"), *options)
        assert told_texts(tmp_path / "out.jsonl") == kept
        create("2026.1", tmp_path / "out", *options)
        prompts = {BREAD, BREAD_AGAIN, BAKING, CATS}
        assert texts_in(tmp_path / "out") & prompts == set(kept)

    def test_unknown_ones_are_named_and_nothing_is_written(self, grouped: None, tmp_path: Path) -> None:
        for command in (["export_trees", "--output"], ["snapshot_create", "--name", "a", "--output"]):
            with pytest.raises(CommandError, match=r"the words 'music'\. Topics: bread, oven, anna; cats"):
                run(*command, str(tmp_path / "out"), "--topic", "music")
        assert not (tmp_path / "out").exists()

    def test_a_frozen_choice_is_written_again_after_the_topics_changed(self, grouped: None, tmp_path: Path) -> None:
        create("2026.1", tmp_path / "first", "--topic", "bread")
        Topic.objects.all().delete()
        create("2026.1", tmp_path / "second", "--topic", "bread")
        assert digests(tmp_path / "first") == digests(tmp_path / "second")

    def test_a_name_tells_no_more_than_the_published_texts(self, talks: None, tmp_path: Path) -> None:
        """A word stays in a name if three published prompts of the topic have it."""
        bring(tmp_path / "more.jsonl", talk("A bread oven?"), talk("bread of Anna"))
        group("bread, oven, anna", BREAD, BREAD_AGAIN, "A bread oven?", "bread of Anna")
        group("cats, ears", CATS)
        create("2026.1", tmp_path / "out")
        assert manifest_of(tmp_path / "out")["topics"] == {
            "topics": [
                {"lang": "en", "name": "bread, oven", "prompts": 4},
                {"lang": "en", "name": "other", "prompts": 1},
            ],
            "unknown": 1,
        }
        assert "| bread, oven | en | 4 |" in (tmp_path / "out" / "README.md").read_text()

    def test_the_page_shows_topics_and_what_was_chosen(self, grouped: None, client: Client) -> None:
        create("2026.1", None, "--exclude-topic", "ears", OPTION)
        run("snapshot_publish", "2026.1")
        for page in (client.get("/data/2026.1/").text, client.get("/data/").text):
            assert "trees with these topics are left out: ears; of messages that are nearly the same only" in page
        assert '<th scope="row">other</th><td>English</td><td class="num">1</td>' in client.get("/data/2026.1/").text

    def test_by_the_api(self, grouped: None) -> None:
        site = Wire("site", trusted=True)
        answer = site.get("export/trees", topic="bread", without_near_duplicates=True)
        assert [json.loads(line)["prompt"]["text"] for line in answer.getvalue().decode().splitlines()] == [BREAD]
        refused = site.get("export/trees", topic="music")
        assert refused.status_code == 400 and "No topic has the words" in refused.text
