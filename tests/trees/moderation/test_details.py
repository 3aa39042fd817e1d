"""The page of a message: its texts side by side, its conversation as a tree, the steps of the conversation."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from leaderboard.models import TrollStanding
from oasst.accounts.models import ApiClient, User
from oasst.core.text.diff import side_by_side, word_diff
from tests.factories import decide, growing_tree, new_people, new_person, new_prompt, new_reply
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import (
    Deletion,
    Message,
    MessageReading,
    Opening,
    Proposal,
    Ranking,
    Reaction,
    Report,
    Revision,
    Skip,
    Withdrawal,
)
from trees.moderation import moderator_actions
from trees.moderation.conversation_tree import OPEN_SIZE, read_conversation

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
POLICY = TreePolicy(goal_tree_size=6)


@pytest.fixture
def browser(mo: User) -> Client:
    client = Client()
    client.force_login(mo)
    return client


def page_of(message: Message) -> str:
    return reverse("admin:trees_message_change", args=[message.pk])


class TestRevisions:
    def test_the_texts_stand_side_by_side(self, browser: Client, mo: User, alice: User) -> None:
        prompt = new_prompt(alice, "How do I bake rye bread?")
        moderator_actions.edit_message(
            message_id=prompt.pk, actor=mo, text="How do I bake good bread?", reason="Any bread.", policy=POLICY
        )
        page = browser.get(page_of(prompt)).text
        before, after = re.findall(r'<div class="desk-side">(.*?)</div>', page, re.S)
        assert "<del>" in before and "rye" in before and "<ins>" not in before and "good" not in before
        assert "<ins>" in after and "good" in after and "<del>" not in after
        assert "Any bread." in page and "first text" in page and "text of now" in page

    def test_many_long_texts_are_bounded(self, browser: Client, alice: User) -> None:
        prompt = new_prompt(alice)
        Revision.objects.bulk_create(
            Revision(message=prompt, text=f"{n} " + "word " * 3_000 + f"{n}", author=alice) for n in range(60)
        )
        page = browser.get(page_of(prompt)).text
        assert page.count('class="desk-sides"') == 10
        assert "[…]" in page


@pytest.mark.parametrize(
    ("before", "after", "old", "new"),
    [
        ("我想做面包", "我想做蛋糕", ["面包"], ["蛋糕"]),
        ("パンを焼く", "パンを食べる", ["焼く"], ["食べる"]),
        ("नमस्ते दुनिया", "नमस्ते भारत", ["दुनिया"], ["भारत"]),  # with their vowel signs
        ("สวัสดีครับ", "สวัสดีค่ะ", ["ครับ"], ["ค่ะ"]),
    ],
)
def test_scripts_without_spaces_and_with_marks(before: str, after: str, old: list[str], new: list[str]) -> None:
    gone, added = side_by_side(word_diff(before, after))
    assert [piece.text for piece in gone if piece.kind == "gone"] == old
    assert [piece.text for piece in added if piece.kind == "new"] == new
    assert "".join(piece.text for piece in gone) == before
    assert "".join(piece.text for piece in added) == after


class TestConversation:
    def test_nested_with_all_that_moderators_need(self, browser: Client, mo: User, alice: User) -> None:
        prompt = growing_tree(alice, POLICY)
        reply = new_reply(prompt, new_person("Writer"), "Knead the dough.", policy=POLICY)
        decide(reply, policy=POLICY)
        below = new_reply(reply, new_person("Asker"), "How long?", policy=POLICY)
        moderator_actions.delete_message(message_id=below.pk, actor=mo, reason="Gone.", policy=POLICY)
        page = browser.get(page_of(reply)).text
        tree = page[page.index('id="conversation-title"') : page.index('id="steps-title"')]
        assert tree.index("How do I bake bread") < tree.index("Knead the dough.") < tree.index("How long?")
        assert tree.count("<ol") == tree.count("</ol>") == 3 and tree.count("<li>") == tree.count("</li>") == 3
        assert tree.count("<details") == tree.count("</details>") == 2
        assert tree.count('aria-current="true"') == 1 and "this message" in tree
        assert "desk-turn--deleted" in tree and ">Writer</bdi>" in tree and "spam" not in tree and "just now" in tree
        steps = page[page.index('id="steps-title"') :]
        assert "lasted" in steps and "since then" in steps and "Growing" in steps

    def test_large_ones_are_folded_but_for_the_way_to_the_message(self, alice: User) -> None:
        policy = TreePolicy(max_children_count=OPEN_SIZE + 5, goal_tree_size=100)
        prompt = growing_tree(alice, policy)
        replies = [new_reply(prompt, person, policy=policy) for person in new_people(3)]
        for position in range(OPEN_SIZE):
            self.copy(replies[0], position + 10)
        this = self.copy(replies[1], 0, parent=replies[1])
        turns = read_conversation(prompt.tree_id, this).turns
        assert {turn.message.pk for turn in turns if turn.is_open} == {prompt.pk, replies[1].pk, this.pk}
        assert sum(len(turn.closes) for turn in turns) == 2

    def copy(self, message: Message, position: int, parent: Message | None = None) -> Message:
        return Message.objects.create(
            tree_id=message.tree_id,
            parent=parent or message.parent,
            role=message.role,
            depth=message.depth + (parent is not None),
            position=position,
            text="One more.",
            text_digest=b"",
            lang="en",
            revision=message.revision,
            frontend_message_id=f"copy {position} of {message.pk}",
        )

    def test_the_cost_is_the_same_for_a_large_conversation(self, browser: Client, alice: User) -> None:
        policy = TreePolicy(max_children_count=60)
        prompt = growing_tree(alice, policy)

        def statements() -> int:
            browser.get(page_of(prompt))
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(page_of(prompt)).status_code == 200
            return len(captured)

        new_reply(prompt, new_person("Writer"), policy=policy)
        few = statements()
        for person in new_people(10):
            new_reply(prompt, person, policy=policy)
        assert statements() == few <= 12


def test_a_message_with_rows_of_every_kind_costs_no_more(browser: Client, mo: User, alice: User) -> None:
    policy = TreePolicy(max_children_count=60)
    prompt = growing_tree(alice, policy)
    reply, other = (new_reply(prompt, person, policy=policy) for person in new_people(2))
    facts = {"message": reply, "revision_id": reply.revision_id}
    for number, person in enumerate(new_people(25)):
        Report.objects.create(**facts, reporter=person, text=f"Look {number}.")
        Reaction.objects.create(message=reply, author=person, emoji="+1")
        Skip.objects.create(message=reply, author=person, kind="label")
        ids = [reply.pk, other.pk]
        Ranking.objects.create(parent=prompt, author=person, ordered_ids=ids, revision_ids=ids)
    Proposal.objects.create(tree=reply.tree, **facts, kind="flags", voices=1)
    Withdrawal.objects.create(tree=reply.tree, message=reply, reason="Please.")
    Deletion.objects.create(tree=reply.tree, message=reply, message_ids=[reply.pk], reason="Gone.", actor=mo)
    MessageReading.objects.create(
        revision_id=reply.revision_id, kind="personal_data", flagged=True, result={"spans": [[0, 3, "phone"]]}
    )
    program = ApiClient.objects.create(name="A program")
    Message.objects.filter(pk=other.pk).update(correction_of=reply)
    Message.objects.filter(pk=reply.pk).update(correction_of=prompt, api_client=program)
    browser.get(page_of(reply))
    with CaptureQueriesContext(connection) as captured:
        page = browser.get(page_of(reply)).text
    for title in ("Reports", "Reactions and skips", "Proposed removals", "Withdrawals", "Removals", "A suggested edit"):
        assert title in page, title
    assert "And 5 more" in page and "Edits that others suggest" in page and "A program" in page
    assert len(captured) <= 12, "\n".join(one["sql"][:150] for one in captured)


class TestOpenWork:
    def test_a_cell_of_the_status_page_leads_to_its_work(self, browser: Client, alice: User, bob: User) -> None:
        german = new_prompt(alice, "Wie backe ich Brot?", lang="de")
        new_prompt(bob)
        page = browser.get(reverse("admin:status")).text
        link = f"{reverse('admin:trees_opening_changelist')}?work=label_initial_prompt&amp;lang=de"
        assert f'href="{link}"' in page
        listed = browser.get(link.replace("&amp;", "&"))
        assert {row.message_id for row in listed.context["cl"].result_list} == {german.pk}
        row = Opening.objects.filter(lang="de")[0]
        details = browser.get(reverse("admin:trees_opening_change", args=[row.pk])).text
        assert "Wie backe ich Brot?" in details and "Check prompts" in details
        assert str(row.message_id) not in re.sub(r'(href|value|action)="[^"]*"', "", details)

    def test_held_ones(self, browser: Client, alice: User) -> None:
        new_prompt(alice)
        for held, number in (("0", 2), ("1", 0)):
            page = browser.get(reverse("admin:trees_opening_changelist"), {"held": held})
            assert len(page.context["cl"].result_list) == number


def test_the_board_of_complaints_leads_to_the_messages(browser: Client, alice: User, bob: User) -> None:
    prompt = new_prompt(alice)
    reactions.report(message_id=prompt.pk, reporter=bob, category="spam")
    for frame in ("day", "total"):
        TrollStanding.objects.create(frame=frame, person=alice, red_flags=1)
    board = reverse("admin:leaderboard_trollstanding_changelist")
    page = browser.get(board)
    assert [row.frame for row in page.context["cl"].result_list] == ["total"]
    link = f"{reverse('admin:trees_message_changelist')}?author={alice.pk}&amp;flags=1"
    assert f'href="{link}"' in page.text
    assert [row.pk for row in browser.get(link.replace("&amp;", "&")).context["cl"].result_list] == [prompt.pk]
    found = [
        len(browser.get(board, query).context["cl"].result_list)
        for query in ({"frame__exact": "day", "q": "ali"}, {"frame__exact": "week"}, {"person__enabled__exact": "0"})
    ]
    assert found == [1, 0, 0]
