"""A user who writes in another language than their working language is asked before anything is stored."""

import re

import pytest
from django.test import Client
from django.urls import reverse

from oasst.accounts.models import User
from oasst.site.invariants import find_differences
from tasks import assignment, lottery, submission
from tasks.kinds import Kind
from tasks.models import Task
from tasks.supply import read_supply
from tests.core.text.test_language_detection import WRITTEN_IN
from tests.factories import decide, growing_tree, new_person, new_reply, work_until_state
from tests.tasks.test_pages import signed_in, take, task_at
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Opening
from trees.moderation import moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
ARABIC, ENGLISH = WRITTEN_IN["ar"], WRITTEN_IN["en"]


def send(client: Client, url: str, text: str, **answer: str) -> str:
    """Send the form and return the page; an empty text if the answer was stored."""
    response = client.post(url, {"text": text, **answer})
    assert response.status_code in (302, 422), response.content
    return "" if response.status_code == 302 else response.content.decode()


def filled_in(page: str) -> dict[str, str]:
    """Return what a browser without JavaScript sends when the user only presses the button again."""
    found = re.search(r'<form id="answer".*?</form>', page, re.DOTALL)
    form = found[0] if found else page
    text = re.search(r"<textarea[^>]*>\n(.*?)</textarea>", form, re.DOTALL)
    assert text is not None
    fields = {"text": text[1]}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        if name and value and (" checked" in tag or 'type="hidden"' in tag):
            fields[name[1]] = value[1]
    fields.pop("csrfmiddlewaretoken", None)
    return fields


