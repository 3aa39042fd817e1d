"""With OASST_SCORING=off no machine reads anything, and the rest of the site works as ever."""

import json
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.urls import reverse

from oasst.accounts.models import User
from tests.factories import DEFAULT, decide, new_prompt
from tests.security.roles import addresses, new_world, outcome, path_of
from tests.tasks.test_languages import send
from tests.tasks.test_pages import signed_in, take
from trees import jobs
from trees.enrichment.status import reading_metrics
from trees.models import Message, MessageReading, TextSketch, WaitingComparison
from trees.moderation import moderator_actions, personal_data

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def off(settings: Any) -> None:
    settings.OASST_SCORING = False
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"


def test_a_text_is_stored_without_questions_edited_and_exported(alice: User, mo: User, tmp_path: Path) -> None:
    client = signed_in(alice)
    assert not send(client, take(client, "initial_prompt"), "Whom do I ask? Perhaps jo.berg@posteo.net knows.")
    message = Message.objects.get()
    decide(message)
    for job in (jobs.queue_unread_texts, jobs.find_near_duplicates):
        assert job() == 0
    moderator_actions.edit_message(
        message_id=message.pk, actor=mo, text="Whom do I ask about bread?", reason="test", policy=DEFAULT
    )
    decide(message)
    file = tmp_path / "trees.jsonl"
    call_command("export_trees", "--state", "all", "--output", str(file), stdout=StringIO(), stderr=StringIO())
    (line,) = file.read_text().splitlines()
    assert json.loads(line)["prompt"]["text"] == "Whom do I ask about bread?"
    assert "oasst_texts_unread" in reading_metrics() and not personal_data.readings().exists()
    for table in (MessageReading, TextSketch, WaitingComparison):
        assert not table._default_manager.exists()


def test_moderators_search_by_words_and_by_meaning(alice: User, mo: User) -> None:
    new_prompt(alice, "Which loaves are baked in the morning?")
    for query in ({"q": "loaves"}, {"q": "morning baking", "by": "meaning"}):
        page = signed_in(mo).get(reverse("admin:trees_message_changelist"), query).content.decode()
        assert "Which loaves are baked" in page


@pytest.mark.slow
def test_every_page_opens() -> None:
    """The desk for an administrator, all else for the one whose things they are. `outcome` fails for a 500."""
    world = new_world()
    for one in addresses():
        role = "administrator" if one.route.startswith("admin/") else "owner"
        outcome(world.clients[role], "GET", path_of(one, world))
