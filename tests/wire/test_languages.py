"""The language that an API client sends is stored; if the text looks like another one, moderators see it."""

import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from oasst.accounts.models import User
from tests.core.text.test_language_detection import WRITTEN_IN
from tests.factories import growing_tree
from tests.wire.conftest import Wire, person
from trees.models import Message

pytestmark = pytest.mark.django_db
ADA = person("Ada")


@pytest.mark.parametrize(
    ("text", "lang", "looks_like"),
    [
        (WRITTEN_IN["ar"], "en", "ar"),
        (WRITTEN_IN["ja"], "en", "ja"),
        (WRITTEN_IN["zh"], "en", "zh"),
        (WRITTEN_IN["ar"], "ar", ""),
        (WRITTEN_IN["en"], "en", ""),
        (WRITTEN_IN["en"], "x-pool-of-our-own", ""),
        (WRITTEN_IN["pt"], "pt-BR", ""),
    ],
)
def test_a_prompt(bot: Wire, text: str, lang: str, looks_like: str) -> None:
    message = bot.write(ADA, text, "m", lang=lang)
    assert (message.lang, message.tree.lang, message.looks_like) == (lang, lang, looks_like)


def test_the_answer_and_what_is_read_are_as_ever(bot: Wire) -> None:
    bot.take(ADA, "initial_prompt", "a", lang="en")
    answer = {"message_id": "a", "user_message_id": "m", "text": WRITTEN_IN["ar"], "lang": "en"}
    assert bot.interact(ADA, "text_reply_to_message", **answer).json()["type"] == "task_done"
    found = bot.get(f"messages/{Message.objects.get().pk}").json()
    assert found["lang"] == "en"
    assert "looks_like" not in found


def test_a_reply(bot: Wire, alice: User) -> None:
    growing_tree(alice)
    message = bot.write(ADA, WRITTEN_IN["ru"], "m", type="assistant_reply")
    assert (message.lang, message.tree.lang, message.looks_like) == ("en", "en", "ru")


@pytest.mark.parametrize("text", [WRITTEN_IN["ar"], WRITTEN_IN["en"]])
def test_it_costs_no_statement(bot: Wire, text: str) -> None:
    bot.take(ADA, "initial_prompt", "a")
    with CaptureQueriesContext(connection) as found:
        bot.interact(ADA, "text_reply_to_message", message_id="a", user_message_id="m", text=text)
    touching = [one["sql"] for one in found if re.match(r'(INSERT INTO|UPDATE) "?trees_message"? ', one["sql"])]
    assert len(touching) == 1, touching