class TestFirstPrompt:
    def test_it_is_asked_before_anything_is_stored(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        page = send(client, url, ARABIC)
        assert "This looks like Arabic. File it as Arabic?" in page
        assert ARABIC in page
        assert not Message.objects.exists()
        assert task_at(url).status == Task.Status.OPEN

    def test_yes_is_the_default_and_files_all_of_it(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        answer = filled_in(send(client, url, ARABIC))
        assert answer["language"] == "ar"
        assert not send(client, url, **answer)
        message = Message.objects.get()
        assert (message.lang, message.tree.lang, message.looks_like) == ("ar", "ar", "")
        assert set(Opening.objects.values_list("lang", flat=True)) == {"ar"}
        told = client.get(reverse("dashboard")).content.decode()
        assert "Stored as Arabic" in told and "choose it in your profile" in told
        assert list(find_differences(POLICY)) == []

    def test_no_keeps_the_language_and_tells_the_moderators(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        answer = filled_in(send(client, url, ARABIC)) | {"language": "keep"}
        assert not send(client, url, **answer)
        message = Message.objects.get()
        assert (message.lang, message.looks_like) == ("en", "ar")

    def test_sending_the_answer_twice_stores_once(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        answer = filled_in(send(client, url, ARABIC))
        first, again = client.post(url, answer), client.post(url, answer)
        assert first.headers["Location"] == again.headers["Location"]
        assert Message.objects.count() == 1

    def test_an_answer_about_another_text_is_none(self, alice: User) -> None:
        """Asked about Arabic, the user wrote another text."""
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        answer = filled_in(send(client, url, ARABIC))
        page = send(client, url, **(answer | {"text": WRITTEN_IN["ru"]}))
        assert "This looks like Russian" in page
        assert not Message.objects.exists()
        assert not send(client, url, **(filled_in(page) | {"text": ENGLISH}))
        assert Message.objects.get().lang == "en"

    @pytest.mark.parametrize("answer", [{"language": "xx"}, {"language": "en"}, {"language": "de"}, {}])
    def test_only_what_was_offered_is_an_answer(self, alice: User, answer: dict[str, str]) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        assert "This looks like Arabic" in send(client, url, ARABIC, asked_about="ar", **answer)
        assert not Message.objects.exists()

    def test_the_persons_own_variant_comes_first(self, alice: User) -> None:
        User.objects.filter(pk=alice.pk).update(contribution_languages=["en", "pt-BR"])
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        page = send(client, url, WRITTEN_IN["pt"])
        assert "File it as Portuguese (Brazil)?" in page
        send(client, url, **filled_in(page))
        assert Message.objects.get().lang == "pt-BR"
        assert "choose it in your profile" not in client.get(reverse("dashboard")).content.decode()

    def test_what_was_typed_is_refused_for_other_reasons_too(self, alice: User) -> None:
        """The answer to the language question is kept while the text is corrected."""
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        long = ARABIC * 60
        page = send(client, url, **filled_in(send(client, url, long)))
        assert "at most" in page or "2,000" in page
        assert filled_in(page)["language"] == "ar"
        assert not send(client, url, **(filled_in(page) | {"text": ARABIC}))
        assert Message.objects.get().lang == "ar"

    @pytest.mark.parametrize(
        "text", [ENGLISH, "Hola", "```\nfor x in y: print(x)\n```", "Translate to English: " + WRITTEN_IN["es"]]
    )
    def test_nobody_is_asked_without_need(self, alice: User, text: str) -> None:
        client = signed_in(alice)
        assert not send(client, take(client, "initial_prompt"), text)
        assert Message.objects.get().looks_like == ""


class TestSupply:
    """The prompt was requested in one language and written in another."""

    def test_it_counts_where_it_is_filed(self, alice: User) -> None:
        before = read_supply("en", POLICY)
        task = assignment.request_task(user=alice, lang="en", kind=Kind.INITIAL_PROMPT, policy=POLICY)
        assert read_supply("en", POLICY).being_written == 1
        submission.submit_text(task_id=task.pk, user=alice, text=ARABIC, lang="ar", policy=POLICY)
        assert read_supply("en", POLICY) == before
        assert read_supply("ar", POLICY).in_review == 1
        assert list(find_differences(POLICY)) == []

    def test_its_life_goes_on_there(self, alice: User, bob: User) -> None:
        task = assignment.request_task(user=alice, lang="en", kind=Kind.INITIAL_PROMPT, policy=POLICY)
        submission.submit_text(task_id=task.pk, user=alice, text=ARABIC, lang="ar", policy=POLICY)
        with pytest.raises(assignment.NothingToDo):
            assignment.request_task(user=bob, lang="en", kind=Kind.LABEL_INITIAL_PROMPT, policy=POLICY)
        prompt = Message.objects.get()
        found = assignment.request_task(user=bob, lang="ar", kind=Kind.LABEL_INITIAL_PROMPT, policy=POLICY)
        assert found.message == prompt
        assignment.skip(task_id=found.pk, user=bob, policy=POLICY)
        decide(prompt)
        small = TreePolicy(goal_tree_size=3, max_tree_depth=1)
        MessageTree.objects.update(goal_tree_size=3, max_depth=1)
        lottery.draw("ar", small)
        work_until_state(prompt.tree_id, State.READY_FOR_EXPORT, small)
        # The other answers were given without tasks.
        found = [one for one in find_differences(small) if one.check != "answers_come_from_a_task"]
        assert found == []


class TestReply:
    def test_the_conversation_keeps_its_language(self, alice: User, bob: User) -> None:
        growing_tree(alice)
        client = signed_in(bob)
        url = take(client, "assistant_reply")
        page = send(client, url, ARABIC)
        assert "The conversation is in English, and this looks like Arabic. Send it all the same?" in page
        assert page.count("this looks like Arabic") == 1
        assert "It looks like another language" in page and "Which language" not in page
        answer = filled_in(page)
        assert answer["language"] == "change"
        assert "Send it all the same?" in send(client, url, **answer)
        assert Message.objects.count() == 1
        assert not send(client, url, **(answer | {"language": "keep"}))
        reply = Message.objects.get(parent__isnull=False)
        assert (reply.lang, reply.looks_like, reply.text) == ("en", "ar", ARABIC)

    def test_a_suggested_edit_is_asked_about_too(self, alice: User, bob: User) -> None:
        reply = new_reply(growing_tree(alice), bob)
        decide(reply)
        client = signed_in(new_person("Editor"))
        url = reverse("message_suggest", args=[reply.pk])
        page = client.post(url, {"text": ARABIC})
        assert page.status_code == 422
        assert "this looks like Arabic. Send it all the same?" in page.content.decode()
        answer = {"text": ARABIC, "asked_about": "ar", "language": "keep"}
        assert client.post(url, answer).status_code == 302
        assert Message.objects.get(correction_of=reply).looks_like == "ar"


class TestModerators:
    def test_they_find_what_may_be_filed_wrongly(self, alice: User) -> None:
        task = assignment.request_task(user=alice, lang="en", kind=Kind.INITIAL_PROMPT, policy=POLICY)
        submission.submit_text(task_id=task.pk, user=alice, text=ARABIC, policy=POLICY)
        task = assignment.request_task(user=alice, lang="en", kind=Kind.INITIAL_PROMPT, policy=POLICY)
        submission.submit_text(task_id=task.pk, user=alice, text=ENGLISH, policy=POLICY)
        client = signed_in(new_person("Mo", role="moderator"))
        listed = client.get(reverse("admin:trees_message_changelist"), {"looks": "other"}).content.decode()
        assert ARABIC[:40] in listed and ENGLISH[:40] not in listed
        assert "looks like Arabic" in listed
        message = Message.objects.get(looks_like="ar")
        page = client.get(reverse("admin:trees_message_change", args=[message.pk])).content.decode()
        assert "Looks like" in page and "Arabic" in page

    def test_a_new_text_is_looked_at_anew(self, alice: User) -> None:
        task = assignment.request_task(user=alice, lang="en", kind=Kind.INITIAL_PROMPT, policy=POLICY)
        submission.submit_text(task_id=task.pk, user=alice, text=ARABIC, policy=POLICY)
        message = Message.objects.get()
        moderator = new_person("Mo", role="moderator")
        for text, looks_like in ((ENGLISH, ""), (WRITTEN_IN["de"], "de")):
            moderator_actions.edit_message(
                message_id=message.pk, actor=moderator, text=text, reason="Translated.", policy=POLICY
            )
            message.refresh_from_db()
            assert message.looks_like == looks_like
