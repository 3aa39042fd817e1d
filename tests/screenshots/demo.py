"""What the demo installation holds, and the ids that the addresses of its pages need. Made through the services."""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

ROLES = ("visitor", "contributor", "moderator", "administrator")
"""From the least to the most rights: a page is shown to the first that may see it."""
SNAPSHOT = "demo"


@dataclass(frozen=True)
class Demo:
    emails: dict[str, str]
    """Role → the address of the account; a visitor has none."""
    values: dict[str, list[str]]
    """Path parameter → values, each of which is a page of its own. `first part of the path:name` goes first."""


def manage(*arguments: str) -> str:
    """Run a command of manage.py; return its output. Raise CalledProcessError, after printing what it said."""
    done = subprocess.run([sys.executable, "manage.py", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(done.stdout[-2000:] + done.stderr[-2000:])
        done.check_returncode()
    return done.stdout


def fill() -> Demo:
    """Fill the site and return what the walk needs."""
    manage("seed_demo")
    manage("snapshot_create", "--name", SNAPSHOT)
    manage("snapshot_publish", SNAPSHOT)

    from leaderboard import cached_statistics
    from oasst.accounts import tokens
    from oasst.simulation.crowd import demo
    from trees.models import Message

    cached_statistics.refresh()
    *contributors, moderator = demo.find_people()
    contributor = max(contributors, key=lambda person: Message.objects.filter(author=person).count())
    tokens.create_token(contributor, name="A notebook", days=30)
    own = Message.objects.filter(author=contributor, deleted=False)
    replies = Message.objects.filter(deleted=False, review_result=True, parent__isnull=False)
    values = {
        "task_id": [str(task) for task in _one_task_of_each_kind([contributor])],
        "message_id": [str(replies.order_by("-created_at").values_list("pk", flat=True)[0])],
        "own_message_id": [str(own.values_list("pk", flat=True)[0])],
        "name": [SNAPSHOT],
        "page": ["dashboard"],
    }
    emails = {
        "contributor": contributor.email or "",
        "moderator": moderator.email or "",
        "administrator": "admin@localhost",
    }
    return Demo(emails, values)


def _one_task_of_each_kind(people: Iterable[Any]) -> list[Any]:
    from tasks import assignment
    from tasks.kinds import Kind
    from trees.lifecycle.policy import current_policy

    found = []
    for person in people:
        for kind in Kind:
            try:
                found.append(assignment.request_task(user=person, lang="en", kind=kind, policy=current_policy()).pk)
            except assignment.NothingToDo:
                sys.stderr.write(f"No demo task of the kind {kind}.\n")
    return found


def begin_chat(page: Page) -> list[str]:
    """Let the contributor ask the assistant something; return the ids of their chats."""
    page.goto("/chat/")
    page.locator("#composer-text").fill("Why is the sky blue?")
    page.locator("#composer-text").press("Control+Enter")
    page.locator("[data-testid=send], #composer-row button[type=submit]").first.click()
    page.wait_for_url("**/chat/*-*/", timeout=60_000)
    return [page.url.rstrip("/").rpartition("/")[2]]


def styleguide_pages() -> list[str]:
    from oasst.site.styleguide import PAGES

    return list(PAGES)


def row_of(address_name: str) -> str | None:
    """Return the key of a row for a page of the admin about one row; None if the demo has none."""
    from django.contrib import admin

    for model in admin.site._registry:
        if address_name.startswith(f"admin:{model._meta.app_label}_{model._meta.model_name}_"):
            row = model._default_manager.order_by("pk").first()
            return str(row.pk) if row else None
    return None
