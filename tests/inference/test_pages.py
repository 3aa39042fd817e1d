"""The pages of the chat without JavaScript: forms, links and their results."""

import re
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from inference.chats.conversation import WINDOW
from inference.models import Chat, ChatMessage, ChatReport, Preset, Role, Turn, Vote
from inference.turns.runtime import prompt_messages
from inference.turns.states import TurnState
from oasst.accounts.models import User
from oasst.core.ids import uuid7
from oasst.core.markdown.rendering import render
from tests.inference.talking import ask, fresh
from tests.page_text import without_tokens

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("chat_on")]
NASTY = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> [x](javascript:alert(1)) ![p](https://evil.example/p.png)"
)


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def page(alice: User) -> Client:
    return signed_in(alice)


def answered(turn: Turn, text: str = "An *answer*.", state: str = "complete", **more: Any) -> Turn:
    ChatMessage.objects.filter(pk=turn.pk).update(content=text)
    Turn.objects.filter(pk=turn.pk).update(state=state, ended_at=timezone.now(), **more)
    return fresh(turn)


def talk(person: User, text: str = "Why is the sky blue?", answer: str = "An *answer*.") -> Turn:
    return answered(ask(person, text), answer)


def url(name: str, *args: object) -> str:
    return reverse(name, args=args)


def stored() -> tuple[int, int, int]:
    return Chat.objects.count(), ChatMessage.objects.count(), Turn.objects.count()


def statements(client: Client, address: str) -> int:
    client.get(address)  # compiles the templates and caches the session
    with CaptureQueriesContext(connection) as captured:
        assert client.get(address).status_code == 200
    return len(captured)


class TestBeginning:
    def test_the_first_page_invites(self, page: Client) -> None:
        html = page.get(url("chats")).content.decode()
        assert "What shall we talk about?" in html and html.count('class="chat-example"') == 4
        assert 'href="/chat/" aria-current="page"' in html

    def test_asking_makes_a_chat_and_shows_it(self, page: Client, alice: User) -> None:
        response = page.post(url("chat_begin"), {"text": "Why is the sky blue?"}, follow=True)
        turn = Turn.objects.get()
        assert response.redirect_chain[0][0] == f"{url('chat', turn.message.chat_id)}#message-{turn.message.parent_id}"
        html = response.content.decode()
        assert "Why is the sky blue?" in html and "You are number 1 of 1" in html
        assert '<meta http-equiv="refresh"' in html and "Show what came" in html  # for those without script
        assert f'action="{url("chat_stop", turn.pk)}"' in html

    def test_a_refused_question_comes_back_and_nothing_is_stored(self, page: Client, settings: Any) -> None:
        settings.CHAT_POLICY = {"queue_limit": 0}
        response = page.post(url("chat_begin"), {"text": "A long thought of mine"})
        assert response.status_code == 503 and response["Retry-After"]
        html = response.content.decode()
        assert "Too many people are waiting" in html and ">\nA long thought of mine</textarea>" in html
        assert stored() == (0, 0, 0)

    @pytest.mark.parametrize("text", ["    x = 1\n    y = 2", "\tif x:\n\t\treturn", "\u3000\u6625"])
    def test_indentation_is_stored_shown_to_be_changed_and_told_to_the_model(self, page: Client, text: str) -> None:
        html = page.post(url("chat_begin"), {"text": f"\n{text}\x0bz\n"}, follow=True).content.decode()
        said = ChatMessage.objects.get(role=Role.PROMPTER)
        assert said.content == f"{text}\nz"
        assert f">\n{text}\nz</textarea>" in html
        (message,) = prompt_messages(Turn.objects.get())
        assert message.content == said.content

    def test_a_paste_beyond_the_limit_comes_back_whole(self, page: Client) -> None:
        text = "\n  " + "😀" * 20_014
        response = page.post(url("chat_begin"), {"text": text})
        html = response.content.decode()
        assert response.status_code == 400 and f">\n{text}</textarea>" in html
        assert "This is 20,016 characters; 16 too many (at most 20,000 fit)." in html

    @pytest.mark.parametrize(
        ("text", "status"), [("", 400), (" \n", 400), ("\u200b", 400), ("a\x1cb", 400), ("x" * 20_001, 400)]
    )
    def test_what_can_not_be_asked(self, page: Client, text: str, status: int) -> None:
        assert page.post(url("chat_begin"), {"text": text}).status_code == status
        assert stored() == (0, 0, 0)

    def test_a_new_chat_is_set_as_the_latest_one_was(self, page: Client, alice: User) -> None:
        first = talk(alice).message.chat
        Chat.objects.filter(pk=first.pk).update(
            sampling={"temperature": 0.3, "seed": 7}, user_profile="I am nine.", system_prompt="Only here."
        )
        page.post(url("chat_begin"), {"text": "And now?"})
        newest = Chat.objects.order_by("-created_at").first()
        assert newest is not None and newest.user_profile == "I am nine." and newest.system_prompt == ""
        assert newest.sampling == {"temperature": 0.3}
        assert Turn.objects.get(message__chat=newest).sampling["temperature"] == 0.3

    def test_nobody_sees_it_without_signing_in(self, client: Client) -> None:
        for address in (url("chats"), url("chat_list"), url("chat", uuid4())):
            assert client.get(address)["Location"].startswith("/accounts/login/")


