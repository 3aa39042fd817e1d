"""What pages show: the rows of docs/acceptance.md that no other test shows whole."""

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from leaderboard.models import Standing
from leaderboard.time_frames import Frame
from oasst.accounts.models import User
from tests.factories import growing_tree, new_person, new_prompt, new_reply, work_until_state
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Review
from trees.moderation import moderator_actions
from trees.policies.reading import current_policy

pytestmark = pytest.mark.django_db


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def take(client: Client, kind: str) -> str:
    return str(client.post(reverse("task_next"), {"kind": kind, "lang": "en"})["Location"])


def test_the_header_has_everything(alice: User, settings: Any) -> None:
    settings.OASST_CHAT_MODEL = "tiny"
    User.objects.filter(pk=alice.pk).update(contribution_languages=["en", "de"])
    Standing.objects.create(person=alice, frame=Frame.TOTAL, lang="", replies_assistant=5)
    page = signed_in(alice).get("/statistics/").text
    header = page[page.index("<header") : page.index("</header>")]
    for words in (
        *('class="logo" href="/dashboard/"', 'id="work-language"', 'data-testid="own-level"', "data-theme-toggle"),
        *('data-testid="user-menu"', "Alice", 'href="/me/"', 'href="/fault/"', 'action="/accounts/logout/"'),
    ):
        assert words in header, words


def test_the_footer_has_legal_texts_and_documentation() -> None:
    page = Client().get("/about/").text
    footer = page[page.index("<footer") :]
    for address in ("/terms/", "/privacy/", "/docs/", "/guidelines/", "/data/", "/about/"):
        assert f'href="{address}"' in footer, address


def test_the_desk_leads_to_people_messages_complaints_and_status(mo: User) -> None:
    page = signed_in(mo).get("/admin/").text
    for name in ("accounts_user", "trees_message", "leaderboard_trollstanding", "trees_report"):
        assert reverse(f"admin:{name}_changelist") in page
    assert reverse("admin:status") in page


def test_the_about_page_says_what_it_is_and_what_becomes_of_texts(settings: Any) -> None:
    settings.OPERATOR_NAME = "Example University"
    page = Client().get("/about/").text
    for words in ("How a conversation grows", "What happens to the data", "CC BY 4.0", "Example University"):
        assert words in page


@pytest.mark.parametrize(("path", "status"), [("/admin/", 403), ("/nowhere/", 404)])
def test_refusals_have_a_way_back_and_a_report(alice: User, path: str, status: int) -> None:
    response = signed_in(alice).get(path, headers={"Referer": "http://testserver/about/"})
    assert response.status_code == status
    assert "Back to the page before" in response.text and 'href="/fault/?request=' in response.text
    assert "To the dashboard" in response.text


def test_a_crash_has_a_way_back_and_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr("oasst.site.about.render", crash)
    response = Client(raise_request_exception=False).get("/about/")
    assert response.status_code == 500 and "broken" not in response.text
    assert 'href="/"' in response.text and "/fault/" in response.text


def test_the_profile_shows_name_address_and_ways_in(alice: User) -> None:
    page = signed_in(alice).get("/me/").text
    assert 'value="Alice"' in page and str(alice.email) in page
    for name in ("account_email", "socialaccount_connections", "mfa_index", "sessions"):
        assert f'href="{reverse(name)}"' in page


def test_people_are_initials_and_no_pictures_of_others(alice: User) -> None:
    Standing.objects.create(person=alice, frame=Frame.TOTAL, lang="", replies_assistant=5)
    page = signed_in(alice).get("/leaderboard/?frame=total").text
    assert '<span class="initial" aria-hidden="true">A</span>' in page
    board = page[page.index("<main") : page.index("</main>")]
    assert "<img" not in board and not re.search(r'src="(https?:)?//', page)


