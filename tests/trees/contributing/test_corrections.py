"""Suggested edits: another text beside somebody's message, shown with differences and reviewed like any reply."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from oasst.accounts.models import User
from oasst.core.text.diff import MAX_PAIRS, word_diff
from oasst.site.invariants import find_differences
from tasks import upkeep
from tasks.kinds import Kind
from tests.crowd import answer, start_tree, take, work_until
from tests.factories import new_people, new_person
from trees.contributing import corrections
from trees.interchange.importer import import_files
from trees.interchange.selection import Selection
from trees.interchange.writer import read_lines
from trees.lifecycle import policy_change
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Opening, Review
from trees.moderation import moderator_actions
from trees.policies.reading import current_policy

POLICY = TreePolicy(goal_tree_size=6, max_tree_depth=2)
TEXT = "Take flour, water and salt."


@pytest.fixture
def reply(db: None) -> Message:
    """An accepted reply in a growing tree."""
    tree = work_until(start_tree(POLICY), State.GROWING, POLICY)
    found = answer(take(new_person("Writer"), POLICY, Kind.ASSISTANT_REPLY), POLICY).result_message
    assert found is not None and found.tree_id == tree.pk
    for person in new_people(2):
        answer(take(person, POLICY, Kind.LABEL_ASSISTANT_REPLY), POLICY)
    found.refresh_from_db()
    assert found.review_result is True
    return found


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def form_of(message: Message) -> str:
    return reverse("message_suggest", args=[message.pk])


def page_of(message: Message) -> str:
    return reverse("tree", args=[message.pk])


def everything_agrees() -> None:
    assert list(find_differences(POLICY)) == []
    assert upkeep.advance_active_trees(policy=POLICY) == 0


class TestFromThePage:
    def test_the_whole_way(self, reply: Message, eve: User, mo: User) -> None:
        client = signed_in(eve)
        assert f'href="{form_of(reply)}"' in client.get(page_of(reply)).text
        page = client.get(form_of(reply)).text
        assert reply.text in page
        response = client.post(form_of(reply), {"text": reply.text.replace("no other", "no other one")}, follow=True)
        assert "Stored beside the other text." in response.text
        correction = Message.objects.get(correction_of=reply)
        assert (correction.parent_id, correction.role, correction.author) == (reply.parent_id, reply.role, eve)
        # Labels stay with the old text; the new one is reviewed like any reply.
        assert Review.objects.filter(message=reply).count() == 2
        assert not Review.objects.filter(message=correction).exists()
        assert Opening.objects.filter(message=correction, work="label_assistant_reply").count() == 2
        page = signed_in(new_person("Reader")).get(page_of(reply)).text
        assert "A suggested edit of" in page
        assert '<ins><span class="visually-hidden">[added: </span> one<' in page
        everything_agrees()
        work_until(MessageTree.objects.get(), State.READY_FOR_EXPORT, POLICY)
        everything_agrees()
        for message in (reply, correction):
            page = signed_in(mo).get(reverse("admin:trees_message_change", args=[message.pk])).text
            assert "<ins>" in page

    def test_it_waits_for_nobody_to_be_pushed_out(self, reply: Message, eve: User) -> None:
        """It uses only free openings: whoever is writing a reply can still submit it."""
        tasks = [
            take(person, POLICY, kind)
            for person, kind in zip(new_people(2), (Kind.ASSISTANT_REPLY, Kind.PROMPTER_REPLY), strict=True)
        ]
        corrections.suggest(message_id=reply.pk, user=eve, text=TEXT, policy=POLICY)
        for task in tasks:
            answer(task, POLICY)
        everything_agrees()

    def test_what_was_refused_is_kept_and_shown(self, reply: Message, eve: User) -> None:
        text = reply.text + "x" * current_policy().message_size_limit
        response = signed_in(eve).post(form_of(reply), {"text": text})
        assert response.status_code == 422
        assert text in response.text and "What you changed" in response.text
        assert Message.objects.filter(correction_of=reply).count() == 0

    def test_hostile_text_is_shown_and_never_run(self, reply: Message, eve: User) -> None:
        corrections.suggest(message_id=reply.pk, user=eve, text="<script>alert(1)</script>", policy=POLICY)
        page = signed_in(eve).get(page_of(reply)).text
        assert "<script>alert" not in page and "&lt;script&gt;" in page

    def test_strangers_and_banned_people(self, reply: Message, eve: User) -> None:
        assert Client().get(form_of(reply)).status_code == 302
        client = signed_in(eve)
        User.objects.filter(pk=eve.pk).update(enabled=False)
        client.post(form_of(reply), {"text": TEXT})
        assert not Message.objects.filter(correction_of=reply).exists()


class TestRefusals:
    def refused(self, message: Message, person: User, text: str = TEXT) -> tuple[int, str]:
        before = Message.objects.count(), list(Opening.objects.order_by("pk").values())
        response = signed_in(person).post(form_of(message), {"text": text})
        assert (Message.objects.count(), list(Opening.objects.order_by("pk").values())) == before
        return response.status_code, response.text

    def test_a_prompt(self, reply: Message, eve: User) -> None:
        prompt = Message.objects.get(pk=reply.tree_id)
        status, page = self.refused(prompt, eve)
        assert status == 409 and "A first prompt has no other text beside it." in page
        assert form_of(prompt) not in signed_in(eve).get(page_of(prompt)).text

    def test_ones_own(self, reply: Message) -> None:
        assert reply.author is not None
        status, page = self.refused(reply, reply.author)
        assert status == 403 and "This is yours." in page
        assert form_of(reply) not in signed_in(reply.author).get(page_of(reply)).text

    def test_a_deleted_one(self, reply: Message, eve: User, mo: User) -> None:
        moderator_actions.delete_message(message_id=reply.pk, actor=mo, reason="Spam.", policy=POLICY)
        assert self.refused(reply, eve)[0] == self.refused(reply, mo)[0] == 404

    def test_the_same_text(self, reply: Message, eve: User, carol: User) -> None:
        status, page = self.refused(reply, eve, reply.text)
        assert status == 422 and "This text stands here already" in page
        corrections.suggest(message_id=reply.pk, user=carol, text=TEXT, policy=POLICY)
        assert self.refused(reply, eve, TEXT)[0] == 422

    @pytest.mark.parametrize("text", ["", "   ", "\0"])
    def test_no_text(self, reply: Message, eve: User, text: str) -> None:
        assert self.refused(reply, eve, text)[0] == 422

    def test_a_second_one(self, reply: Message, eve: User) -> None:
        corrections.suggest(message_id=reply.pk, user=eve, text=TEXT, policy=POLICY)
        status, page = self.refused(reply, eve, "Another one.")
        assert status == 409 and "You already answered this message." in page

    def test_when_the_parent_has_all_its_replies(self, reply: Message, eve: User) -> None:
        policy_change.apply_policy(tree_id=reply.tree_id, policy=replace(POLICY, max_children_count=1))
        status, page = self.refused(reply, eve)
        assert status == 409 and "there is no room for one more" in page

    @pytest.mark.parametrize("state", [State.RANKING, State.READY_FOR_EXPORT, State.HALTED_BY_MODERATOR])
    def test_when_nobody_could_review_it(self, reply: Message, eve: User, mo: User, state: State) -> None:
        if state == State.HALTED_BY_MODERATOR:
            moderator_actions.halt(tree_id=reply.tree_id, actor=mo, reason="Odd.", policy=POLICY)
        else:
            work_until(MessageTree.objects.get(), state, POLICY)
        status, page = self.refused(reply, eve)
        assert status == 409 and "takes no new replies any more" in page
        assert form_of(reply) not in signed_in(eve).get(page_of(reply)).text


def test_the_file_format_stays_as_it_is(reply: Message, eve: User, tmp_path: Path) -> None:
    corrections.suggest(message_id=reply.pk, user=eve, text=TEXT, policy=POLICY)
    work_until(MessageTree.objects.get(), State.READY_FOR_EXPORT, POLICY)
    lines = list(read_lines(Selection()))
    assert "correction" not in lines[0] and TEXT in lines[0]
    file = tmp_path / "trees.jsonl"
    file.write_text("\n".join(lines) + "\n")
    MessageTree.objects.all().delete()
    import_files([file], policy=POLICY)
    assert [json.loads(line) for line in read_lines(Selection())] == [json.loads(line) for line in lines]


class TestWordDiff:
    def test_words_and_signs(self) -> None:
        pieces = word_diff("Take flour and salt.", "Take flour, water and salt!")
        assert [(piece.kind, piece.text) for piece in pieces if piece.kind != "same"] == [
            *(("new", ", water"), ("gone", "."), ("new", "!"))
        ]

    def test_scripts_without_blanks(self) -> None:
        assert [(p.kind, p.text) for p in word_diff("小麦粉と水", "小麦粉と塩")] == [
            *(("same", "小麦粉と"), ("gone", "水"), ("new", "塩"))
        ]

    @given(st.text(max_size=60), st.text(max_size=60))
    def test_both_texts_can_be_read_from_it(self, before: str, after: str) -> None:
        pieces = word_diff(before, after)
        assert "".join(piece.text for piece in pieces if piece.kind != "new") == before
        assert "".join(piece.text for piece in pieces if piece.kind != "gone") == after

    def test_a_huge_change_is_not_looked_at_in_detail(self) -> None:
        many = int(MAX_PAIRS**0.5) + 1
        pieces = word_diff("a b " * many, "c d " * many)
        assert [piece.kind for piece in pieces] == ["gone", "new", "same"]