class TestConversation:
    def test_what_was_said_is_rendered_and_harmless(self, page: Client, alice: User) -> None:
        turn = talk(alice, NASTY, f"{NASTY}\n\n```python\nprint(1)\n```")
        html = page.get(url("chat", turn.message.chat_id)).content.decode()
        assert "<script>alert" not in html and "<img" not in html and 'href="javascript' not in html
        assert html.count("blocked-image") == 2 and 'class="language-python"' in html
        assert re.search(r'<a [^>]*rel="nofollow noopener noreferrer ugc"', html)

    def test_text_that_still_comes_is_rendered_and_harmless(self, page: Client, alice: User) -> None:
        turn = ask(alice)
        text = "Some <b>\n\n**bol"
        Turn.objects.filter(pk=turn.pk).update(state="in_progress", lease_until=timezone.now(), owner="x", text=text)
        html = page.get(url("chat", turn.message.chat_id)).content.decode()
        assert f'data-place="{len(text)}">{render("Some <b>")}{render("**bol**")}</div>' in html

    def test_the_conversation_goes_on(self, page: Client, alice: User) -> None:
        turn = talk(alice)
        chat_id = turn.message.chat_id
        html = page.get(url("chat", chat_id)).content.decode()
        assert f'name="parent" value="{turn.pk}"' in html
        page.post(url("chat_ask", chat_id), {"text": "And at night?", "parent": turn.pk})
        newest = Turn.objects.exclude(pk=turn.pk).get()
        assert newest.message.parent is not None and newest.message.parent.parent_id == turn.pk

    def test_a_question_that_failed_offers_another_try(self, page: Client, alice: User) -> None:
        turn = answered(ask(alice), "", "failed", error="The engine is away.")
        html = page.get(url("chat", turn.message.chat_id)).content.decode()
        assert "The engine is away." in html and "Try again" in html
        page.post(url("chat_again", turn.message.parent_id))
        assert Turn.objects.count() == 2

    def test_an_answer_that_was_cut_offers_to_go_on(self, page: Client, alice: User) -> None:
        turn = answered(ask(alice), "It is", finish_reason="length", dropped_messages=2)
        html = page.get(url("chat", turn.message.chat_id)).content.decode()
        assert "Go on" in html and "2 early messages were left out" in html

    def test_stop(self, page: Client, alice: User) -> None:
        turn = ask(alice)
        page.post(url("chat_stop", turn.pk))
        assert fresh(turn).state == TurnState.STOPPED
        assert "You stopped this answer" in page.get(url("chat", turn.message.chat_id)).content.decode()

    def test_others_chats_do_not_exist(self, bob: User, alice: User) -> None:
        turn, page = talk(alice), signed_in(bob)
        chat_id, before = turn.message.chat_id, stored()
        assert page.get(url("chat", chat_id)).status_code == 404
        for name in ("chat_ask", "chat_rename", "chat_hide", "chat_delete", "chat_undelete", "chat_choose"):
            data = {"text": "x", "title": "x", "set-model": "tiny"}
            assert page.post(url(name, chat_id), data).status_code == 404, name
        for name in ("chat_again", "chat_stop", "chat_look", "chat_vote", "chat_report"):
            data = {"score": "1", "kind": "spam", "reason": "x"}
            assert page.post(url(name, turn.pk), data).status_code == 404, name
        assert stored() == before and not Vote.objects.exists() and not ChatReport.objects.exists()
        assert Chat.objects.get().title == "Why is the sky blue?" and Chat.objects.get().deleted_at is None


