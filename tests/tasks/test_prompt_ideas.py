"""Ideas for a first prompt: always others, never in the form, and the typed text stays."""

from html import unescape
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from oasst.accounts.models import User
from tasks import prompt_ideas
from tests.factories import growing_tree
from tests.tasks.test_languages import filled_in
from tests.tasks.test_pages import signed_in, take, task_at
from trees.models import Message

pytestmark = pytest.mark.django_db


class TestIdeas:
    def test_counting_up_gives_each_combination_once(self) -> None:
        parts = (
            prompt_ideas.SUBJECTS, prompt_ideas.REQUESTS, prompt_ideas.ASKERS, prompt_ideas.DIFFICULTIES
        )  # fmt: skip
        every = {tuple(number % len(part) for part in parts) for number in range(prompt_ideas.NUMBER)}
        assert len(every) == prompt_ideas.NUMBER == 8855
        for number in (0, 1, 77, prompt_ideas.NUMBER - 1):
            one = prompt_ideas.idea_at(number)
            other = prompt_ideas.idea_at(one.next_number)
            assert not set(map(str, one.sentences)) & set(map(str, other.sentences))

    def test_each_task_begins_elsewhere_and_stays_there(self) -> None:
        ids = [uuid4() for _ in range(20)]
        assert len({prompt_ideas.first_number(one) for one in ids}) > 10
        assert prompt_ideas.first_number(ids[0]) == prompt_ideas.first_number(ids[0])

    @pytest.mark.parametrize("sent", ["", "x", "-1", "1.5", "٣", "9" * 5000, "\0"])
    def test_a_form_may_send_anything(self, sent: str) -> None:
        assert prompt_ideas.read_number(sent) == 0


class TestPage:
    def test_it_is_offered_for_a_first_prompt_alone(self, alice: User, bob: User) -> None:
        growing_tree(bob)
        client = signed_in(alice)
        page = client.get(take(client, "initial_prompt")).text
        assert 'data-testid="idea"' in page and page.count("prompt-idea__sentences") == 1
        assert "data-idea" not in client.get(take(client, "assistant_reply")).text

    def test_another_one_keeps_the_text_and_stores_nothing(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        answer = client.post(url, {"text": "So far\nI have <this>", "idea": "7", "kept_as": "abcdefgh"})
        idea = prompt_ideas.idea_at(7)
        assert answer.status_code == 200 and all(str(sentence) in answer.text for sentence in idea.sentences)
        assert unescape(filled_in(answer.text)["text"]) == "So far\nI have <this>" and "Not sent yet" not in answer.text
        assert 'data-testid="idea" open' in answer.text and f'value="{idea.next_number}"' in answer.text
        assert not Message.objects.exists() and not hasattr(task_at(url), "draft")

    def test_the_script_gets_a_piece(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        piece = client.post(url, {"idea": "7"}, headers={"X-Requested-With": "fetch"})
        assert piece.status_code == 200 and "<h1" not in piece.text and 'data-testid="idea-next"' in piece.text

    def test_the_number_stays_out_of_the_draft(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        client.post(f"{url}draft/", {"text": "So far", "idea": "7"})
        assert task_at(url).draft.body == {"text": "So far"}

    def test_not_for_others_and_not_of_other_kinds(self, alice: User, bob: User, eve: User) -> None:
        growing_tree(bob)
        client = signed_in(alice)
        url = take(client, "assistant_reply")
        assert client.post(url, {"idea": "7", "text": "x"}).headers["Location"] == url
        prompt = take(client, "initial_prompt")
        assert signed_in(eve).post(prompt, {"idea": "7"}).status_code == 404
        assert Client().post(prompt, {"idea": "7"}).headers["Location"].startswith(reverse("account_login"))

    def test_without_a_session_the_text_is_kept(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        User.objects.filter(pk=alice.pk).update(terms_version="0")
        client.post(url, {"idea": "7", "text": "Half a thought"})
        User.objects.filter(pk=alice.pk).update(terms_version=alice.terms_version)
        assert "Half a thought</textarea>" in client.get(url).text
