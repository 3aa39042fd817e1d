"""Moderators find messages: in any state, by words, pieces and patterns, with filters, in a bounded number of steps."""

from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from oasst.accounts.models import User
from oasst.core.errors import Invalid
from tests.factories import new_people, new_person, new_prompt
from trees.contributing import reactions
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, MessageReading
from trees.moderation import finding, moderator_actions
from trees.moderation.asked_words import parse

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
POLICY = TreePolicy()
LIST = "admin:trees_message_changelist"


def found(text: str, lang: str = "", limit: int = 50) -> list[str]:
    messages = Message.objects.order_by("-created_at", "-id")
    ids = finding.find_messages(messages, text, lang, limit)
    texts = dict(Message.objects.values_list("pk", "text"))
    return [texts[pk] for pk in ids]


@pytest.fixture
def browser(mo: User) -> Client:
    client = Client()
    client.force_login(mo)
    return client


def listed(browser: Client, **query: Any) -> list[str]:
    response = browser.get(reverse(LIST), query)
    assert response.status_code == 200
    return [message.text for message in response.context["cl"].result_list]


RYE, OVEN, CATS = "Baking 100% rye bread at home", "Which oven do I bake bread in?", "Why do cats sleep so long?"


class TestWords:
    @pytest.fixture(autouse=True, params=["newest", "index"])
    def texts(self, request: Any, monkeypatch: Any) -> None:
        """The newest messages are read first, and then the index: both find the same."""
        for text in (RYE, OVEN, CATS):
            new_prompt(new_person("Writer"), text)
        if request.param == "index":
            monkeypatch.setattr(finding, "RECENT", 0)

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("bread", [OVEN, RYE]),
            ("BREADS baked", [OVEN, RYE]),  # any form, any order
            ("home bread", [RYE]),
            ("bread -oven", [RYE]),
            ("-bread", [CATS]),
            ("bak*", [OVEN, RYE]),
            ("baki*", [RYE]),  # the beginning as typed, whatever the stem
            ("read*", []),  # in the middle of a word
            ('"100% rye"', [RYE]),
            ('"100_ rye"', []),
            ('"bread at"', [RYE]),
            ('bread -"bake bread"', [RYE]),
            ("/(cat|dog)s?/", [CATS]),
            (r"/\bov.n\b/", [OVEN]),
            ("so long", [CATS]),
            ("nothing of this", []),
        ],
    )
    def test_found(self, text: str, expected: list[str]) -> None:
        assert found(text) == expected
        assert found(text, "en") == expected

    def test_a_limit_gives_the_newest(self) -> None:
        assert found("bread", limit=1) == [OVEN]


class TestLanguages:
    def test_words_of_any_language(self, alice: User, bob: User) -> None:
        german = new_prompt(alice, "Wie backe ich Brote mit Roggen?", lang="de").text
        chinese = new_prompt(bob, "我想在家里做面包，怎么开始？", lang="zh").text
        assert found("Brot") == found("brote Roggen") == [german]
        assert found("面包") == found("面*") == [chinese]
        assert found("Brot", "zh") == found("面包", "de") == []

    def test_a_pattern_that_is_none_says_why(self) -> None:
        with pytest.raises(Invalid) as refused:
            found("/(unclosed/")
        assert refused.value.code == "bad_pattern" and "parenthes" in refused.value.message


class TestAnyState:
    def test_deleted_hidden_and_withdrawn_are_found(self, browser: Client, mo: User, alice: User, bob: User) -> None:
        gone, kept = new_prompt(alice, RYE), new_prompt(bob, OVEN)
        moderator_actions.delete_message(message_id=gone.pk, actor=mo, reason="Spam.", policy=POLICY)
        Message.objects.filter(pk=kept.pk).update(hidden=True, withdrawn=True, edited=True)
        assert listed(browser, q="bread") == [OVEN, RYE]
        for name, text in (("deleted", RYE), ("hidden", OVEN), ("withdrawn", OVEN), ("edited", OVEN)):
            assert listed(browser, q="bread", **{f"{name}__exact": "1"}) == [text]
            assert listed(browser, **{f"{name}__exact": "0"}) == [one for one in (OVEN, RYE) if one != text]


