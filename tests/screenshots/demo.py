"""What the demo installation holds, and the ids that the addresses of its pages need. Made through the services."""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from playwright.sync_api import Page

ROLES = ("visitor", "contributor", "moderator", "administrator", "suspended")
"""A page is shown to the first that may see it, so to the one with the least rights; the suspended come last."""
SNAPSHOT = "demo"
ROW_PARAMETERS = ("object_id", "person_id", "message_id")
"""Parameters of pages of the admin about one row."""


@dataclass(frozen=True)
class Demo:
    emails: dict[str, str]
    """Role → the address of the account; a visitor has none."""
    values: dict[str, list[str]]
    """Path parameter → values, each of which is a page of its own. `first part of the path:name` goes first."""
    queries: dict[str, str]
    """Name of an address → the query that it needs."""


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
    from oasst.accounts import profiles, tokens
    from oasst.accounts.models import User
    from oasst.simulation.crowd import demo
    from oasst.site.guidelines import TOPICS
    from trees.models import Message, Review

    contributors = demo.find_people()
    moderator = User.objects.get(email=f"{demo.MODERATOR.lower()}@{demo.DOMAIN}")
    contributor = max(contributors, key=lambda person: Message.objects.filter(author=person).count())
    suspended = next(person for person in contributors if person != contributor)
    profiles.choose_languages(contributor, ["en"])
    tokens.create_token(contributor, name="A notebook", days=30)
    _let_wait_for_moderators(contributor, suspended, moderator)
    cached_statistics.refresh()
    own = Message.objects.filter(author=contributor, deleted=False)
    replies = Message.objects.filter(deleted=False, review_result=True, parent__isnull=False)
    reviews = Review.objects.filter(author=contributor, kind="review", message__review_result=None)
    values = {
        "task_id": [str(task) for task in _one_task_of_each_kind([contributor])],
        "message_id": [str(replies.order_by("-created_at").values_list("pk", flat=True)[0])],
        "finished_id": [str(_finished_conversation())],
        "own_message_id": [str(own.values_list("pk", flat=True)[0])],
        "review_id": [str(review) for review in reviews.values_list("pk", flat=True)[:1]],
        "name": [SNAPSHOT],
        "practice:name": ["example-moon-and-tides"],
        "slug": list(TOPICS),
        "page": ["dashboard"],
    }
    emails = {
        "contributor": contributor.email or "",
        "moderator": moderator.email or "",
        "administrator": "admin@localhost",
        "suspended": suspended.email or "",
    }
    return Demo(emails, values, {"leaving": "?to=https://example.org/a-page"})


def _let_wait_for_moderators(contributor: Any, suspended: Any, moderator: Any) -> None:
    """Fill each queue of the moderators."""
    from oasst.accounts import appeals
    from oasst.accounts.models import User
    from oasst.site.desk import queue
    from trees.contributing import reactions
    from trees.models import Message
    from trees.moderation import bans, moderator_actions
    from trees.policies import changing, runs
    from trees.policies.reading import current_policy

    others = Message.objects.filter(deleted=False).exclude(author=contributor).exclude(author=None).order_by("-pk")
    reported, deleted = others.filter(children=None)[:2]
    reactions.report(message_id=reported.pk, reporter=contributor, category="copied", text="From a textbook, page 3.")
    moderator_actions.delete_message(message_id=deleted.pk, actor=moderator, reason="Spam.", policy=current_policy())
    bans.ban(suspended, actor=moderator, reason="Advertising in several replies.")
    appeals.appeal(suspended, "I did not know that this is not wanted, and will not do it again.")
    queue.take_next(moderator)
    administrator = User.objects.get(email="admin@localhost")
    draft = changing.draft(lang="", changes={"goal_tree_size": 20, "num_reviews_reply": 2}, actor=administrator)
    runs.start_preview(version_id=draft.pk, actor=administrator)


def _finished_conversation() -> Any:
    """Return the id of the finished conversation with the most messages that people wrote here."""
    from django.db.models import Count

    from trees.models import MessageTree

    trees = MessageTree.objects.filter(state="ready_for_export").annotate(size=Count("messages"))
    return trees.order_by("-size", "pk").values_list("pk", flat=True)[0]


def _one_task_of_each_kind(people: Iterable[Any]) -> list[Any]:
    from tasks import assignment
    from tasks.kinds import Kind
    from trees.policies.reading import current_policy

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


def begin_battle(page: Page) -> list[str]:
    """Let the contributor ask two; return the id of the comparison when both have answered."""
    page.goto("/chat/battles/")
    page.locator("#battle-text").fill("Why is the sky blue?")
    page.get_by_role("button", name="Ask both").click()
    page.locator("[name=outcome]").first.wait_for(timeout=60_000)
    return [page.url.rstrip("/").rpartition("/")[2]]


def styleguide_pages() -> list[str]:
    from oasst.site.styleguide import PAGES

    return list(PAGES)


def row_of(address_name: str) -> str | None:
    """Return the key of a row for a page of the admin about one row; None if the demo has none."""
    from django.contrib import admin
    from django.contrib.auth import get_user_model

    for model in admin.site._registry:
        if address_name.startswith(f"admin:{model._meta.app_label}_{model._meta.model_name}_"):
            rows = model._default_manager.order_by("pk")
            row = rows.filter(role="general").first() if model is get_user_model() else rows.first()
            return str(row.pk) if row else None
    return None
