"""Every kind of caller with every operation, according to the table in docs/wire.md."""

from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client

from oasst.accounts.account_bans import ban
from oasst.accounts.models import User
from oasst.accounts.tokens import new_token
from oasst.api.operations import Operation
from oasst.site.api_urls import OPERATIONS
from tests.factories import growing_tree, new_person
from tests.paths import ROOT
from tests.security.roles import record_writes
from tests.wire.conftest import Wire, person
from tests.wire.matrix import CALLERS, SIGNED_IN, YES, expected, table

ADA = person("Ada")
DOCS = ROOT / "docs" / "wire.md"


def test_the_documentation_is_this_table() -> None:
    text = DOCS.read_text()
    assert text.partition("<!-- matrix -->\n")[2].partition("\n<!-- /matrix -->")[0] == table()


def url(operation: Operation, message: str, task: str, user: str, hook: str) -> str:
    path = operation.path.replace("<message_id>", message).replace("<task_id>", task).replace("<user_id>", user)
    path = path.replace("<webhook_id>", hook).replace("<key_id>", hook)
    path = path.replace("<auth_method>", "local").replace("<username>", "ada").replace("<frontend_message>", "m")
    path = path.replace("<name>", "2026.1")
    return f"/api/v1/{path}"


def signed_in(person: User) -> Client:
    found = Client()
    found.force_login(person)
    return found


def by_token(person: User) -> Client:
    return Client(headers={"Authorization": f"Bearer {new_token(person)[1]}"})


def body_of(operation: Operation, message: str, speaks_for: dict[str, str]) -> dict[str, Any]:
    """Return a request that passes all input validation."""
    return {
        **speaks_for,
        "user": speaks_for,
        "message_id": message,
        "type": "initial_prompt",
        "labels": {"spam": 0},
        "text": "x",
        "emoji": "+1",
        "new_content": "Other words",
        "description": "New",
        "frontend_type": "bot",
        "destination_user_id": message,
        "source_user_ids": [],
        "url": "https://example.org/hook",
    } | ({"type": "text_labels"} if operation.path == "tasks/interaction" else {})


@pytest.mark.django_db
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: f"{one.method} {one.path}")
def test_who_may(
    site: Wire, bot: Wire, alice: User, bob: User, carol: User, mo: User, operation: Operation, settings: Any
) -> None:
    settings.ROOT_TOKENS = ["s3cret"]
    settings.AUTH_SECRET = ""
    message = str(growing_tree(alice).pk)
    task = site.ask(ADA, "initial_prompt").json()["id"]
    user = site.get("frontend_users/local/ada").json()["user_id"]
    path = url(operation, message, task, user, str(uuid4()))
    ida = new_person("Ida", "admin")
    callers = {
        "nobody": Client(),
        "wrong key": Client(headers={"X-API-Key": "wrong"}),
        **{name: signed_in(one) for name, one in zip(SIGNED_IN, (bob, mo, ida), strict=True)},
        "root token": Client(headers={"Authorization": "Bearer s3cret"}),
        "program": bot.http,
        "own token": by_token(carol),
        "banned person": site.http,
        "trusted program": site.http,
    }
    assert set(callers) == set(CALLERS)
    callers |= {"a moderator's own token": by_token(mo), "an administrator's own token": by_token(ida)}

    def outcome(caller: str) -> str:
        send = getattr(callers[caller], operation.method.lower())
        query = {"max_count": "3", "halt": "false", "msg": "x", "enabled": "true", "ids": message}
        given: dict[str, Any] = {"query_params": query}
        if operation.body:
            speaks_for = person("Me") if "token" in caller else ADA
            given |= {"data": body_of(operation, message, speaks_for), "content_type": "application/json"}
        written: list[str] = []
        with connection.execute_wrapper(record_writes(written)):
            response: Any = send(path, **given)
        refused = response.json() if response.status_code >= 400 else {}
        found = f"{response.status_code}/{refused.get('error_code', 0)}"
        if found not in ("403/2", "403/3", "503/4001"):
            return YES
        assert not written, "it was refused, and changed something"
        return found

    for caller in ("nobody", "wrong key", *SIGNED_IN, "root token"):
        assert outcome(caller) == expected(operation, caller), caller
    ban(User.objects.get(pk=user), actor=mo, reason="Spam")
    assert outcome("banned person") == expected(operation, "banned person")
    User.objects.filter(pk=user).update(enabled=True, banned_at=None)
    for caller in ("program", "own token", "trusted program"):
        assert outcome(caller) == expected(operation, caller), caller
    for caller in set(callers) - set(CALLERS):
        assert outcome(caller) == expected(operation, "own token"), caller
