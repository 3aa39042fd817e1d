"""The page of a conversation for visitors, copies of its messages, and labels that nobody asked for."""

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import Invalid, NotAllowed, NotFound
from tests.factories import new_prompt
from tests.trees.exploring.finished import accepted_reply, finished
from trees.contributing import reviews
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, Opening, Review, Snapshot

pytestmark = pytest.mark.django_db


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


class TestVisitors:
    def test_a_published_conversation(self, alice: User) -> None:
        prompt = finished(alice, 'How do "tides" work? <b>', ("The moon pulls the water.", "Nobody knows."))
        best = Message.objects.get(parent=prompt, rank=0)
        page = Client().get(reverse("tree", args=[best.pk]))
        html = page.content.decode()
        assert page.status_code == 200 and "X-Robots-Tag" not in page.headers
        assert html.index("The moon pulls") < html.index("Nobody knows")
        assert 'property="og:title" content="How do &quot;tides&quot; work?' in html
        assert 'property="og:description" content="The moon pulls the water."' in html
        assert f'rel="canonical" href="http://localhost:8000/messages/{prompt.pk}/"' in html
        assert alice.display_name not in html and "message_react" not in html and "<form" not in html
        assert f'id="message-{best.pk}"' in html and "is-target" in html

    def test_others_are_asked_to_sign_in_and_learn_nothing(self, alice: User) -> None:
        hidden = new_prompt(alice, "Is this one in review?")
        for message_id in (hidden.pk, "01a200cb-d12c-77e8-a0a9-86758d0c6514"):
            path = f"/messages/{message_id}/"
            response = Client().get(path)
            assert response.status_code == 302 and response.headers["Location"] == f"/accounts/login/?next={path}"

    def test_the_latest_snapshot_is_linked(self, alice: User) -> None:
        prompt = finished(alice, "Bread?")
        url = reverse("tree", args=[prompt.pk])
        assert "can be downloaded" not in Client().get(url).content.decode()
        Snapshot.objects.create(
            name="2026.1", format_version=1, cutoff=timezone.now(), published_at=timezone.now(), manifest={}
        )
        assert f'href="{reverse("snapshot", args=["2026.1"])}"' in Client().get(url).content.decode()

    def test_statements(self, alice: User, django_assert_max_num_queries: Any) -> None:
        few = finished(alice, "Bread?", ("One.",))
        many = finished(alice, "More bread?", tuple(f"Answer {number}." for number in range(12)))
        for prompt in (few, many):
            for client in (Client(), signed_in(alice)):
                with django_assert_max_num_queries(12):
                    client.get(reverse("tree", args=[prompt.pk]))


class TestFolding:
    def test_the_best_branch_and_the_way_to_the_message_are_open(self, alice: User) -> None:
        prompt = finished(alice, "Bread?", ("Best.", "Second."))
        best, second = Message.objects.filter(parent=prompt).order_by("rank")
        deep = accepted_reply(second, "Why?")
        for target, open_ids in ((prompt, {prompt.pk, best.pk}), (deep, {prompt.pk, best.pk, second.pk, deep.pk})):
            page = Client().get(reverse("tree", args=[target.pk]))
            assert _unfolded(page.context["root"]) == open_ids


def _unfolded(message: Any) -> set[Any]:
    below = set().union(*(_unfolded(reply) for reply in message.replies)) if message.replies else set()
    return below | ({message.id} if message.is_unfolded else set())


class TestCopies:
    def test_as_typed_and_as_markdown(self, alice: User) -> None:
        prompt = finished(alice, "How is **this**?", ("`Fine`, <b>thanks</b>.",))
        answer = Message.objects.get(parent=prompt)
        text = Client().get(reverse("message_text", args=[answer.pk]))
        assert text.content.decode() == "`Fine`, <b>thanks</b>."
        assert text.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert text.headers["X-Content-Type-Options"] == "nosniff" and text.headers["X-Robots-Tag"] == "noindex"
        markdown = Client().get(reverse("message_markdown", args=[answer.pk])).content.decode()
        assert markdown == "## User\n\nHow is **this**?\n\n## Assistant\n\n`Fine`, <b>thanks</b>.\n"

    def test_signed_in_people_copy_what_they_may_read(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice, "Is this one in review?")
        url = reverse("message_text", args=[prompt.pk])
        assert signed_in(bob).get(url).content.decode() == "Is this one in review?"
        Message.objects.filter(pk=prompt.pk).update(deleted=True)
        assert signed_in(bob).get(url).status_code == 404
        assert signed_in(mo).get(url).status_code == 200

    def test_the_menu_has_more_for_moderators(self, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        url = reverse("tree", args=[prompt.pk])
        author = reverse("admin:accounts_user_change", args=[alice.pk])
        assert author in signed_in(mo).get(url).content.decode()
        assert author not in signed_in(bob).get(url).content.decode()


class TestFreeLabels:
    def test_only_answers_are_stored_and_nothing_is_decided(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        before = list(Opening.objects.values())
        url = reverse("message_label", args=[prompt.pk])
        client = signed_in(bob)
        assert client.get(url).status_code == 200
        client.post(url, {"spam": "1", "quality": "0.75", "toxicity": "", "humor": "0"})
        review = Review.objects.get(message=prompt)
        assert (review.kind, review.author, review.labels) == ("free", bob, {"spam": 1, "quality": 0.75, "humor": 0})
        prompt.refresh_from_db()
        assert (prompt.review_count, prompt.review_result) == (0, None) and list(Opening.objects.values()) == before

    def test_later_ones_replace_them_and_stand_in_the_form(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        url, client = reverse("message_label", args=[prompt.pk]), signed_in(bob)
        client.post(url, {"quality": "0.75"})
        form = client.get(url).context["form"]
        assert form["quality"].value() == 0.75
        client.post(url, {"quality": "0.25"})
        assert Review.objects.get(message=prompt).labels == {"quality": 0.25}

    @pytest.mark.parametrize("data", [{}, {"quality": ""}, {"quality": "7"}, {"quality": "nan"}])
    def test_refused_forms_store_nothing(self, alice: User, bob: User, data: dict[str, str]) -> None:
        prompt = new_prompt(alice)
        response = signed_in(bob).post(reverse("message_label", args=[prompt.pk]), data)
        assert response.status_code == 422 and not Review.objects.exists()

    def test_refusals(self, alice: User, bob: User, mo: User, policy: TreePolicy) -> None:
        prompt = new_prompt(alice)
        labels: Any = {"message_id": prompt.pk, "labels": {"quality": 0.5}, "policy": policy}
        with pytest.raises(NotAllowed) as refused:
            reviews.label_freely(user=alice, **labels)
        assert refused.value.code == "own_message"
        with pytest.raises(Invalid):
            reviews.label_freely(user=bob, **{**labels, "labels": {"helpfulness": 0.5}})  # not of a prompt
        Message.objects.filter(pk=prompt.pk).update(hidden=True)
        with pytest.raises(NotFound):
            reviews.label_freely(user=bob, **labels)
        assert not Review.objects.exists()
        assert signed_in(alice).get(reverse("message_label", args=[prompt.pk])).status_code == 404
