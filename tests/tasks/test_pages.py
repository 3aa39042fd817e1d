"""The task pages without JavaScript: what a user sees, sends and gets."""

import re
from uuid import UUID, uuid4

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import User
from tasks.kinds import Kind
from tasks.models import Draft, Task
from tests.factories import growing_tree, new_people, new_person, new_prompt, review, work_until_state
from tests.leaderboard.test_tallies import read_all
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Opening, Ranking, Review, Skip

pytestmark = pytest.mark.django_db


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def take(client: Client, kind: str = "random", **data: object) -> str:
    """Press the button of a card; return the URL of the task page."""
    response = client.post(reverse("task_next"), {"kind": kind, "lang": "en", "idempotency_key": uuid4(), **data})
    assert response.status_code == 302, response.content
    return response.headers["Location"]


def task_at(url: str) -> Task:
    return Task.objects.get(pk=UUID(url.rstrip("/").rsplit("/", 1)[-1]))


class TestDashboard:
    def test_a_newcomer_is_asked_for_a_first_prompt(self, alice: User) -> None:
        page = signed_in(alice).get(reverse("dashboard")).content.decode()
        assert "What needs doing in English" in page
        assert "Good to have you, <bdi>Alice</bdi>. This site is new" in page
        assert 'data-testid="card-initial_prompt"' in page

    def test_it_writes_nothing_and_costs_the_same_with_many_trees(
        self, alice: User, bob: User, django_assert_max_num_queries: object
    ) -> None:
        client = signed_in(bob)
        client.get(reverse("dashboard"))
        for _ in range(30):
            new_prompt(alice)
        with django_assert_max_num_queries(12 + 3) as captured:  # type: ignore[operator]
            client.get(reverse("dashboard"))
        assert not [q for q in captured if any(word in q["sql"] for word in ("INSERT ", "UPDATE ", "DELETE "))]

    def test_one_prompt_is_not_called_prompts(self, alice: User) -> None:
        new_prompt(alice)
        read_all()
        page = signed_in(alice).get(reverse("dashboard")).text
        words = re.findall(r"<dt>(.*?)</dt>\s*<dd>(\d+)</dd>", page)
        assert ("prompt", "1") in words and ("replies", "0") in words

    def test_anonymous_people_are_sent_to_sign_in_and_back(self) -> None:
        response = Client().get(reverse("dashboard"))
        assert response.status_code == 302
        assert response.headers["Location"] == "/accounts/login/?next=/dashboard/"


