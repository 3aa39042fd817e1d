"""Migrations of a site with a queue."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils import timezone

from inference.models import Turn
from oasst.accounts.models import User

BEFORE = "0006_offered_models"
CONVERSATION = [{"role": "user", "content": "Hello"}]


def migrate(name: str = "") -> Any:
    """Migrate the chat to this migration, or everything to its last. Return the models at that point."""
    executor = MigrationExecutor(connection)
    target = [("inference", name)] if name else executor.loader.graph.leaf_nodes()
    return executor.migrate(target).apps


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_what_programs_wait_for_is_known_as_theirs(alice: User) -> None:
    """Otherwise a batch from before the release would keep the user from their own pages."""
    asked = {}
    now = timezone.now()
    try:
        models = migrate(BEFORE)
        chat = models.get_model("inference", "Chat").objects.create(user_id=alice.pk)
        messages = models.get_model("inference", "ChatMessage").objects
        question = messages.create(chat=chat, role="prompter", content="Hello")
        for state in ("pending", "in_progress", "complete"):
            for prompt in (None, CONVERSATION):
                answer = messages.create(chat=chat, parent=question, role="assistant")
                held = {"owner": "host:1:x", "lease_until": now} if state == "in_progress" else {}
                ended = {"ended_at": now} if state == "complete" else {}
                models.get_model("inference", "Turn").objects.create(
                    message=answer,
                    user_id=alice.pk,
                    state=state,
                    model="tiny",
                    prompt=prompt,
                    deadline_at=now + timedelta(minutes=5),
                    **held,
                    **ended,
                )
                asked[answer.pk] = state, prompt is not None
    finally:
        migrate()
    after = {turn.pk: (turn.by_program, turn.wanted_until) for turn in Turn.objects.all()}
    # The old release does not renew turns, so open ones must not expire; finished ones do not matter.
    assert after == {pk: (is_program and state != "complete", None) for pk, (state, is_program) in asked.items()}
    assert [turn.prompt for turn in Turn.objects.filter(by_program=True)] == [CONVERSATION] * 2
