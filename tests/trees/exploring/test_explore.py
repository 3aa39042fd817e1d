"""/explore/: who finds what, by which filters, page by page; and what hostile addresses get."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.db import connection
from django.test import Client
from django.urls import reverse

from oasst.accounts.models import User
from tests.factories import growing_tree, new_person, new_prompt, new_reply
from tests.trees.exploring.finished import finished
from trees.enrichment import search
from trees.exploring import finding
from trees.models import Message, MessageTree, PromptTopic, Topic

pytestmark = pytest.mark.django_db
EXPLORE = "/explore/"


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def found(client: Client, **query: object) -> list[str]:
    response = client.get(EXPLORE, {name: value for name, value in query.items() if value is not None})
    assert response.status_code == 200
    return ["".join(piece.text for piece in row.excerpt) for row in response.context["page"].rows]


class TestVisitors:
    def test_they_see_finished_conversations(self, alice: User) -> None:
        finished(alice, "How do tides work?", ("The moon pulls.", "Nobody knows."))
        new_prompt(alice, "Is this one in review?")
        growing_tree(alice)
        page = Client().get(EXPLORE)
        assert [row.kind for row in page.context["page"].rows] == ["prompt"]
        html = page.content.decode()
        assert "How do tides work?" in html and "The moon pulls." in html and "2 replies" in html
        assert "in review" not in html and "How do I bake" not in html

    @pytest.mark.parametrize(
        "change",
        [
            {"deleted": True},
            {"hidden": True},
            {"review_result": None},
            {"review_result": False},
            {"consent": ""},
            {"consent": "0"},
            {"imported": {"given": {}}},
        ],
    )
    def test_not_what_is_unpublished_nor_below_it(self, alice: User, change: dict[str, Any]) -> None:
        prompt = finished(alice, "Words that nobody may see?", ("An answer below it.",))
        assert found(Client(), q="answer") == ["An answer below it."]
        Message.objects.filter(pk=prompt.pk).update(**change)
        for query in ({}, {"kind": "any"}, {"q": "answer"}, {"q": "words"}):
            assert found(Client(), **query) == []
        for page in ("tree", "message_text", "message_markdown"):
            for message in (prompt, Message.objects.get(parent=prompt)):
                assert Client().get(reverse(page, args=[message.pk])).status_code == 302

    def test_imports_with_a_license(self, alice: User) -> None:
        prompt = finished(alice, "An imported question?")
        Message.objects.filter(pk=prompt.pk).update(imported={"given": {}}, consent="")
        assert found(Client()) == []
        MessageTree.objects.filter(pk=prompt.pk).update(license="CC-BY-4.0")
        assert found(Client()) == ["An imported question?"]

    def test_a_wrong_address_says_what_to_do(self, alice: User) -> None:
        answer = Client().get(reverse("explore"), {"kind": "odd"})
        assert answer.status_code == 400 and "This search is not possible" in answer.text
        assert 'value="odd"' not in answer.text, "the next search would fail too"

    def test_the_number_of_results_is_told(self, alice: User) -> None:
        for number in range(2):
            finished(alice, f"A finished question {number}?")
        assert "2 conversations" in Client().get(reverse("explore")).text
        assert "1 message<" in Client().get(reverse("explore"), {"q": "question 1"}).text

    def test_filters_that_need_an_account_are_ignored(self, alice: User) -> None:
        new_prompt(alice, "Is this one in review?")
        assert found(Client(), state="in_review", own="on", kind="any") == []

    def test_an_empty_site_says_why(self) -> None:
        page = Client().get(EXPLORE).content.decode()
        assert "No conversation is finished yet" in page and "Sign in" in page


class TestSignedIn:
    def test_they_see_what_is_open_too_without_votes_and_authors(self, alice: User, bob: User) -> None:
        new_prompt(alice, "Is this one in review?")
        page = signed_in(bob).get(EXPLORE, {"state": "in_review"})
        (row,) = page.context["page"].rows
        assert row.state == "in_review"
        assert alice.display_name not in page.content.decode()
        Message.objects.update(hidden=True)
        assert found(signed_in(bob), kind="any") == []

    def test_states(self, alice: User, bob: User) -> None:
        finished(alice, "The finished one?", ("Yes.",))
        new_prompt(alice, "The new one?")
        rejected = new_prompt(alice, "The rejected one?")
        Message.objects.filter(pk=rejected.pk).update(review_result=False)
        client = signed_in(bob)
        assert found(client, state="finished", kind="any") == ["Yes.", "The finished one?"]
        assert found(client, state="open") == ["The rejected one?", "The new one?"]
        assert found(client, state="in_review", kind="any") == ["The new one?"]
        assert found(client, state="rejected", kind="any") == ["The rejected one?"]

    def test_kinds_own_and_dates(self, alice: User, bob: User) -> None:
        prompt = finished(alice, "A question?", ("An answer.",))
        answer = Message.objects.get(parent=prompt)
        new_reply_to = Message.objects.filter(pk=answer.pk)
        new_reply_to.update(created_at=prompt.created_at - timedelta(days=9))
        client = signed_in(alice)
        assert found(client, kind="answer") == ["An answer."]
        assert found(client, kind="follow_up") == []
        assert found(client, own="on") == ["A question?"]
        assert found(signed_in(bob), own="on", kind="any") == []
        day = (prompt.created_at - timedelta(days=9)).date().isoformat()
        assert found(client, kind="any", since=day, until=day) == ["An answer."]
        assert found(client, kind="any", until="1999-12-31") == []

    def test_a_topic(self, alice: User) -> None:
        prompt = finished(alice, "About bread?", ("Flour.",))
        finished(alice, "About stars?")
        topic = Topic.objects.create(lang="en", name="bread, oven", model="m", center=[0.0] * 384, size=1)
        PromptTopic.objects.create(message=prompt, topic=topic)
        assert found(Client(), lang="en", topic=topic.pk) == ["About bread?"]
        assert found(Client(), lang="en", topic=topic.pk, kind="any") == ["Flour.", "About bread?"]


class TestWords:
    def test_all_forms_of_a_word_in_its_language(self, alice: User) -> None:
        finished(alice, "Which loaves are baked today?")
        finished(alice, "Welche Häuser werden heute gebaut?", lang="de")
        assert found(Client(), q="baking loaf", lang="en") == []  # loaf and loaves are two words to the dictionary
        assert found(Client(), q="baking", lang="en") == ["Which loaves are baked today?"]
        assert found(Client(), q="Haus", lang="de") == ["Welche Häuser werden heute gebaut?"]
        assert found(Client(), q="Haus gestern", lang="de") == []
        assert found(Client(), q="baking") == ["Which loaves are baked today?"]

    @pytest.mark.parametrize(
        ("lang", "text", "words"),
        [
            ("zh", "如何烤一个好的面包？", "面包"),
            ("zh", "如何烤一个好的面包？", "包"),
            ("zh", "如何烤一个好的面包？", "面包 烤"),
            ("ja", "パンを焼くにはどうすればいいですか", "焼く"),
            ("th", "ทำขนมปังอย่างไร", "ขนมปัง"),
            ("zh", "用 Python 写一个循环", "python 循环"),
            ("pl", "Jak upiec dobry chlebek?", "chleb"),
            ("ko", "좋은 빵을 굽는 방법은?", "방법"),
        ],
    )
    def test_languages_without_a_dictionary(self, alice: User, lang: str, text: str, words: str) -> None:
        prompt = finished(alice, "placeholder for the language rule", lang="en")
        Message.objects.filter(pk=prompt.pk).update(text=text, lang=lang)
        MessageTree.objects.update(lang=lang)
        assert found(Client(), q=words, lang=lang) == [text]
        assert found(Client(), q=f"{words} 猫", lang=lang) == []
        page = Client().get(EXPLORE, {"q": words.split()[0], "lang": lang}).content.decode()
        assert "<mark>" in page

    def test_nothing_that_is_typed_is_an_operator(self, alice: User) -> None:
        finished(alice, "Salt & pepper | 'quotes' \\ back:* (brackets)?")
        for words in (
            "salt & pepper",
            "'quotes'",
            "salt | nothing",
            "back:*",
            "\\",
            "a:b",
            "!",
            "((",
            "'; --",
            "<->",
            '"',
        ):
            response = Client().get(EXPLORE, {"q": words, "lang": "en"})
            assert response.status_code == 200, words
        assert found(Client(), q="salt !pepper", lang="en") != []  # a word like the others

    def test_matches_are_marked_and_everything_is_escaped(self, alice: User) -> None:
        finished(alice, "Does <b>bread</b> & <script>alert(1)</script> need **bread**?")
        page = Client().get(EXPLORE, {"q": "breads", "lang": "en"}).content.decode()
        assert "<mark>bread</mark>" in page
        assert "<script>alert" not in page and "<b>" not in page

    def test_only_frequent_words(self) -> None:
        page = Client().get(EXPLORE, {"q": "the is of", "lang": "en"})
        assert "Only very frequent words" in page.content.decode()

    def test_frequent_words_are_found_along_the_dates(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        for number in range(8):
            finished(alice, f"Bread number {number}?")
        expected = found(Client(), q="bread", lang="en")
        for name, limit in (("PAGE_SIZE", 8), ("RECENT", 3), ("MANY", 3)):
            monkeypatch.setattr(finding, name, limit)
        assert found(Client(), q="bread", lang="en") == expected
        assert found(Client(), q="bread", kind="prompt") == expected

    def test_a_search_that_takes_too_long_says_so(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        def sleep(**_: bool) -> None:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(60)")

        finished(alice, "Bread?")
        monkeypatch.setattr(finding, "SECONDS", 0.2)
        monkeypatch.setattr(finding.word_search, "choose_plan", sleep)
        response = Client().get(EXPLORE, {"q": "bread"})
        assert response.status_code == 503
        assert "This search takes too long." in response.content.decode()

    def test_also_a_search_by_meaning(self, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        def sleep(*_: object) -> list[UUID]:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_sleep(60)")
            return []

        finished(alice, "Bread?")
        monkeypatch.setattr(finding, "can_compare_meaning", lambda lang: True)
        monkeypatch.setattr(search, "SECONDS", 0.2)
        monkeypatch.setattr(search, "_by_words", sleep)
        response = Client().get(EXPLORE, {"q": "bread", "lang": "en", "how": "meaning"})
        assert response.status_code == 503
        assert "This search takes too long." in response.content.decode()


class TestLimits:
    @pytest.fixture(autouse=True)
    def _one_an_hour(self, settings: Any) -> None:
        settings.RATE_LIMITS = True
        settings.LIMITS = {"explore": "1 per hour", "explore_address": "1 per hour"}

    def test_visitors_by_their_address(self) -> None:
        here, there = Client(REMOTE_ADDR="192.0.2.81"), Client(REMOTE_ADDR="192.0.2.82")
        assert [here.get(EXPLORE).status_code for _ in range(2)] == [200, 429]
        refused = Client(REMOTE_ADDR="192.0.2.81").get(EXPLORE, {"q": "bread", "how": "meaning"})
        assert refused.status_code == 429 and int(refused["Retry-After"]) > 0
        assert "Sign in, and only your own searches count." in refused.content.decode()
        assert there.get(EXPLORE).status_code == 200

    def test_members_by_their_account(self, alice: User, bob: User) -> None:
        """Wherever they are; and others at the same address are not affected."""
        first, second = signed_in(alice), signed_in(alice)
        assert first.get(EXPLORE).status_code == 200
        assert second.get(EXPLORE, {"q": "bread"}, REMOTE_ADDR="192.0.2.83").status_code == 429
        assert signed_in(bob).get(EXPLORE).status_code == 200


class TestPages:
    @pytest.mark.parametrize("query", [{}, {"kind": "any"}, {"q": "bread"}])
    def test_forth_and_back(self, alice: User, query: dict[str, str]) -> None:
        for number in range(45):
            finished(alice, f"Bread number {number:02}?")
        same_moment = MessageTree.objects.order_by("-created_at")[3:30]
        at = same_moment[0].created_at
        MessageTree.objects.filter(pk__in=[tree.pk for tree in same_moment]).update(created_at=at)
        Message.objects.filter(tree__in=[tree.pk for tree in same_moment]).update(created_at=at)
        url, seen, pages = f"{EXPLORE}?{urlencode(query)}", [], []
        while url:
            page = Client().get(url)
            pages.append([row.id for row in page.context["page"].rows])
            seen += pages[-1]
            last, url = page, page.context["older_url"]
        assert [len(page) for page in pages] == [20, 20, 5] and len(set(seen)) == 45
        back = Client().get(last.context["newer_url"])
        assert [row.id for row in back.context["page"].rows] == pages[1]

    @pytest.mark.parametrize(
        "query",
        [
            *("older=rubbish", "newer=~", "older=2026-01-01~x", "lang=xx-rubbish", "kind=poem", "topic=1e9"),
            *("since=yesterday", "until=0001-01-01", "until=9999-12-31", "how=magic", f"q={'x' * 501}"),
            "older=9999-12-31T23:59:59-23:59~01a200cb-d12c-77e8-a0a9-86758d0c6514",
            f"q={'a%20' * 2500}",
        ],
    )
    def test_bad_addresses_are_refused(self, query: str, bob: User) -> None:
        for client in (Client(), signed_in(bob)):
            response = client.get(f"{EXPLORE}?{query}")
            assert response.status_code in (200, 400) if "topic" in query else response.status_code == 400
            assert "Explore" in response.content.decode()

    @pytest.mark.parametrize(
        "query", ["q=%00", "q=%ED%A0%80", "q=%FF", "lang=%00", "older=%00", "unknown=x", "topic=-1"]
    )
    def test_strange_ones_are_no_fault_of_the_server(self, query: str) -> None:
        assert Client().get(f"{EXPLORE}?{query}").status_code in (200, 400)

    @pytest.mark.parametrize("who", ["visitor", "person"])
    @pytest.mark.parametrize("query", [{}, {"q": "bread", "lang": "en"}, {"kind": "any", "lang": "en"}])
    def test_statements(self, alice: User, who: str, query: dict[str, str], django_assert_max_num_queries: Any) -> None:
        client = Client() if who == "visitor" else signed_in(alice)
        client.get(EXPLORE)  # the header asks for points and notices once a minute
        for numbers in (range(2), range(2, 20)):
            for number in numbers:
                finished(alice, f"Bread {number}?", ("Flour and bread.",))
            with django_assert_max_num_queries(12 + 2):  # includes the savepoint of the test
                client.get(EXPLORE, query)

    def test_only_the_plain_page_is_for_search_engines(self) -> None:
        assert "X-Robots-Tag" not in Client().get(EXPLORE).headers
        assert Client().get(EXPLORE, {"q": "x"}).headers["X-Robots-Tag"] == "noindex, follow"


def test_similar_in_meaning_without_a_model_says_so(alice: User, settings: Any) -> None:
    settings.OASST_EMBEDDINGS = "none"
    finished(alice, "Bread?")
    page = Client().get(EXPLORE, {"q": "bread", "lang": "en", "how": "meaning"})
    assert "Searching by meaning is not possible" in page.content.decode()
    assert len(page.context["page"].rows) == 1


def test_replies_of_others_are_found_with_their_conversation(alice: User) -> None:
    prompt = growing_tree(alice)
    new_reply(prompt, new_person("Somebody"), "Knead the dough for ten minutes.")
    page = signed_in(alice).get(EXPLORE, {"q": "kneading dough"})
    (row,) = page.context["page"].rows
    assert row.kind == "answer" and row.prompt == prompt.text