class TestBranches:
    def test_rewording_regenerating_and_walking_between(self, page: Client, alice: User) -> None:
        first = talk(alice, "Helo", "First answer")
        chat_id = first.message.chat_id
        page.post(url("chat_ask", chat_id), {"text": "Hello", "parent": "", "editing": first.message.parent_id})
        second = answered(Turn.objects.exclude(pk=first.pk).get(), "Second answer")
        html = page.get(url("chat", chat_id)).content.decode()
        assert "Second answer" in html and "First answer" not in html and "</span>2/2</span>" in html

        page.post(url("chat_again", second.message.parent_id))
        answered(Turn.objects.exclude(pk__in=[first.pk, second.pk]).get(), "Third answer")
        html = page.get(url("chat", chat_id)).content.decode()
        assert "Third answer" in html and html.count("</span>2/2</span>") == 2

        page.post(url("chat_look", second.pk))
        html = page.get(url("chat", chat_id)).content.decode()
        assert "Second answer" in html and "</span>1/2</span>" in html
        page.post(url("chat_look", first.message.parent_id))
        html = page.get(url("chat", chat_id)).content.decode()
        assert "First answer" in html and "Second answer" not in html

    def test_a_refused_rewording_is_kept_where_it_was(self, page: Client, alice: User) -> None:
        turn = talk(alice)
        prompt_id = turn.message.parent_id
        before = stored()
        response = page.post(
            url("chat_ask", turn.message.chat_id), {"text": "y" * 20_001, "parent": "", "editing": prompt_id}
        )
        html = response.content.decode()
        assert response.status_code == 400 and stored() == before
        assert re.search(r"<details class=\"rewrite\" data-rewrite open>.*?y{20001}</textarea>", html, re.DOTALL)

    def test_a_garbled_parent_is_no_new_beginning(self, page: Client, alice: User) -> None:
        turn = talk(alice)
        before = stored()
        response = page.post(url("chat_ask", turn.message.chat_id), {"text": "x", "parent": "garbled"})
        assert response.status_code == 400 and stored() == before


