"""The contents of an export: labels, reactions and rankings made here, which messages, and whose ids."""

import errno
import gzip
import json
import os
import re
import signal
import threading
from collections import Counter
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from oasst.accounts.models import User
from oasst.core.errors import Invalid
from oasst.core.json_lines import dump_line
from tests.factories import (
    conversation,
    delete,
    growing_tree,
    new_people,
    new_person,
    new_prompt,
    new_reply,
    review,
    work_until_state,
)
from tests.paths import SAMPLE
from trees.contributing import reactions, reviews, withdrawal
from trees.interchange import batches, writer
from trees.interchange.flat import row_of_message
from trees.interchange.format import LARGEST_COUNT
from trees.interchange.selection import from_options
from trees.interchange.writer import read_lines
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Purge, Ranking, Reaction, Review, Skip
from trees.moderation import moderator_actions, purging

pytestmark = pytest.mark.django_db

SMALL = TreePolicy(goal_tree_size=4, max_tree_depth=1)
Line = dict[str, Any]


def export(*arguments: object) -> list[Line]:
    """Return the lines that `manage.py export_trees` writes."""
    out = StringIO()
    call_command("export_trees", *map(str, arguments), stdout=out, stderr=StringIO())
    return [json.loads(line) for line in out.getvalue().split("\n") if line]


def messages_in(lines: list[Line]) -> list[Line]:
    """Return all nodes, of trees and single ones."""
    waiting, found = [line.get("prompt", line) for line in lines], []
    while waiting:
        node = waiting.pop(0)
        found.append(node)
        waiting.extend(node.get("replies") or [])
    return found


def node_of(message: Message, *arguments: object) -> Line:
    nodes = messages_in(export("--state", "all", "--include-rejected", "--include-synthetic", *arguments))
    return next(node for node in nodes if node["message_id"] == str(message.pk))


def label(message: Message, person: User, **labels: float | None) -> Review:
    with transaction.atomic():
        return reviews.record_labels(message=message, author=person, labels={"spam": 0, **labels}, policy=SMALL)


def label_freely(message: Message, person: User, **labels: float | None) -> Review:
    with transaction.atomic():
        return reviews.record_free_labels(message_id=message.pk, author=person, labels=labels)


def skip(message: Message, person: User, kind: str) -> None:
    with transaction.atomic():
        reviews.record_skip(message=message, author=person, kind=kind)


def bring(tmp_path: Path, *lines: Any) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    call_command("import_trees", path, stdout=StringIO())


@pytest.fixture
def finished(alice: User) -> Message:
    """The prompt of a finished tree."""
    prompt = growing_tree(alice, SMALL)
    work_until_state(prompt.pk, State.READY_FOR_EXPORT, SMALL)
    prompt.refresh_from_db()
    return prompt