class TestFilters:
    @pytest.fixture
    def rye(self, alice: User) -> Message:
        return new_prompt(alice, RYE)

    @pytest.fixture
    def cats(self, bob: User) -> Message:
        message = new_prompt(bob, CATS, lang="fr")
        for person in new_people(2):
            reactions.report(message_id=message.pk, reporter=person, category="spam")
        MessageReading.objects.update_or_create(
            revision=message.revision, kind="toxicity", defaults={"result": {"toxicity": 0.7}, "due_at": None}
        )
        return message

    @pytest.mark.parametrize(
        "query",
        [
            {"lang": "fr"},
            {"author": "bob"},
            {"flags": "2"},
            {"reports": "open"},
            {"reports": "2"},
            {"toxicity": "0.5"},
            {"sort": "flags"},
            {"sort": "flags", "q": "cats"},
            {"lang": "fr", "role__exact": "prompter", "flags": "1", "review": "open", "q": "sleep -bread"},
        ],
    )
    def test_only_the_flagged_one(self, browser: Client, rye: Message, cats: Message, query: dict[str, str]) -> None:
        assert listed(browser, **query) == [CATS]

    @pytest.mark.parametrize("query", [{"flags": "4"}, {"reports": "4"}, {"toxicity": "0.75"}, {"until": "2020-01-01"}])
    def test_none(self, browser: Client, rye: Message, cats: Message, query: dict[str, str]) -> None:
        assert listed(browser, **query) == []

    def test_days_order_and_author_by_id(self, browser: Client, rye: Message, cats: Message) -> None:
        today = f"{rye.created_at:%Y-%m-%d}"
        assert listed(browser, since=today, until=f"{cats.created_at:%Y-%m-%d}") == [CATS, RYE]
        assert listed(browser, sort="oldest") == [RYE, CATS]
        assert listed(browser, author=str(rye.author_id)) == [RYE]

    def test_values_that_cannot_be_meant_do_no_harm(self, browser: Client, rye: Message) -> None:
        for query in ("since=yesterday", "toxicity=high", "flags=many", "sort=up"):
            assert browser.get(f"{reverse(LIST)}?{query}", follow=True).status_code == 200

    def test_a_search_that_is_refused_says_what_to_change(self, browser: Client, rye: Message) -> None:
        page = browser.get(reverse(LIST), {"q": "/(a)\\1/"})
        assert page.status_code == 200 and "cannot refer to an earlier part" in page.text
        assert RYE not in page.text

    def test_the_form_keeps_what_was_chosen(self, browser: Client, rye: Message) -> None:
        page = browser.get(reverse(LIST), {"q": "bread", "lang": "en", "since": "2020-01-01"}).text
        assert 'value="bread"' in page and 'value="2020-01-01"' in page and "2 filters" in page


class TestCosts:
    def test_at_most_twelve_statements(self, browser: Client) -> None:
        query = {"q": 'bread bak* "rye" -oven', "lang": "en", "flags": "1", "author": "Writer", "toxicity": "0"}
        for _ in range(2):
            for person in new_people(5):
                new_prompt(person, f"{RYE}, for the {Message.objects.count()}th time")
            for given in (query, {**query, "sort": "flags"}, {"q": "bread"}):
                browser.get(reverse(LIST), given)
                with CaptureQueriesContext(connection) as captured:
                    browser.get(reverse(LIST), given)
                sql = [one["sql"] for one in captured if "SAVEPOINT" not in one["sql"]]
                assert len(sql) <= 12, "\n".join(sql)

    @pytest.mark.parametrize(
        ("text", "index"), [("bread oven", "search"), ('"rye br"', "trigrams"), ("bak*", "trigrams")]
    )
    def test_words_and_pieces_are_served_by_an_index(self, alice: User, text: str, index: str) -> None:
        new_prompt(alice)
        _, by_index = finding.conditions(parse(text), "en")
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        assert f"message_{index}" in Message.objects.filter(by_index).order_by().explain()

    @pytest.mark.parametrize(
        ("query", "index"),
        [
            ({"deleted": True}, "message_out_of_sight"),
            ({"hidden": True}, "message_out_of_sight"),
            ({"edited": True}, "message_edited"),
        ],
    )
    def test_rare_states_have_an_index(self, alice: User, query: dict[str, bool], index: str) -> None:
        new_prompt(alice)
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
            cursor.execute("SET LOCAL enable_sort = off")
        assert index in Message.objects.filter(**query).order_by("-created_at", "-id")[:25].explain()