class TestWriting:
    def test_it_works(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        page = client.get(url).content.decode()
        assert "Start a conversation" in page and "csrfmiddlewaretoken" in page
        response = client.post(url, {"text": "How do plants drink?"})
        assert response.status_code == 302
        message = Message.objects.get()
        assert (message.text, message.author, message.consent) == ("How do plants drink?", alice, alice.terms_version)
        assert client.get(url).headers["Location"] == reverse("tree", args=[message.pk])

    def test_a_reload_resumes_the_same_task(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        client.get(url), client.get(url)
        assert Task.objects.count() == 1

    def test_a_double_click_takes_one_task(self, alice: User) -> None:
        client = signed_in(alice)
        key = uuid4()
        assert take(client, "initial_prompt", idempotency_key=key) == take(
            client, "initial_prompt", idempotency_key=key
        )
        assert Task.objects.count() == 1

    def test_a_double_send_stores_once_and_leads_to_the_same_place(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        first = client.post(url, {"text": "How do plants drink?"})
        again = client.post(url, {"text": "How do plants drink?"})
        assert first.headers["Location"] == again.headers["Location"]
        assert Message.objects.count() == 1
        assert Task.objects.count() == 2

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("", "Write something"),
            ("   ", "Write something"),
            ("x" * 2001, "2,001"),
            ("bell \x07 rings", "U+0007 (bell), character 6"),
            ("fine\n  bell \x07 rings", "U+0007 (bell), line 2, character 8"),
            ("\u200b", "Nothing is written here yet."),
        ],
    )
    def test_bad_text_is_refused_at_the_field_and_kept(self, alice: User, text: str, told: str) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        response = client.post(url, {"text": text})
        page = response.content.decode()
        assert response.status_code == 422
        assert 'id="id_text_error"' in page and 'aria-invalid="true"' in page
        assert text.strip()[:50].replace("\x07", "\x07") in page
        assert not Message.objects.exists()
        assert task_at(url).status == Task.Status.OPEN

    @pytest.mark.parametrize("begins", ["    x = 1", "\tif x:", "\u3000\u3000\u6625", "\n\n    x = 1"])
    def test_indentation_and_line_breaks_of_programs_stay(self, alice: User, begins: str) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        text = f"{begins}\x0b    y = 2\u2028z\r\n"
        assert client.post(f"{url}draft/", {"text": text}).status_code == 204
        assert f">\n{text}</textarea>" in client.get(url).content.decode()
        assert client.post(url, {"text": text}).status_code == 302
        assert Message.objects.get().text == begins.lstrip("\n") + "\n    y = 2\nz"

    def test_the_task_of_somebody_else(self, alice: User, eve: User) -> None:
        url = take(signed_in(alice), "initial_prompt")
        for response in (signed_in(eve).get(url), signed_in(eve).post(url, {"text": "Hello there?"})):
            assert response.status_code == 404
            assert "begun by another account, or it never existed" in response.content.decode()
        assert not Message.objects.exists()

    def test_an_expired_task_gives_the_text_back(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        Task.objects.update(expires_at=timezone.now())
        response = client.post(url, {"text": "Too late to be stored"})
        assert response.status_code == 410
        assert "Too late to be stored" in response.content.decode()
        assert not Message.objects.exists()

    def test_a_lost_place_keeps_the_text_as_a_draft(self, alice: User) -> None:
        policy = TreePolicy(goal_tree_size=2)
        prompt = growing_tree(alice, policy)
        writer = new_person("Writer")
        client = signed_in(writer)
        url = take(client, "assistant_reply")
        Opening.objects.filter(message=prompt).delete()  # given to another user and used
        response = client.post(url, {"text": "Nobody will lose this"})
        assert response.status_code == 410
        assert "Nobody will lose this" in response.content.decode()
        assert Draft.objects.get().body == {"text": "Nobody will lose this"}
        assert "Nobody will lose this" in client.get(url).content.decode()

    def test_send_and_stop(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        response = client.post(url, {"text": "How do plants drink?", "then": "stop"})
        assert response.headers["Location"] == reverse("dashboard")
        assert Task.objects.count() == 1
        assert "It counts toward your next point." in client.get(reverse("dashboard")).text, "no tenths of a point"


class TestDraftsAndPreview:
    def test_a_draft_comes_back_with_the_page(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        assert client.post(f"{url}draft/", {"text": "half a thou"}).status_code == 204
        assert "half a thou" in client.get(url).content.decode()
        dashboard = client.get(reverse("dashboard")).text
        assert "your draft" in dashboard and "half a thou" in dashboard

    def test_a_review_comes_back_as_far_as_it_got(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        client = signed_in(bob)
        url = take(client, "label_initial_prompt")
        sent = {"spam": "0", "quality": "0.75", "humor": "", "pii": "1", "csrfmiddlewaretoken": "x"}
        assert client.post(f"{url}draft/", sent).status_code == 204
        page = client.get(url).content.decode()
        for chosen in ('name="spam" value="0"', 'name="quality" value="0.75"', 'name="pii" value="1"'):
            assert re.search(rf"{chosen}[^>]* checked", page)
        assert page.count(" checked") == 3 + len(re.findall(r"^\s*Cannot tell\s*$", page, re.MULTILINE)) - 1, (
            "the others stand where they began"
        )
        assert "Draft saved at" in page and not Review.objects.exists()
        assert "csrfmiddlewaretoken" not in Draft.objects.get().body

    def test_a_ranking_comes_back_as_far_as_it_got(self, alice: User, bob: User) -> None:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        work_until_state(growing_tree(alice, policy).pk, State.RANKING, policy)
        client = signed_in(bob)
        url = take(client, "rank_assistant_replies")
        replies = task_at(url).reply_ids
        places = {f"rank_{pk}": place for pk, place in zip(replies, ("2", "3", "1"), strict=True)}
        assert client.post(f"{url}draft/", {**places, "not_rankable": "on"}).status_code == 204
        page = client.get(url).content.decode()
        for name, place in places.items():
            assert re.search(rf'name="{name}"(?:(?!</select>)[\s\S])*value="{place}" selected', page)
        assert re.search(r'name="not_rankable"[^>]* checked', page)

    def test_a_paste_far_beyond_the_limit_is_kept_as_a_draft(self, alice: User) -> None:
        client = signed_in(alice)
        url = take(client, "initial_prompt")
        text = "😀" * 10_005
        assert client.post(f"{url}draft/", {"text": text}).status_code == 204
        assert text in client.get(url).content.decode()
        refused = client.post(url, {"text": text})
        assert refused.status_code == 422 and text in refused.content.decode()
        assert "This is 10,005 characters; 8,005 too many (at most 2,000 fit)." in refused.content.decode()

    def test_the_preview_shows_what_would_be_stored(self, alice: User) -> None:
        html = signed_in(alice).post(reverse("task_preview"), {"text": "\n\n    x = 1\n    y = 2"}).content.decode()
        assert "<code>x = 1\ny = 2" in html
        assert "<p>" not in signed_in(alice).post(reverse("task_preview"), {"text": "\u200b"}).content.decode()

    def test_the_preview_is_clean(self, alice: User) -> None:
        html = signed_in(alice).post(
            reverse("task_preview"), {"text": "**bold** <script>alert(1)</script> ![x](https://evil.example/x.png)"}
        )
        page = html.content.decode()
        assert "<strong>bold</strong>" in page
        assert "<script" not in page and "<img" not in page


class TestJudging:
    def test_it_works(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice, "What is a *cursor*?")
        client = signed_in(bob)
        url = take(client, "label_initial_prompt")
        page = client.get(url).content.decode()
        assert "What is a <em>cursor</em>?" in page
        assert page.count("<fieldset") >= 6
        client.post(url, {"spam": "0", "quality": "0.75", "humor": "", "pii": "1"})
        labels = Review.objects.get().labels
        assert labels["spam"] == 0 and labels["quality"] == 0.75 and labels["pii"] == 1
        assert labels["humor"] is None and labels["toxicity"] is None and labels["hate_speech"] is None
        assert Review.objects.get().message == prompt

    @pytest.mark.parametrize(
        ("data", "told"),
        [
            ({}, "Please answer"),
            ({"spam": "maybe"}, "is not one of the answers"),
            ({"spam": "0", "sparkle": "1"}, "no label called"),
            ({"spam": "0", "quality": "7"}, "is not one of the answers"),
        ],
    )
    def test_bad_labels(self, alice: User, bob: User, data: dict[str, str], told: str) -> None:
        new_prompt(alice)
        client = signed_in(bob)
        url = take(client, "label_initial_prompt")
        response = client.post(url, {**data, "humor": "0.25"})
        page = response.content.decode()
        assert response.status_code == 422
        assert told in page
        assert 'value="0.25" data-testid="radio-option" checked' in page
        assert not Review.objects.exists()

    def test_nobody_sees_in_a_task_who_wrote_it_or_what_others_said(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        review(prompt, new_person("Quick"), spam=1)
        page = signed_in(bob)
        html = page.get(take(page, "label_initial_prompt")).content.decode()
        assert "Alice" not in html and str(alice.pk) not in html
        assert "review_count" not in html


class TestRanking:
    @pytest.fixture
    def ranking(self, alice: User, bob: User) -> tuple[Client, str, Task]:
        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        work_until_state(growing_tree(alice, policy).pk, State.RANKING, policy)
        client = signed_in(bob)
        url = take(client, "rank_assistant_replies")
        return client, url, task_at(url)

    def test_it_works_without_script(self, ranking: tuple[Client, str, Task]) -> None:
        client, url, task = ranking
        page = client.get(url).content.decode()
        assert page.count("<select") == 3
        third, first, second = task.reply_ids
        client.post(url, {f"rank_{first}": "1", f"rank_{second}": "2", f"rank_{third}": "3"})
        assert Ranking.objects.get().ordered_ids == [first, second, third]

    @pytest.mark.parametrize(
        ("places", "told"),
        [
            (("1", "1", "2"), "share place 1"),
            (("1", "2", ""), "needs a place"),
            (("1", "2", "9"), "needs a place"),
            (("1", "2", "9" * 5000), "needs a place"),
        ],
    )
    def test_bad_orders(self, ranking: tuple[Client, str, Task], places: tuple[str, ...], told: str) -> None:
        client, url, task = ranking
        data = {f"rank_{pk}": place for pk, place in zip(task.reply_ids, places, strict=True)}
        response = client.post(url, data)
        assert response.status_code == 422
        assert told in response.content.decode()
        assert not Ranking.objects.exists()

    def test_an_unknown_reply(self, ranking: tuple[Client, str, Task]) -> None:
        client, url, task = ranking
        data = {f"rank_{pk}": place for place, pk in enumerate(task.reply_ids, start=1)}
        response = client.post(url, {**data, f"rank_{uuid4()}": "1"})
        assert response.status_code == 422
        assert "names no reply of this task" in response.content.decode()

    def test_a_reply_that_was_removed_meanwhile(self, ranking: tuple[Client, str, Task]) -> None:
        client, url, task = ranking
        Message.objects.filter(pk=task.reply_ids[0]).update(deleted=True, text="Call me: 555 1234")
        data = {f"rank_{pk}": place for place, pk in enumerate(task.reply_ids, start=1)}
        for response in (client.get(url), client.post(url, data)):
            assert response.status_code == 410
            assert "555 1234" not in response.content.decode()
        assert not Ranking.objects.exists()

    def test_all_wrong(self, ranking: tuple[Client, str, Task]) -> None:
        client, url, task = ranking
        data = {f"rank_{pk}": place for place, pk in enumerate(task.reply_ids, start=1)}
        client.post(url, {**data, "not_rankable": "on"})
        assert Ranking.objects.get().not_rankable


class TestSkipAndNothing:
    def test_skip_leads_on(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        client = signed_in(bob)
        url = take(client, "label_initial_prompt")
        response = client.post(f"{url}skip/", {"reason": "unclear", "note": ""})
        assert response.headers["Location"].startswith(reverse("task_nothing"))
        assert Skip.objects.get().reason == "unclear"
        assert client.get(url).status_code == 410

    def test_a_remark_that_can_not_be_stored_is_kept_on_the_page(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        client = signed_in(bob)
        url = take(client, "label_initial_prompt")
        for note, told in (
            ("a\0b", "U+0000 (null), character 2"),
            ("n" * 9000, "This is 9,000 characters; 8,520 too many"),
        ):
            response = client.post(f"{url}skip/", {"reason": "unclear", "note": note})
            page = response.content.decode()
            assert response.status_code == 422
            assert told in page and f">\n{note}</textarea>" in page and "data-menu open" in page
        assert client.post(f"{url}skip/", {"reason": "\0"}).status_code == 400
        assert not Skip.objects.exists() and task_at(url).status == Task.Status.OPEN
        assert client.post(f"{url}skip/", {"reason": "not_my_subject", "note": "n" * 480}).status_code == 302
        assert Skip.objects.get().note == "n" * 480
        assert task_at(url).skip_reason == f"not_my_subject: {'n' * 480}"

    def test_a_remark_of_nothing_but_a_zero_width_space_is_none(self, alice: User, bob: User) -> None:
        new_prompt(alice)
        client = signed_in(bob)
        url = take(client, "label_initial_prompt")
        assert client.post(f"{url}skip/", {"reason": "unclear", "note": "\u200b"}).status_code == 302
        assert Skip.objects.get().note == ""

    def test_a_message_that_was_removed_meanwhile(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice, "Call me: 555 1234")
        client = signed_in(bob)
        url = take(client, "label_initial_prompt")
        Message.objects.filter(pk=prompt.pk).update(deleted=True)
        for response in (client.get(url), client.post(url, {"spam": "nonsense"})):
            assert response.status_code == 410
            assert "555 1234" not in response.content.decode()

    def test_nothing_says_why(self, alice: User) -> None:
        new_prompt(alice)
        client = signed_in(alice)
        url = take(client, "label_initial_prompt")
        page = client.get(url).content.decode()
        assert "Nothing else is open for you right now" in page

    def test_an_unknown_kind(self, alice: User) -> None:
        response = signed_in(alice).post(reverse("task_next"), {"kind": "juggling"})
        assert response.status_code == 400
        assert not Task.objects.exists()

    def test_a_language_tag_that_is_none(self, alice: User) -> None:
        response = signed_in(alice).post(reverse("task_next"), {"kind": "random", "lang": "no such tag"})
        assert response.status_code == 400
        assert signed_in(alice).get(reverse("dashboard"), {"lang": "¡!"}).status_code == 400
        assert signed_in(alice).get(reverse("task_nothing"), {"lang": "\0"}).status_code == 400
        assert not Task.objects.exists()


class TestGetNeverWrites:
    def test_every_page(self, alice: User, bob: User, django_assert_num_queries: object) -> None:
        from django.db import connection
        from django.test.utils import CaptureQueriesContext

        policy = TreePolicy(goal_tree_size=4, max_tree_depth=1)
        prompt = growing_tree(alice, policy)
        client = signed_in(bob)
        url = take(client, "assistant_reply")
        client.get(reverse("dashboard"))
        for page in (url, reverse("dashboard"), reverse("contributions"), reverse("tree", args=[prompt.pk])):
            with CaptureQueriesContext(connection) as captured:
                assert client.get(page).status_code == 200
            assert not [q["sql"] for q in captured if not q["sql"].lstrip().startswith(("SELECT", "WITH"))]
            assert len(captured) <= 12, page


class TestKinds:
    def test_every_work_is_a_kind(self) -> None:
        from trees.lifecycle.states import Work

        assert {kind.value for kind in Kind} == {work.value for work in Work} | {"initial_prompt"}
        assert new_people and MessageTree