class TestSaying:
    def test_thumbs_go_on_and_off(self, page: Client, alice: User) -> None:
        turn = talk(alice)
        page.post(url("chat_vote", turn.pk), {"score": "-1"})
        assert Vote.objects.get().score == -1
        html = page.get(url("chat", turn.message.chat_id)).content.decode()
        assert 'value="0" aria-pressed="true" title="Bad answer"' in html
        page.post(url("chat_vote", turn.pk), {"score": "0"})
        assert not Vote.objects.exists()
        assert page.post(url("chat_vote", turn.pk), {"score": "9"}).status_code == 400

    def test_reporting(self, page: Client, alice: User) -> None:
        turn = talk(alice)
        data = {"kind": "offensive", "reason": "It is rude."}
        html = page.post(url("chat_report", turn.pk), data, follow=True).content.decode()
        assert "A moderator will look" in html and "You reported this." in html
        assert ChatReport.objects.get().kind == "offensive"
        response = page.post(url("chat_report", turn.pk), {"kind": "spam", "reason": " "})
        assert response.status_code == 400 and ChatReport.objects.count() == 1

    def test_a_refused_report_keeps_its_words(self, page: Client, alice: User) -> None:
        turn = talk(alice)
        reason = "    indented " + "x" * 2_000
        response = page.post(url("chat_report", turn.pk), {"kind": "offensive", "reason": reason})
        html = response.content.decode()
        assert response.status_code == 400 and not ChatReport.objects.exists()
        assert "This is 2,013 characters; 13 too many" in html and f">\n{reason}</textarea>" in html
        assert 'value="offensive" required checked' in html and '<details class="report" data-menu open>' in html

    def test_a_refused_search_keeps_its_words(self, page: Client) -> None:
        response = page.get(url("chat_list"), {"q": "w" * 203})
        html = response.content.decode()
        assert response.status_code == 400
        assert "This is 203 characters; 3 too many" in html and f'value="{"w" * 203}"' in html

    def test_refused_instructions_stand_at_their_field(self, page: Client, alice: User) -> None:
        chat_id = talk(alice).message.chat_id
        given = {**TestSettings.GIVEN, "set-system_prompt": "  s" + "x" * 2_000, "preset_name": "Mine"}
        response = page.post(url("chat_choose", chat_id), given)
        html = response.content.decode()
        assert response.status_code == 422 and given["set-system_prompt"] in html
        assert 'id="id_set-system_prompt_error"' in html and "This is 2,003 characters; 3 too many" in html
        page.post(url("chat_choose", chat_id), {**given, "set-system_prompt": "  1. Be brief.\n  2. Be kind.\n"})
        assert Chat.objects.get().system_prompt == "  1. Be brief.\n  2. Be kind."


class TestList:
    def test_rename_hide_show_delete_and_undo(self, page: Client, alice: User) -> None:
        chat_id = talk(alice).message.chat_id
        page.post(url("chat_rename", chat_id), {"title": "The sky", "next": url("chat_list")})
        assert "The sky" in page.get(url("chat_list")).content.decode()

        response = page.post(url("chat_rename", chat_id), {"title": "t" * 102})
        html = response.content.decode()
        assert response.status_code == 400 and Chat.objects.get().title == "The sky"
        assert "This is 102 characters; 2 too many" in html and f'value="{"t" * 102}"' in html

        page.post(url("chat_hide", chat_id), {"hidden": "1"})
        assert "The sky" not in page.get(url("chat_list")).content.decode().partition("<main")[2].replace("Hidden", "")
        assert "The sky" in page.get(url("chat_list") + "?hidden=1").content.decode()
        page.post(url("chat_hide", chat_id), {"hidden": "0"})

        html = page.post(url("chat_delete", chat_id), follow=True).content.decode()
        assert "“<bdi>The sky</bdi>” is deleted." in html and url("chat_undelete", chat_id) in html
        assert page.get(url("chat", chat_id)).status_code == 404
        html = page.post(url("chat_undelete", chat_id), follow=True).content.decode()
        assert "Your chat is back." in html and "The sky" in html

    def test_an_empty_title_changes_nothing(self, page: Client, alice: User) -> None:
        chat_id = talk(alice).message.chat_id
        html = page.post(url("chat_rename", chat_id), {"title": " "}, follow=True).content.decode()
        assert "Nothing is written here yet." in html
        assert Chat.objects.get().title == "Why is the sky blue?"

    def test_search_finds_titles_and_messages(self, page: Client, alice: User, bob: User) -> None:
        talk(alice, "Why is the sky blue?", "Because of Rayleigh.")
        talk(alice, "How do I bake bread?", "With flour.")
        talk(bob, "Bob asks about Rayleigh")
        html = without_tokens(page.get(url("chat_list"), {"q": "Rayleigh"}).content.decode())
        assert "Why is the sky blue?" in html and "bread" not in html and "Bob" not in html
        assert "Nothing found" in page.get(url("chat_list"), {"q": "zebra"}).content.decode()

    def test_leafing(self, page: Client, alice: User) -> None:
        Chat.objects.bulk_create(Chat(user=alice, title=f"Chat {n:03}") for n in range(35))
        html = page.get(url("chat_list")).content.decode()
        assert html.count('data-testid="chat-row"') == 30
        older = re.search(r'href="([^"]*older=[^"]*)"', html)
        assert older is not None
        html = page.get(older[1].replace("&amp;", "&")).content.decode()
        assert html.count('data-testid="chat-row"') == 5 and 'rel="prev"' in html


