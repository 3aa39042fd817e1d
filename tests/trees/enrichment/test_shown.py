"""What machines read is shown to moderators and measured for operators."""

import pytest
from django.test import Client
from django.urls import reverse

from inference.scoring import remote
from oasst.accounts.models import User
from oasst.site import purging
from tests.factories import DEFAULT, new_prompt
from tests.trees.enrichment.test_builtin import read_all
from tests.trees.enrichment.test_reading import edit
from trees import jobs
from trees.enrichment import queue
from trees.enrichment.status import reading_metrics
from trees.models import Message, MessageReading, Purge

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(mo: User) -> Client:
    client = Client()
    client.force_login(mo)
    return client


class TestAdmin:
    def test_the_message_shows_what_was_found_and_where(self, browser: Client, alice: User) -> None:
        prompt = new_prompt(alice, "Please <b>mail</b> jo.berg@posteo.net about it.")
        read_all()
        page = browser.get(reverse("admin:trees_message_change", args=[prompt.pk])).content.decode()
        assert "E-mail address: " in page and "<mark>jo.berg@posteo.net</mark>" in page
        assert "Please &lt;b&gt;mail" in page
        assert "Language: English" in page

    def test_nothing_yet(self, browser: Client, alice: User) -> None:
        page = browser.get(reverse("admin:trees_message_change", args=[new_prompt(alice).pk])).content.decode()
        assert "<p>Nothing yet.</p>" in page

    def test_kinds_of_findings_from_a_newer_version(self, browser: Client, alice: User) -> None:
        prompt = new_prompt(alice, "The badge number is 12345.")
        MessageReading.objects.create(
            revision_id=prompt.revision_id, kind="personal_data", result={"spans": [[20, 25, "badge"]]}, due_at=None
        )
        page = browser.get(reverse("admin:trees_message_change", args=[prompt.pk])).content.decode()
        assert "Badge: " in page and "<mark>12345</mark>" in page

    def test_what_was_given_up(self, browser: Client, alice: User) -> None:
        prompt = new_prompt(alice)
        jobs.queue_unread_texts()
        (claim,) = queue.claim("language", 1)
        queue.give_up(claim, ValueError("no <such> language"))
        page = browser.get(reverse("admin:trees_message_change", args=[prompt.pk])).content.decode()
        assert "given up" in page and "ValueError: no &lt;such&gt; language" in page
        assert "Nothing yet." not in page

    @pytest.mark.parametrize("choice", ["personal", "toxic", "language"])
    def test_the_list_finds_them(self, browser: Client, alice: User, choice: str) -> None:
        kind = {"personal": "personal_data", "toxic": "toxicity"}.get(choice, choice)
        flagged, other = new_prompt(alice, "The one."), new_prompt(alice, "The other.")
        for message in (flagged, other):
            MessageReading.objects.create(
                revision_id=message.revision_id, kind=kind, flagged=message == flagged, due_at=None
            )
        page = browser.get(reverse("admin:trees_message_changelist"), {"read": choice}).content.decode()
        assert "The one." in page and "The other." not in page

    def test_an_edited_text_is_listed_by_its_present_reading(self, browser: Client, alice: User, mo: User) -> None:
        prompt = new_prompt(alice, "Mail jo.berg@posteo.net about it.")
        read_all()
        edit(prompt, mo, "Mail them about it.")
        read_all()
        page = browser.get(reverse("admin:trees_message_changelist"), {"read": "personal"}).content.decode()
        assert "Mail them about it." not in page


class TestMetrics:
    def test_what_waits_and_what_was_given_up(self, alice: User) -> None:
        new_prompt(alice)
        assert "oasst_texts_unread 1.0" in reading_metrics()
        jobs.queue_unread_texts()
        text = reading_metrics()
        assert "oasst_texts_unread 0.0" in text
        assert 'oasst_readings_waiting{kind="language"} 1.0' in text
        assert 'oasst_readings_overdue_seconds{kind="language"}' in text
        (claim,) = queue.claim("language", 1)
        queue.give_up(claim, ValueError("no"))
        assert 'oasst_readings_given_up{kind="language"} 1.0' in reading_metrics()

    def test_the_state_of_the_breaker(self, db: None) -> None:
        assert 'oasst_breaker_open{server="toxicity"} 0.0' in reading_metrics()
        remote.BREAKER.open()
        assert 'oasst_breaker_open{server="toxicity"} 1.0' in reading_metrics()


def test_a_purge_removes_readings_with_the_text(alice: User, mo: User) -> None:
    new_prompt(alice, "Mail jo.berg@posteo.net about it.")
    read_all()
    assert MessageReading.objects.exists()
    purge = purging.start_purge(user=alice, actor=mo, reason="a test of purging")
    purging.continue_purge(purge_id=purge.pk, policy=DEFAULT)
    assert MessageReading.objects.exists(), "it can be undone"
    Purge.objects.update(stage=Purge.Stage.ERASED)
    purging.continue_purge(purge_id=purge.pk, policy=DEFAULT)
    assert Message.objects.get().text == ""
    assert not MessageReading.objects.exists()
