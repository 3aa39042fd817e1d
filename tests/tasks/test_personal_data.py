"""A user whose text holds personal data is asked before anything is stored, and may send it masked or as it is."""

import pytest
from django.urls import reverse
from pytest_django import Settings

from oasst.accounts.models import User
from tests.core.text.test_language_detection import WRITTEN_IN
from tests.factories import decide, growing_tree, new_person, new_reply
from tests.tasks.test_languages import filled_in, send
from tests.tasks.test_pages import signed_in, take
from trees.models import Message

pytestmark = pytest.mark.django_db
TEXT = "How do I write to the landlord, jo.berg@posteo.net or +49 1512 7734901, about the heating?"
MASKED = "How do I write to the landlord, [e-mail address] or [phone number], about the heating?"
QUESTION = "Everybody will be able to read this"


def test_it_is_asked_before_anything_is_stored(alice: User) -> None:
    client = signed_in(alice)
    page = send(client, take(client, "initial_prompt"), TEXT)
    assert QUESTION in page and "Not sent yet" in page
    assert "<bdi>jo.berg@posteo.net</bdi>" in page and "masked: [phone number]" in page
    assert filled_in(page)["text"] == TEXT
    assert not Message.objects.exists()


def test_masking_is_one_click(alice: User) -> None:
    client = signed_in(alice)
    url = take(client, "initial_prompt")
    assert not send(client, url, **filled_in(send(client, url, TEXT)))
    assert Message.objects.get().text == MASKED


def test_the_author_may_send_it_as_it_is(alice: User) -> None:
    client = signed_in(alice)
    url = take(client, "initial_prompt")
    assert not send(client, url, **(filled_in(send(client, url, TEXT)) | {"personal_data": "keep"}))
    assert Message.objects.get().text == TEXT


def test_the_author_may_change_it(alice: User) -> None:
    client = signed_in(alice)
    url = take(client, "initial_prompt")
    answer = filled_in(send(client, url, TEXT)) | {"personal_data": "change"}
    assert QUESTION in send(client, url, **answer)
    assert not send(client, url, **(answer | {"text": "How do I write to the landlord about the heating?"}))


def test_an_answer_about_other_parts_is_none(alice: User) -> None:
    client = signed_in(alice)
    url = take(client, "initial_prompt")
    answer = filled_in(send(client, url, TEXT)) | {"personal_data": "keep"}
    page = send(client, url, **(answer | {"text": TEXT.replace("jo.berg", "ann.berg")}))
    assert "<bdi>ann.berg@posteo.net</bdi>" in page
    assert not Message.objects.exists()


@pytest.mark.parametrize("answer", ["yes", "", "MASK"])
def test_only_what_was_offered_is_an_answer(alice: User, answer: str) -> None:
    client = signed_in(alice)
    url = take(client, "initial_prompt")
    assert QUESTION in send(client, url, **(filled_in(send(client, url, TEXT)) | {"personal_data": answer}))


def test_both_questions_are_asked_at_once(alice: User) -> None:
    client = signed_in(alice)
    url = take(client, "initial_prompt")
    page = send(client, url, f"{WRITTEN_IN['ar']} jo.berg@posteo.net")
    assert "This looks like Arabic" in page and QUESTION in page
    assert page.count('id="errors"') == 1
    assert not send(client, url, **filled_in(page))
    message = Message.objects.get()
    assert message.lang == "ar" and message.text.endswith("[e-mail address]")


def test_what_was_found_cannot_inject_markup(alice: User) -> None:
    client = signed_in(alice)
    page = send(client, take(client, "initial_prompt"), 'password: "<b>1x!</b>9Zq" password=<i>Zz9!</i>')
    assert "<b>1x!" not in page and "<i>Zz9" not in page


def test_a_suggested_edit_is_asked_about_too(alice: User, bob: User) -> None:
    reply = new_reply(growing_tree(alice), bob)
    decide(reply)
    client = signed_in(new_person("Editor"))
    url = reverse("message_suggest", args=[reply.pk])
    page = send(client, url, TEXT)
    assert QUESTION in page and not Message.objects.filter(correction_of=reply).exists()
    assert not send(client, url, **filled_in(page))
    assert Message.objects.get(correction_of=reply).text == MASKED


def test_switched_off_nothing_is_asked(alice: User, settings: Settings) -> None:
    settings.OASST_SCORING = False
    client = signed_in(alice)
    assert not send(client, take(client, "initial_prompt"), TEXT)
    assert Message.objects.get().text == TEXT