class TestLabels:
    def test_means_and_counts_of_what_reviewers_said(self, alice: User, bob: User, carol: User) -> None:
        prompt = new_prompt(alice)
        label(prompt, bob, quality=1, humor=0.25, violence=None)
        label(prompt, carol, quality=0.5)
        assert node_of(prompt)["labels"] == {
            "humor": {"value": 0.25, "count": 1},
            "quality": {"value": 0.75, "count": 2},
            "spam": {"value": 0, "count": 2},
        }

    @pytest.mark.parametrize(
        "given",
        [
            {"value": 0.5, "count": 10**400},
            {"value": 0.5, "count": 10**4200},
            {"value": 1e308, "count": 10**9},
            {"value": 10**400, "count": 1},
            {"value": -0.5, "count": 1},
            {"value": 1.5, "count": 1},
            {"value": 0.5, "count": 2**31},
            {"value": 0.5, "count": -1},
            {"value": 0.5, "count": 1.5},
            {"value": 0.5, "count": 1e308},
            {"value": None, "count": 1},
            {"value": True, "count": True},
            {"value": "0.5", "count": "1"},
            0.5,
        ],
    )
    def test_what_of_a_file_is_no_mean_with_a_count_gives_way(self, tmp_path: Path, bob: User, given: Any) -> None:
        """It breaks no export, before and after users answered."""
        line: Any = conversation()
        line["prompt"]["labels"] = {"spam": given}
        bring(tmp_path, line)
        assert len(export()) == 1
        prompt = Message.objects.get(parent=None)
        label_freely(prompt, bob, spam=0.25)
        assert node_of(prompt)["labels"] == {"spam": {"value": 0.25, "count": 1}}
        call_command("export_messages", stdout=StringIO(), stderr=StringIO())

    def test_counts_of_reactions_stay_beside_skips(self, tmp_path: Path, bob: User) -> None:
        line: Any = conversation()
        line["prompt"]["emojis"] = {"+1": 0, "_skip_reply": LARGEST_COUNT}
        bring(tmp_path, line)
        prompt = Message.objects.get(parent=None)
        skip(prompt, bob, Skip.Kind.REPLY)
        assert node_of(prompt)["emojis"] == {"+1": 0, "_skip_reply": LARGEST_COUNT + 1}

    def test_every_message_of_a_finished_tree_has_some(self, finished: Message) -> None:
        nodes = messages_in(export())
        assert len(nodes) == 4
        assert [node["labels"]["spam"]["count"] for node in nodes] == [node["review_count"] for node in nodes]

    def test_free_labels_and_those_of_reports_count_too(self, alice: User, bob: User, eve: User) -> None:
        prompt = new_prompt(alice)
        label(prompt, bob, quality=1)
        label_freely(prompt, alice, quality=0)
        with transaction.atomic():
            reviews.record_free_labels(message_id=prompt.pk, author=eve, labels={"pii": 1}, is_report=True)
        labels = node_of(prompt)["labels"]
        assert labels["quality"] == {"value": 0.5, "count": 2}
        assert labels["pii"] == {"value": 1, "count": 1}

    def test_who_was_purged_said_nothing(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        label(prompt, bob, quality=1)
        skip(prompt, bob, Skip.Kind.REPLY)
        with transaction.atomic():
            purging.purge_tree(lock_tree(prompt.pk, SMALL), Purge.objects.create(person=bob, actor=mo, reason="Junk."))
        node = node_of(prompt, "--export-events")
        assert not {"labels", "emojis", "events"} & node.keys()

    def test_what_was_said_of_an_earlier_text_is_not_said_of_this_one(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        label(prompt, bob, quality=1)
        moderator_actions.edit_message(
            message_id=prompt.pk, actor=mo, text="Another text.", reason="Typo.", policy=SMALL
        )
        assert "labels" not in node_of(prompt)
        prompt.refresh_from_db()
        label(prompt, new_person("Dora"), quality=0.25)
        assert node_of(prompt)["labels"]["quality"] == {"value": 0.25, "count": 1}

    def test_they_can_be_left_out(self, finished: Message, tmp_path: Path) -> None:
        line: Any = conversation()
        line["prompt"]["labels"] = {"spam": {"value": 0.5, "count": 2}}
        bring(tmp_path, line)
        assert all("labels" not in node for node in messages_in(export("--no-export-labels")))
        assert export("--export-labels") == export()

    def test_what_was_never_reviewed_has_none(self, alice: User) -> None:
        assert "labels" not in node_of(new_prompt(alice))


class TestLabelsOfFiles:
    GIVEN = {"quality": {"value": 0.5, "count": 3}, "humor": {"value": 0.125, "count": 1}}

    def brought(self, tmp_path: Path, labels: Any) -> tuple[Line, Message]:
        line: Any = conversation()
        line["prompt"]["labels"] = labels
        bring(tmp_path, line)
        return line, Message.objects.get(pk=line["message_tree_id"])

    def test_they_come_out_as_they_went_in(self, tmp_path: Path) -> None:
        line, _ = self.brought(tmp_path, self.GIVEN)
        assert export() == [line]

    def test_what_people_say_here_is_added_by_its_weight(self, tmp_path: Path, bob: User) -> None:
        _, prompt = self.brought(tmp_path, self.GIVEN)
        label_freely(prompt, bob, quality=1, toxicity=0)
        assert node_of(prompt)["labels"] == {
            "quality": {"value": 0.625, "count": 4},
            "humor": {"value": 0.125, "count": 1},
            "toxicity": {"value": 0, "count": 1},
        }

    @pytest.mark.parametrize(
        "labels",
        [None, [], "good", {"quality": 1}, {"quality": {"value": "x", "count": 2}}, {"quality": {"value": 0.5}},
         {"quality": {"value": 0.5, "count": -1}}, {"quality": {"value": 0.5, "count": 1.5}}],
    )  # fmt: skip
    def test_what_is_no_mean_stays_until_somebody_here_answers(self, tmp_path: Path, bob: User, labels: Any) -> None:
        line, prompt = self.brought(tmp_path, labels)
        assert export() == [line]
        label_freely(prompt, bob, quality=1)
        assert node_of(prompt)["labels"]["quality"] == {"value": 1, "count": 1}

    def test_they_go_with_the_text_that_they_were_about(self, tmp_path: Path, mo: User) -> None:
        _, prompt = self.brought(tmp_path, self.GIVEN)
        moderator_actions.edit_message(message_id=prompt.pk, actor=mo, text="Why not?", reason="Typo.", policy=SMALL)
        assert "labels" not in node_of(prompt)

    def test_out_in_and_out_again(self, finished: Message, tmp_path: Path) -> None:
        """Judgments made here come back as counts without people."""
        before = export("--export-events", "--state", "all")
        MessageTree.objects.all().delete()
        bring(tmp_path, *before)
        assert not Review.objects.exists()
        assert export("--state", "all") == before


class TestReactionsAndSkips:
    def test_skips_are_counted_among_the_reactions(self, alice: User, bob: User, carol: User) -> None:
        prompt = new_prompt(alice)
        reactions.set_reaction(message_id=prompt.pk, user=bob, emoji="+1")
        skip(prompt, bob, Skip.Kind.REVIEW)
        skip(prompt, carol, Skip.Kind.REVIEW)
        skip(prompt, carol, Skip.Kind.REPLY)
        skip(prompt, carol, Skip.Kind.RANKING)
        assert node_of(prompt)["emojis"] == {"+1": 1, "_skip_labeling": 2, "_skip_reply": 1, "_skip_ranking": 1}

    def test_they_are_added_to_those_of_a_file(self, tmp_path: Path, bob: User) -> None:
        line: Any = conversation()
        line["prompt"]["emojis"] = {"+1": 4, "_skip_reply": 2}
        bring(tmp_path, line)
        prompt = Message.objects.get(pk=line["message_tree_id"])
        assert export() == [line]
        skip(prompt, bob, Skip.Kind.REPLY)
        assert node_of(prompt)["emojis"] == {"+1": 4, "_skip_reply": 3}


class TestEvents:
    def test_each_reaction_skip_and_ranking(self, finished: Message, bob: User) -> None:
        reactions.set_reaction(message_id=finished.pk, user=bob, emoji="clap")
        skip(finished, bob, Skip.Kind.REPLY)
        node = export("--export-events", "--real-user-ids")[0]["prompt"]
        assert node["events"]["emoji"] == [
            {"type": "emoji", "user_id": str(bob.pk), "emoji": emoji} for emoji in ("clap", "_skip_reply")
        ]
        replies = list(Message.objects.filter(parent=finished).order_by("position").values_list("pk", flat=True))
        assert node["events"]["ranking"] == [
            {
                "type": "ranking",
                "user_id": str(ranking.author_id),
                "ranking": [replies.index(one) for one in ranking.ordered_ids],
                "ranked_message_ids": [str(one) for one in ranking.ordered_ids],
                "ranking_parent_id": str(finished.pk),
                "message_tree_id": str(finished.pk),
            }
            for ranking in Ranking.objects.order_by("created_at", "pk")
        ]
        assert len(node["events"]["ranking"]) == 3

    def test_an_order_without_a_good_reply_says_so(self, finished: Message) -> None:
        Ranking.objects.filter(pk=Ranking.objects.order_by("created_at")[0].pk).update(not_rankable=True)
        found = export("--export-events")[0]["prompt"]["events"]["ranking"]
        assert [event.get("not_rankable") for event in found] == [True, None, None]

    def test_they_are_told_only_when_asked_for(self, finished: Message) -> None:
        assert '"events"' not in json.dumps(export())

    def test_those_of_a_file_stay_and_ours_follow(self, tmp_path: Path, bob: User) -> None:
        line: Any = conversation()
        given = {"type": "emoji", "user_id": "somebody", "emoji": "+1"}
        line["prompt"]["events"] = {"emoji": [given], "score": [{"type": "score", "score": 0.5}]}
        line["prompt"]["emojis"] = {"+1": 1}
        bring(tmp_path, line)
        assert export() == export("--export-events") == [line]
        reactions.set_reaction(message_id=line["message_tree_id"], user=bob, emoji="-1")
        events = export("--export-events", "--real-user-ids")[0]["prompt"]["events"]
        assert events["emoji"] == [given, {"type": "emoji", "user_id": str(bob.pk), "emoji": "-1"}]
        assert events["score"] == line["prompt"]["events"]["score"]

    def test_no_order_names_what_its_author_withdrew(self, finished: Message) -> None:
        gone = Message.objects.filter(parent=finished).order_by("position")[0]
        assert gone.author is not None
        withdrawal.withdraw(message_id=gone.pk, author=gone.author, policy=SMALL)
        lines = export("--export-events", "--include-deleted", "--include-rejected")
        assert [event["ranking"] for event in lines[0]["prompt"]["events"]["ranking"]] == [[0, 1]] * 3
        assert str(gone.pk) not in json.dumps(lines)

    def test_what_was_told_to_moderators_stays_with_them(self, finished: Message, bob: User) -> None:
        reactions.report(message_id=finished.pk, reporter=bob, category="spam", text="My neighbour wrote this.")
        assert "neighbour" not in json.dumps(export("--export-events"))


class TestIds:
    def people(self) -> set[str]:
        found = set(User.objects.values_list("pk", flat=True))
        return {str(pk) for pk in found} | {pk.hex for pk in found}

    def leaks(self, text: str) -> set[str]:
        return {one for one in self.people() if one in text}

    def test_no_file_tells_who_is_who(self, finished: Message, bob: User) -> None:
        reactions.set_reaction(message_id=finished.pk, user=bob, emoji="clap")
        skip(finished, bob, Skip.Kind.REPLY)
        names = [name for name in User.objects.values_list("display_name", flat=True) if len(name) > 3]
        ours = Message.objects.exclude(frontend_message_id="").values_list("frontend_message_id", flat=True)
        for more in ([], ["--anonymizer-seed", 0], ["--user", finished.author_id], ["--deleted-only"]):
            text = json.dumps(export("--export-events", *more))
            assert not self.leaks(text)
            assert not [name for name in (*names, "@example.org") if name in text]
            assert not [one for one in ours if one in text and not Message.objects.filter(pk=one).exists()]

    def test_the_same_person_is_the_same_everywhere(self, alice: User, bob: User) -> None:
        for _ in range(2):
            reactions.set_reaction(message_id=new_prompt(bob).pk, user=alice, emoji="clap")
        new_prompt(alice)
        lines = export("--state", "all", "--include-rejected", "--export-events")
        nodes = messages_in(lines)
        (of_alice,) = {event["user_id"] for node in nodes for event in node.get("events", {}).get("emoji", [])}
        (of_bob,) = {node["user_id"] for node in nodes[:2]}
        assert nodes[2]["user_id"] == of_alice != of_bob
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", of_alice)
        assert lines == export("--state", "all", "--include-rejected", "--export-events")

    def test_without_the_secret_of_the_site_they_are_others(self, finished: Message) -> None:
        before = export()[0]["prompt"]["user_id"]
        with override_settings(SECRET_KEY="another one"):
            assert export()[0]["prompt"]["user_id"] != before

    def test_real_ids_on_demand(self, finished: Message, alice: User) -> None:
        assert export("--real-user-ids")[0]["prompt"]["user_id"] == str(alice.pk)

    @pytest.mark.parametrize("seed", ["0", "7", "a long seed that nobody guesses"])
    def test_a_seed_hides_all_ids(self, finished: Message, seed: str) -> None:
        plain = export("--export-events")
        found = export("--export-events", "--anonymizer-seed", seed)
        text = json.dumps(found)
        assert not self.leaks(text)
        assert not [pk for pk in Message.objects.values_list("pk", flat=True) if str(pk) in text]
        assert found == export("--export-events", "--anonymizer-seed", seed)
        assert found != export("--export-events", "--anonymizer-seed", f"{seed}1")
        # It keeps only which messages have the same author.
        ids = {}
        for before, after in zip(messages_in(plain), messages_in(found), strict=True):
            assert ids.setdefault(before["message_id"], after["message_id"]) == after["message_id"]
            assert ids[before.get("parent_id")] == after.get("parent_id") if before.get("parent_id") else True
            assert (before["text"], before["labels"]) == (after["text"], after["labels"])
        assert found[0]["message_tree_id"] == found[0]["prompt"]["message_id"]
        for before, after in zip(*(one[0]["prompt"]["events"]["ranking"] for one in (plain, found)), strict=True):
            assert [ids[one] for one in before["ranked_message_ids"]] == after["ranked_message_ids"]
            assert ids[before["ranking_parent_id"]] == after["ranking_parent_id"] == after["message_tree_id"]

    def test_such_a_file_can_be_read_again(self, finished: Message, tmp_path: Path) -> None:
        lines = export("--export-events", "--anonymizer-seed", "seed")
        bring(tmp_path, *lines)
        assert export()[1:] == lines

    def test_a_short_seed_is_warned_of(self, finished: Message) -> None:
        told = StringIO()
        call_command("export_trees", "--anonymizer-seed", "7", stdout=StringIO(), stderr=told)
        assert "can be guessed" in told.getvalue()

    def test_ids_of_a_file_are_those_of_people_elsewhere(self, tmp_path: Path, alice: User) -> None:
        """Unless they are ids of users here: it may be our own export with real ids."""
        line: Any = conversation()
        line["prompt"] |= {"user_id": str(alice.pk), "events": {"emoji": [{"user_id": alice.pk.hex, "emoji": "+1"}]}}
        line["prompt"]["replies"][0]["user_id"] = "11111111-1111-4111-8111-111111111111"
        bring(tmp_path, line)
        text = json.dumps(export())
        assert not self.leaks(text)
        assert "11111111-1111-4111-8111-111111111111" in text
        assert export("--real-user-ids") == [line]
        new_prompt(alice)
        (hers,) = export("--state", "initial_prompt_review", "--include-rejected")
        assert hers["prompt"]["user_id"] in text

    def test_with_a_seed_nothing_unknown_goes_out(self, tmp_path: Path) -> None:
        line: Any = {**conversation(), "origin": "Ada's laptop"}
        line["prompt"] |= {"user_id": "Ada", "account": {"name": "Ada"}, "labels": {"spam": {"value": 0.0, "count": 1}}}
        bring(tmp_path, line)
        (found,) = export("--anonymizer-seed", "seed")
        assert "Ada" not in json.dumps(found)
        assert found["prompt"]["labels"] == line["prompt"]["labels"]

    @pytest.mark.parametrize(
        "person", [4242424242, {"name": "Ada Real"}, ["ada@example.org", 4242424242], 4242424242.5, True]
    )
    def test_with_a_seed_an_id_of_any_type_is_replaced(self, tmp_path: Path, person: Any) -> None:
        line: Any = conversation()
        ranking = {"type": "ranking", "user_id": person, "ranking": [0, 1], "ranked_message_ids": [person, 4242424242]}
        line["prompt"] |= {"user_id": person, "events": {"ranking": [ranking], "emoji": [{"user_id": person}]}}
        bring(tmp_path, line)
        (found,) = export("--anonymizer-seed", "seed")
        text = json.dumps(found)
        assert (
            "Ada" not in text
            and "example" not in text
            and "4242424242" not in text
            and "true" not in json.dumps(found["prompt"]["events"])
        )
        (ranking,), (reaction,) = found["prompt"]["events"]["ranking"], found["prompt"]["events"]["emoji"]
        assert found["prompt"]["user_id"] == ranking["user_id"] == reaction["user_id"]
        assert UUID(found["prompt"]["user_id"]).version == 8
        assert ranking["ranking"] == [0, 1] and len(ranking["ranked_message_ids"]) == 2
        assert export() == [line]

    def test_with_a_seed_nothing_unknown_goes_out_from_deeper_inside(self, tmp_path: Path) -> None:
        line: Any = {**conversation(), "replies": [{"user_name": "Ada"}], "labels": {"by": "Ada"}}
        known: dict[str, Any] = {
            "emojis": {"+1": 2},
            "labels": {"spam": {"value": 0.5, "count": 2}},
            "detoxify": {"toxicity": 0.25},
            "events": {
                "emoji": [{"type": "emoji", "emoji": "+1"}],
                "ranking": [{"type": "ranking", "ranking": [1, 0], "not_rankable": True}],
                "rating": [{"type": "rating", "rating": "5"}],
                "score": [{"type": "score", "score": -1}],
                "report": [{"type": "report", "report_type": "x", "reason": "rude"}],
            },
        }
        given = json.loads(json.dumps(known))
        for one in (given["labels"]["spam"], *(events[0] for events in given["events"].values())):
            one |= {"author": "Ada", "by": {"user_name": "Ada"}}
        given["detoxify"]["author"] = {"name": "Ada"}
        given["labels"]["Ada"] = "Ada"
        given["events"] |= {"visit": [{"ip": "Ada"}]}
        given["events"]["emoji"].append("Ada")
        line["prompt"] |= given
        bring(tmp_path, line)
        (found,) = export("--anonymizer-seed", "seed")
        known["detoxify"]["author"] = None
        known["labels"]["Ada"] = None
        known["events"]["emoji"].append(None)
        assert {key: found["prompt"][key] for key in known} == known
        assert found.keys() == {"message_tree_id", "tree_state", "prompt"}

    @pytest.mark.parametrize("given", ["Ada", ["Ada"], {"name": ["spam"], "value": [0.5], "count": [2], "by": ["Ada"]}])
    @pytest.mark.parametrize("key", ["labels", "events", "detoxify"])
    def test_with_a_seed_what_has_another_shape_stays_here(self, tmp_path: Path, key: str, given: Any) -> None:
        line: Any = conversation()
        line["prompt"][key] = given
        bring(tmp_path, line)
        (found,) = export("--anonymizer-seed", "seed")
        assert "Ada" not in json.dumps(found)

    def test_with_a_seed_parallel_lists_go_out_as_they_came(self, tmp_path: Path) -> None:
        line: Any = conversation()
        lists = {
            "labels": {"name": ["spam"], "value": [0.5], "count": [2]},
            "emojis": {"name": ["+1"], "count": [3]},
        }
        line["prompt"] |= lists
        bring(tmp_path, line)
        (found,) = export("--anonymizer-seed", "seed")
        assert {key: found["prompt"][key] for key in lists} == lists


class TestSynthetic:
    def test_trees_with_machine_made_text_stay_out_until_they_are_asked_for(
        self, finished: Message, tmp_path: Path
    ) -> None:
        call_command("import_trees", SAMPLE, stdout=StringIO())
        told = StringIO()
        call_command("export_trees", "--output", tmp_path / "out.jsonl", stderr=told)
        ours = (tmp_path / "out.jsonl").read_text()
        assert '"synthetic": true' not in ours and str(finished.pk) in ours
        number = len(ours.splitlines())
        assert f"{number} trees written" in told.getvalue()
        assert f"{51 - number} trees with machine-made text stay out; --include-synthetic" in told.getvalue()
        assert len(export("--include-synthetic")) == 51

    def test_an_empty_file_says_why(self, tmp_path: Path) -> None:
        line: Any = conversation()
        line["prompt"]["replies"][0]["synthetic"] = True
        bring(tmp_path, line)
        told = StringIO()
        call_command("export_trees", stdout=StringIO(), stderr=told)
        assert "0 trees written" in told.getvalue() and "--include-synthetic takes them in" in told.getvalue()
        found = export("--synthetic-only")
        assert [node["text"] for node in found] == ["Why?", "Answer 0", "Answer 1"]

    def test_the_import_names_the_option(self) -> None:
        from trees.management.commands.import_trees import Command

        assert "--include-synthetic" in Command.help


class TestSelection:
    @pytest.fixture
    def rejected(self, finished: Message) -> Message:
        found = Message.objects.filter(parent=finished).order_by("position")[0]
        Message.objects.filter(pk=found.pk).update(review_result=False)
        return found

    @pytest.fixture
    def deleted(self, finished: Message) -> Message:
        found = Message.objects.filter(parent=finished).order_by("position")[1]
        delete(found, SMALL)
        return found

    def ids(self, *arguments: object) -> list[str]:
        return [node["message_id"] for node in messages_in(export(*arguments))]

    def test_only_what_was_rejected(self, rejected: Message, deleted: Message) -> None:
        for option in ("--rejected-only", "--spam-only"):
            (line,) = export(option)
            assert line["message_id"] == str(rejected.pk) and line["review_result"] is False
            assert (line["message_tree_id"], line["tree_state"]) == (str(rejected.tree_id), "ready_for_export")
            assert "replies" not in line
        assert self.ids("--include-spam") == self.ids("--include-rejected")
        assert str(rejected.pk) in self.ids("--include-spam")

    def test_only_what_was_deleted(self, rejected: Message, deleted: Message) -> None:
        assert self.ids("--deleted-only") == [str(deleted.pk)]
        assert self.ids("--deleted-only", "--rejected-only") == []
        Message.objects.filter(pk=deleted.pk).update(review_result=False)
        assert self.ids("--deleted-only", "--rejected-only") == [str(deleted.pk)]

    def test_prompts_only(self, finished: Message) -> None:
        (line,) = export("--prompts-only")
        assert line["prompt"]["message_id"] == str(finished.pk) and "replies" not in line["prompt"]

    def test_the_messages_of_a_person(self, finished: Message, alice: User, bob: User) -> None:
        """In trees of any state, one per line."""
        german = new_prompt(alice, lang="de", policy=SMALL)
        review(german, bob, policy=SMALL)
        reply = Message.objects.filter(parent=finished).order_by("rank")[0]
        assert self.ids("--user", alice.pk) == [str(finished.pk)]
        assert self.ids("--user", alice.pk, "--include-rejected") == [str(finished.pk), str(german.pk)]
        assert self.ids("--user", alice.pk, "--include-rejected", "--lang", "DE") == [str(german.pk)]
        assert self.ids("--user", alice.pk, "--include-rejected", "--limit", 1) == [str(finished.pk)]
        assert self.ids("--user", reply.author_id) == [str(reply.pk)]
        assert self.ids("--user", reply.author_id, "--prompts-only") == []
        assert self.ids("--user", bob.pk) == []

    def test_nobody_of_that_id(self, finished: Message, bob: User) -> None:
        told = StringIO()
        call_command("export_trees", "--user", str(bob.pk), stdout=StringIO(), stderr=told)
        assert f"0 messages written.\nNothing matches by the person {bob.pk}." in told.getvalue()

    @pytest.mark.parametrize(
        "options", ["--deleted-only --include-rejected", "--rejected-only --include-deleted", "--user"]
    )
    def test_what_its_author_withdrew_is_in_no_file(self, alice: User, bob: User, options: str) -> None:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=2)
        prompt = growing_tree(alice, policy)
        reply = new_reply(prompt, bob, policy=policy)
        new_reply(reply_accepted(reply, policy), alice, policy=policy)
        withdrawal.withdraw(message_id=reply.pk, author=bob, policy=policy)
        Message.objects.update(review_result=False)
        assert Message.objects.filter(withdrawn=True).exists()
        arguments = [*options.split(), bob.pk] if options == "--user" else [*options.split(), "--state", "all"]
        texts = {node["text"] for node in messages_in(export(*arguments))}
        assert not texts & set(Message.objects.exclude(pk=prompt.pk).values_list("text", flat=True))

    @pytest.mark.parametrize(
        ("options", "told"),
        [
            ("--include-deleted --deleted-only", "--deleted-only: not allowed with argument --include-deleted"),
            ("--include-spam --spam-only", "--spam-only: not allowed with argument --include-rejected/--include-spam"),
            ("--include-synthetic --synthetic-only", "not allowed with argument --include-synthetic"),
            ("--real-user-ids --anonymizer-seed 5", "not allowed with argument --real-user-ids"),
            ("--user 11111111-1111-4111-8111-111111111111 --state all", "leave out state or user"),
            ("--user nobody", "--user: invalid UUID value: 'nobody'"),
            ("--anonymizer-seed=", "An empty anonymizer_seed hides nothing"),
            ("--anonymizer-seed=\udcff", "anonymizer_seed contains half a character"),
            ("--limit 0", "limit must be at least 1"),
            ("--lang pt_BR", "This is not a tag"),
            ("--state eaten", "--state: invalid choice: 'eaten'"),
        ],
    )
    def test_contradictions_are_refused(self, options: str, told: str, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match=re.escape(told)):
            call_command("export_trees", "--output", tmp_path / "out.jsonl", *options.split())
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("sort", ["deleted", "rejected", "synthetic"])
    def test_contradictions_of_programs_too(self, sort: str) -> None:
        with pytest.raises(Invalid, match=f"Either include_{sort} or {sort}_only, not both"):
            from_options({f"include_{sort}": True, f"{sort}_only": True})


def reply_accepted(reply: Message, policy: TreePolicy) -> Message:
    for person in new_people(2):
        review(reply, person, policy=policy)
    reply.refresh_from_db()
    return reply


class TestFiles:
    def test_a_folder_is_no_file(self, finished: Message, tmp_path: Path) -> None:
        with pytest.raises(CommandError, match="is a folder"):
            call_command("export_trees", "--output", tmp_path)
        with pytest.raises(CommandError, match="cannot be written"):
            call_command("export_trees", "--export-file", tmp_path / "missing" / "out.jsonl")

    def test_what_breaks_off_leaves_what_was_there(
        self, finished: Message, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        output = tmp_path / "out.jsonl"
        output.write_text("before")

        def break_off(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("trees.interchange.writer.read_facts", break_off)
        with pytest.raises(CommandError, match="No space left"):
            call_command("export_trees", "--output", output)
        assert output.read_text() == "before" and list(tmp_path.iterdir()) == [output]


def test_a_batch_costs_the_same_however_many_trees(tmp_path: Path, alice: User, bob: User) -> None:
    def cost(number: int, **options: Any) -> int:
        with CaptureQueriesContext(connection) as found:
            lines = list(read_lines(from_options({"state": "all", "include_rejected": True, **options})))
        assert len(lines) == number
        return len(found)

    def add(number: int) -> None:
        bring(tmp_path, *(conversation() for _ in range(number)))
        for message in Message.objects.filter(parent=None).exclude(reviews__author=bob):
            label_freely(message, bob, quality=1)
            Reaction.objects.create(message=message, author=alice, emoji="clap")
            Skip.objects.create(message=message, author=alice, kind="reply")

    add(10)
    few = [cost(10), cost(10, events=True), cost(10, anonymizer_seed="x")]
    add(90)
    assert [cost(100), cost(100, events=True), cost(100, anonymizer_seed="x")] == few
    assert max(few) <= 9


def test_a_batch_is_bounded_in_bytes_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    class Counted(writer._Batch):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            sizes.append(sum(len(message.text) for group in self.by_tree.values() for message in group))

    lines: list[Any] = [conversation() for _ in range(9)]
    for number, line in enumerate(lines):
        line["prompt"]["text"] = f"{number} " * 1000
    bring(tmp_path, *lines)
    monkeypatch.setattr(writer, "_Batch", Counted)
    whole = export()
    assert len(sizes) == 1 and len(whole) == 9
    sizes.clear()
    monkeypatch.setattr(batches, "BATCH_BYTES", 20_000)
    assert export() == whole
    assert 1 < len(sizes) < 9 and max(sizes) < 20_000


class TestOutput:
    """Targets of the lines: files, links, pipes, and failures to write."""

    @pytest.fixture(autouse=True)
    def one_tree(self, tmp_path: Path) -> None:
        bring(tmp_path, *(conversation() for _ in range(3)))
        (tmp_path / "in.jsonl").unlink()

    @pytest.mark.parametrize("command", ["export_trees", "export_messages"])
    def test_a_full_disk_behind_standard_output_is_said(self, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
        with open("/dev/full", "w") as full:
            monkeypatch.setattr("sys.stdout", full)
            with pytest.raises(CommandError, match="Standard output cannot be written: No space left on device"):
                call_command(command, stderr=StringIO())
            full.write("and when Python ends, nothing is said again")
            full.flush()

    @pytest.mark.parametrize("command", ["export_trees", "export_messages"])
    def test_a_reader_that_has_enough_is_no_error(self, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
        """As with `| head -1`: the command exits silently, as if killed by the signal."""
        reader, writer = os.pipe()
        os.close(reader)
        told = StringIO()
        with os.fdopen(writer, "w") as pipe:
            monkeypatch.setattr("sys.stdout", pipe)
            with pytest.raises(SystemExit) as ended:
                call_command(command, stderr=told)
            assert ended.value.code == 128 + signal.SIGPIPE
        assert told.getvalue() == ""

    @pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz", "out.parquet"])
    def test_a_pipe_with_a_name_is_written_into(self, tmp_path: Path, name: str) -> None:
        output, read = tmp_path / name, list[bytes]()
        os.mkfifo(output)
        reader = threading.Thread(target=lambda: read.append(output.read_bytes()), daemon=True)
        reader.start()
        call_command("export_messages", "--output", output, stderr=StringIO())
        reader.join(timeout=30)
        assert output.is_fifo() and list(tmp_path.iterdir()) == [output]
        call_command("export_messages", "--output", tmp_path / f"file-{name}", stderr=StringIO())
        expected = (tmp_path / f"file-{name}").read_bytes()
        if name.endswith(".gz"):
            assert gzip.decompress(read[0]) == gzip.decompress(expected)
        else:
            assert read == [expected]

    def test_a_pipe_whose_reader_leaves_is_said(self, tmp_path: Path) -> None:
        output = tmp_path / "pipe"
        os.mkfifo(output)
        leaves = threading.Thread(target=lambda: os.close(os.open(output, os.O_RDONLY)), daemon=True)
        leaves.start()
        bring(tmp_path, *({**conversation(), "filler": "x" * 100_000} for _ in range(20)))
        with pytest.raises(CommandError, match="pipe: cannot be written: Broken pipe"):
            call_command("export_trees", "--output", output, stderr=StringIO())
        leaves.join(timeout=30)
        assert output.is_fifo()

    @pytest.mark.parametrize("command", ["export_trees", "export_messages"])
    def test_a_link_goes_on_to_lead_to_its_file(self, tmp_path: Path, command: str) -> None:
        (tmp_path / "elsewhere").mkdir()
        file, link = tmp_path / "elsewhere" / "trees.jsonl", tmp_path / "out.jsonl"
        file.write_text("old")
        link.symlink_to(file)
        call_command(command, "--output", link, stderr=StringIO())
        assert link.is_symlink() and len(file.read_text().splitlines()) in (3, 9)
        file.unlink()
        call_command(command, "--output", link, stderr=StringIO())
        assert link.is_symlink() and file.is_file()
        assert list(file.parent.iterdir()) == [file]

    def test_a_link_in_a_circle_is_refused(self, tmp_path: Path) -> None:
        link = tmp_path / "out.jsonl"
        link.symlink_to(link)
        with pytest.raises(CommandError, match=r"out\.jsonl: cannot be written: Too many levels of symbolic links"):
            call_command("export_trees", "--output", link, stderr=StringIO())

    def test_a_file_that_is_open_already_is_written_into(self, tmp_path: Path) -> None:
        """Such as /dev/stdout."""
        with (tmp_path / "kept").open("w+") as kept:
            call_command("export_trees", "--output", f"/proc/self/fd/{kept.fileno()}", stderr=StringIO())
            assert len(kept.read().splitlines()) == 3

    def test_numbers_that_json_does_not_have_are_never_written(self) -> None:
        """No stored value holds one; if one did, the line is refused instead of broken."""
        with pytest.raises(ValueError, match="not JSON compliant"):
            dump_line({"value": float("nan")})
        row = row_of_message({"detoxify": {"toxicity": float("inf")}}, misfits := Counter())
        assert row["detoxify"] is None and misfits == {"detoxify": 1}


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("command", ["export_trees", "export_messages"])
def test_an_export_that_breaks_off_leaves_no_transaction_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, command: str
) -> None:
    """Its connection goes back to the pool, which would log a warning."""
    bring(tmp_path, *({**conversation(), "filler": "x" * 100_000} for _ in range(3)))

    def fails(_: Any) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("sys.stdout", SimpleNamespace(write=fails, flush=lambda: None, fileno=lambda: spare))
    with (tmp_path / "spare").open("w") as file:
        spare = file.fileno()
        with pytest.raises(CommandError, match="No space left on device") as kept:
            call_command(command, stderr=StringIO())
    assert kept.tb is not None and not connection.in_atomic_block