class TestSettings:
    GIVEN = {"set-model": "tiny", "set-temperature": "0.2", "set-top_k": "40", "set-user_profile": "I am nine."}

    def test_they_hold_for_the_next_answer(self, page: Client, alice: User) -> None:
        turn = talk(alice)
        chat_id = turn.message.chat_id
        page.post(url("chat_choose", chat_id), {**self.GIVEN, "set-seed": "7"})
        chat = Chat.objects.get()
        assert chat.sampling == {"temperature": 0.2, "top_k": 40, "seed": 7}
        assert (chat.model, chat.user_profile, chat.allow_data_use) == ("", "I am nine.", False)
        page.post(url("chat_ask", chat_id), {"text": "And now?", "parent": turn.pk})
        newest = Turn.objects.exclude(pk=turn.pk).get()
        assert newest.sampling["temperature"] == 0.2 and newest.sampling["seed"] == 7
        assert "I am nine." in newest.system_prompt

    @pytest.mark.parametrize(
        "bad", [{"set-temperature": "9"}, {"set-top_p": "nan"}, {"set-seed": str(2**60)}, {"set-model": "gpt"}]
    )
    def test_what_can_not_be_set_comes_back(self, page: Client, alice: User, bad: dict[str, str]) -> None:
        chat_id = talk(alice).message.chat_id
        response = page.post(url("chat_choose", chat_id), {**self.GIVEN, **bad})
        html = response.content.decode()
        assert response.status_code == 422 and ">\nI am nine.</textarea>" in html and "field__errors" in html
        assert Chat.objects.get().user_profile == ""

    def test_presets_of_the_house_and_of_ones_own(self, page: Client, alice: User) -> None:
        chat_id = talk(alice).message.chat_id
        page.post(url("chat_preset", chat_id), {"preset": "k50-Precise"})
        assert Chat.objects.get().sampling["temperature"] == 0.1
        html = page.get(url("chat", chat_id)).content.decode()
        assert 'value="k50-Precise" aria-pressed="true"' in html

        page.post(url("chat_choose", chat_id), {**self.GIVEN, "save_preset": "1", "preset_name": "Mine"})
        mine = Preset.objects.get()
        assert mine.sampling == {"temperature": 0.2, "top_k": 40}
        page.post(url("chat_preset", chat_id), {"preset": "k50"})
        page.post(url("chat_preset", chat_id), {"preset": mine.pk})
        assert Chat.objects.get().sampling == mine.sampling
        page.post(url("chat_preset_delete", mine.pk))
        assert not Preset.objects.exists() and Chat.objects.get().sampling == {"temperature": 0.2, "top_k": 40}

    @pytest.mark.parametrize("name", ["", "Balanced", "k50"])
    def test_names_that_a_preset_can_not_have(self, page: Client, alice: User, name: str) -> None:
        chat_id = talk(alice).message.chat_id
        response = page.post(url("chat_choose", chat_id), {**self.GIVEN, "save_preset": "1", "preset_name": name})
        assert response.status_code in (400, 409) and not Preset.objects.exists()
        assert Chat.objects.get().sampling == {}

    def test_a_preset_of_somebody_else(self, page: Client, alice: User, bob: User) -> None:
        chat_id = talk(alice).message.chat_id
        other = Preset.objects.create(user=bob, name="Bob's", sampling={"temperature": 1})
        assert page.post(url("chat_preset", chat_id), {"preset": other.pk}).status_code == 404
        assert page.post(url("chat_preset_delete", other.pk)).status_code == 404
        assert Preset.objects.exists() and Chat.objects.get().sampling == {}

    def test_before_the_first_word(self, page: Client) -> None:
        page.post(url("chat_preset_new"), {"preset": "k50-Creative"})
        page.post(url("chat_choose_new"), self.GIVEN)
        assert Chat.objects.get().sampling == {"temperature": 0.2, "top_k": 40}  # one empty chat, not two