class TestTask:
    def test_title_instruction_rules_and_help(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        client = signed_in(bob)
        page = client.get(take(client, "label_initial_prompt")).text
        for words in ("Check an opener</h1>", "Judge this first message.", "Good to know", reverse("guidelines")):
            assert words in page, words

    def test_the_message_in_question_is_marked_and_speakers_have_names(self, alice: User, bob: User) -> None:
        reply = new_reply(growing_tree(alice), new_person("Writer"))
        client = signed_in(bob)
        page = client.get(take(client, "label_assistant_reply")).text
        turns = re.findall(r'<article class="turn turn--(\w+)( is-target)?"\s+id="message-([\w-]+)"', page)
        assert [(role, bool(target)) for role, target, _ in turns] == [("prompter", False), ("assistant", True)]
        assert turns[1][2] == str(reply.pk)
        names = re.findall(r'id="speaker-[\w-]+">([^<]+)<', page)
        assert [" ".join(name.split()) for name in names] == ["User", "Assistant"] and ">this one<" in page

    def test_label_sets_are_those_of_the_configuration(self, alice: User, bob: User, settings: Any) -> None:
        settings.TREE_POLICY = {"labels_initial_prompt": ["spam", "lang_mismatch", "political_content"]}
        new_prompt(alice, policy=current_policy())
        client = signed_in(bob)
        url = take(client, "label_initial_prompt")
        assert set(re.findall(r'data-question="(\w+)"', client.get(url).text)) == {
            *("spam", "lang_mismatch", "political_content")
        }
        client.post(url, {"spam": "0", "political_content": "1"})
        assert Review.objects.get().labels["political_content"] == 1


@pytest.mark.parametrize(
    "sets",
    [
        {"labels_initial_prompt": ("spam", "sparkle")},
        {"labels_assistant_reply": ("quality",)},
        {"mandatory_labels": ("spam", "humour")},
    ],
)
def test_a_set_of_labels_that_cannot_work_is_refused(sets: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(ValueError, match=r"no label|mandatory"):
        TreePolicy(**sets)  # type: ignore[arg-type]


class TestTree:
    def test_branches_fold_and_the_message_asked_for_is_open_and_framed(self, alice: User, bob: User) -> None:
        policy = TreePolicy(goal_tree_size=8, max_tree_depth=2)
        prompt = growing_tree(alice, policy)
        work_until_state(prompt.pk, State.READY_FOR_EXPORT, policy)
        deepest = Message.objects.filter(tree=prompt.tree_id, deleted=False).order_by("-depth").first()
        assert deepest is not None and deepest.depth == 2
        page = signed_in(bob).get(reverse("tree", args=[deepest.pk])).text
        # Without script: what is folded is a <details>, and the way to the message is open.
        way = page[: page.index(f'id="message-{deepest.pk}"')]
        opened = re.findall(r'<details class="node__replies"( open)?>', page)
        assert len(opened) >= 2 and way.count('<details class="node__replies" open>') >= 2
        assert re.search(rf'class="turn turn--\w+ is-target"\s+id="message-{deepest.pk}"', page)
        assert f'href="#message-{deepest.pk}"' in page and page.count(" is-target") == 1

    def test_badges_are_for_those_whom_they_concern(self, alice: User, bob: User, mo: User) -> None:
        policy = TreePolicy()
        prompt = growing_tree(alice, policy)
        kept, gone = new_reply(prompt, bob), new_reply(prompt, new_person("Spammer"))
        Message.objects.filter(pk=kept.pk).update(synthetic=True)
        moderator_actions.delete_message(message_id=gone.pk, actor=mo, reason="Spam.", policy=policy)
        people = alice, bob, mo

        def pages() -> list[str]:
            return [signed_in(person).get(reverse("tree", args=[prompt.pk])).text for person in people]

        def badges() -> list[list[str]]:
            return [re.findall(r"(yours|written by a model|removed)\s*<", page) for page in pages()]

        assert badges() == [["yours"], ["yours"], ["removed"]], "who judges it must not know what a model wrote"
        MessageTree.objects.filter(pk=prompt.tree_id).update(state=State.READY_FOR_EXPORT)
        mark = "written by a model"
        assert badges() == [["yours", mark], ["yours", mark], [mark, "removed"]]
        assert [str(gone.pk) in page for page in pages()] == [False, False, True]

    def test_the_menu_of_a_message(self, alice: User, bob: User, mo: User) -> None:
        prompt = growing_tree(alice)
        page, desk = (signed_in(person).get(reverse("tree", args=[prompt.pk])).text for person in (bob, mo))
        for words in ("Open by itself", "Copy the link", "Copy the text", "Label it"):
            assert words in page and words in desk
        assert "Open in the admin area" in desk and "Open in the admin area" not in page

    def test_thumbs_exclude_each_other(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        client, react = signed_in(bob), reverse("message_react", args=[prompt.pk])
        for emoji in ("+1", "-1"):
            client.post(react, {"emoji": emoji})
        assert [one.emoji for one in prompt.reactions.all()] == ["-1"]
        signed_in(alice).post(react, {"emoji": "+1"})
        assert not prompt.reactions.filter(author=alice).exists(), "not on one's own"


def test_the_newest_messages_of_a_language_come_first(alice: User, bob: User) -> None:
    texts = [new_prompt(alice, f"Frage {number}", lang="de").text for number in range(3)]
    new_prompt(alice, "In English")
    page = signed_in(bob).get("/explore/", {"lang": "de", "kind": "any"}).context["page"]
    shown = ["".join(piece.text for piece in row.excerpt) for row in page.rows]
    assert shown == texts[::-1]


def test_a_code_can_be_asked_for_with_another_address(client: Client, settings: Any) -> None:
    settings.SENDS_MAIL = True
    client.post("/accounts/login/code/", {"email": "wrong@example.org"})
    page = client.get("/accounts/login/code/confirm/").text
    assert "wrong@example.org" in page and "Use another address" in page


def test_any_task_is_drawn_by_the_weights_of_what_is_open(
    alice: User, bob: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    growing_tree(alice)
    new_prompt(alice)
    drawn: list[dict[str, float]] = []

    def choices(kinds: list[Any], weights: list[float]) -> list[Any]:
        drawn.append(dict(zip(kinds, weights, strict=True)))
        return kinds[:1]

    monkeypatch.setattr("tasks.assignment.random.choices", choices)
    take(signed_in(bob), "random")
    assert drawn[0]["label_initial_prompt"] == 5 and drawn[0]["assistant_reply"] == 2
    assert drawn[0]["initial_prompt"] == 0.01 and "rank_assistant_replies" not in drawn[0]