class TestOff:
    def test_a_friendly_page_and_no_link(self, page: Client, alice: User, settings: Any) -> None:
        turn = talk(alice)
        settings.OASST_CHAT_MODEL = "none"
        html = page.get(url("chats")).content.decode()
        assert "The assistant is away" in html and "<textarea" not in html
        html = page.get(url("chat", turn.message.chat_id)).content.decode()
        assert "Why is the sky blue?" in html and 'id="composer"' not in html
        assert 'href="/chat/"' not in page.get(reverse("dashboard")).content.decode().partition("</header>")[0]
        before = stored()
        assert page.post(url("chat_begin"), {"text": "Hello"}).status_code == 409
        assert stored() == before


class TestCost:
    MOST = 12

    def test_the_lists(self, page: Client, alice: User) -> None:
        Chat.objects.bulk_create(Chat(user=alice, title=f"Chat {n}") for n in range(3))
        few = [statements(page, url("chats")), statements(page, url("chat_list"))]
        Chat.objects.bulk_create(Chat(user=alice, title=f"Chat {n}") for n in range(60))
        assert [statements(page, url("chats")), statements(page, url("chat_list"))] == few
        assert max(few) <= self.MOST

    def test_a_conversation_ten_times_as_long(self, page: Client, alice: User) -> None:
        turn = talk(alice)
        chat = turn.message.chat
        few = statements(page, url("chat", chat.pk))
        tail = long_thread(chat, turn, 200)
        Chat.objects.filter(pk=chat.pk).update(active_tail=tail)
        html = page.get(url("chat", chat.pk)).content.decode()
        assert html.count("<article") == WINDOW and "Earlier messages" in html
        assert statements(page, url("chat", chat.pk)) == few <= self.MOST
        earlier = re.search(r"\?upto=([\w-]+)", html)
        assert earlier is not None
        html = page.get(url("chat", chat.pk), {"upto": earlier[1]}).content.decode()
        assert html.count("<article") == WINDOW and 'id="composer"' not in html

    def test_one_that_waits(self, page: Client, alice: User) -> None:
        assert statements(page, url("chat", ask(alice).message.chat_id)) <= self.MOST


def long_thread(chat: Chat, turn: Turn, pairs: int) -> ChatMessage:
    above, messages, turns = turn.message, [], []
    for number in range(pairs):
        prompt = ChatMessage(id=uuid7(), chat=chat, parent=above, role=Role.PROMPTER, content=f"Question {number}")
        above = ChatMessage(id=uuid7(), chat=chat, parent=prompt, role=Role.ASSISTANT, content=f"Answer {number}")
        messages += [prompt, above]
        turns.append(Turn(message=above, user=chat.user, state="complete", ended_at=timezone.now(),
                          deadline_at=timezone.now(), model="tiny"))  # fmt: skip
    ChatMessage.objects.bulk_create(messages)
    Turn.objects.bulk_create(turns)
    return above


def test_a_message_of_another_chat_shows_nothing(page: Client, alice: User) -> None:
    one, other = talk(alice), talk(alice)
    assert page.get(url("chat", one.message.chat_id), {"upto": other.pk}).status_code == 404
