"""Every page costs at most twelve statements with an empty cache, and ten times the rows cost no more.

The pages are those of the URL table, so a new one is held to it without another line. OVER names what may cost more.
"""

from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from typing import Any

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.contenttypes.models import ContentType
from django.core.cache import cache
from django.db import connection, models, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from inference.models import Battle, Chat, ChatMessage, Turn
from leaderboard.models import TrollStanding
from oasst.accounts import acknowledgements, acts, names, tokens
from oasst.accounts.models import Appeal, User
from oasst.core.audit.recording import record
from oasst.core.models import AuditEntry
from oasst.site.models import Notice
from tests.factories import new_people, new_prompt, new_reply, review
from tests.inference.battles.making import decided
from tests.leaderboard.test_tallies import read_all
from tests.security.permissions import PAGES as ADMIN_PAGES
from tests.security.permissions import rows as lines
from tests.security.roles import World, new_world, path_of, rolled_back
from tests.security.test_permissions import address_of
from tests.security.test_roles import PAGES, below, pages, rows
from trees.contributing import reactions
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.models import Message, MessageTree, Opening, Purge
from trees.policies.reading import current_policy

MOST = 12
OVER = {
    # Session, user, supply, openings, scores, texts, reviews, rankings, why a column is empty, open tasks, top five,
    # goal and bell. One less with work in all columns; session and bell are usually in the cache.
    "dashboard": 13,
    "mfa_reauthenticate": 13,  # of the library, as the next
    "mfa_reauthenticate_webauthn": 16,
}
"""Pages that may cost more with an empty cache, with what they may cost."""
TIMES = 10
FEW = {"trees.qualitymodel"}
"""Models of the admin of which there are never many rows: one for each thing that is learned."""

Cost = dict[str, int]


@pytest.fixture
def world(db: None, settings: Any) -> World:
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"
    return new_world()


def test_every_page(world: World) -> None:
    ContentType.objects.get_for_models(*admin.site._registry)  # a process reads them once
    few = costs(world)
    grow(world)
    many = costs(world)
    assert len(few) > 100 and few.keys() == many.keys()
    assert {page: (few[page], many[page]) for page in few if many[page] > few[page]} == {}
    highest = {page: max(few[page], many[page]) for page in few}
    assert {page: cost for page, cost in highest.items() if cost > OVER.get(page, MOST)} == {}
    assert {page: most for page, most in OVER.items() if highest[page] <= MOST} == {}, "they keep to it by now"


# --- The pages ---


def costs(world: World) -> Cost:
    """Return what each page costs that answers with one. Nothing of it is in the cache, not even the session."""
    read_all()  # points have been counted, so everybody has a place on the boards
    found = {}
    for name, client, path in visits(world):
        cache.clear()
        with rolled_back(), CaptureQueriesContext(connection) as captured:
            response = client.get(path)
        if response.status_code == 200:
            found[name] = len(captured)
    return found


def visits(world: World) -> Iterator[tuple[str, Client, str]]:
    """Return (name, client, path): pages as a visitor, who may, and as the one who owns what they show; the admin's."""
    for name, address in pages().items():
        access, path = rows(PAGES)[name][0], path_of(address, world)
        if access in ("open", "browse"):
            yield f"{name}, visitor", world.clients["anonymous"], path
        if access != "none":
            role = {"suspended": "suspended", "staff-only": "moderator"}.get(access, "owner")
            yield name, world.clients[role], path
    for name, *_ in lines(ADMIN_PAGES):
        yield f"admin:{name}", world.clients["administrator"], path_of(below("admin/")[name], world)
    for label in world.rows:
        for page in ("changelist", "add", "change", "history"):
            yield f"admin:{label} {page}", world.clients["administrator"], address_of(world, label, page)


# --- Ten times the rows ---


def grow(world: World) -> None:
    """Let there be at least ten times as many rows of everything that a page lists."""
    before = {label: count(row) for label, row in world.rows.items()}
    owner = User.objects.get(pk=world.ids["user_id"])
    people = new_people(TIMES * 8)
    for person in people:
        acknowledgements.thank_in_public(person, person.display_name)
    fill_trees(world, owner, people)
    world.rows["trees.opening"] = Opening.objects.earliest("pk")  # the one before was of a conversation that went on
    made = {"trees.message": Message, "trees.messagetree": MessageTree}
    while any(model.objects.count() < TIMES * before[label] for label, model in made.items()):
        new_prompt(people[0], lang="eo")
    fill_account(owner)
    fill_chats(world, owner)
    for label, row in world.rows.items():
        multiply(row, TIMES * before[label], people)
    grown = {label: (number, count(world.rows[label])) for label, number in before.items()}
    assert {label: pair for label, pair in grown.items() if pair[1] < TIMES * pair[0]}.keys() == FEW


def count(row: models.Model) -> int:
    return type(row)._default_manager.count()


def fill_trees(world: World, owner: User, people: list[User]) -> None:
    """Fill the owner's contributions and reports, and the conversation of the page with replies to replies."""
    policy = replace(current_policy(), max_children_count=100, goal_tree_size=100)
    prompt = Message.objects.get(pk=world.ids["message_id"])
    MessageTree.objects.filter(pk=prompt.tree_id).update(max_children_count=100, goal_tree_size=100)
    with transaction.atomic():
        transitions.advance(lock_tree(prompt.tree_id, policy))
    for person in people[:TIMES]:
        new_prompt(owner, policy=policy, lang="eo")
        other = new_prompt(person, policy=policy, lang="eo")
        review(other, owner, policy=policy)
        reactions.report(message_id=other.pk, reporter=owner, category="spam")
        reactions.report(message_id=prompt.pk, reporter=person, category="spam")
        new_reply(prompt, person, policy=policy)


def fill_account(owner: User) -> None:
    for number in range(TIMES - 1):  # with the one that is there as many as one may have
        tokens.create_token(owner, name=f"notebook {number}", days=None)
    for number in range(TIMES):
        EmailAddress.objects.create(user=owner, email=f"other{number}@example.org")
    key = Authenticator.objects.get(user=owner, type=Authenticator.Type.WEBAUTHN)
    Authenticator.objects.bulk_create(Authenticator(user=owner, type=key.type, data=key.data) for _ in range(TIMES))
    Notice.objects.bulk_create(Notice(person=owner, kind="level_reached", level=level + 2) for level in range(TIMES))


def fill_chats(world: World, owner: User) -> None:
    """Fill the list, and the conversation of the page: question and answer by turns."""
    Chat.objects.bulk_create(Chat(user=owner, title=f"Chat {number}") for number in range(TIMES))
    tail = ChatMessage.objects.get(pk=world.ids["chat:message_id"])
    for number in range(TIMES):
        role = "prompter" if tail.role == "assistant" else "assistant"
        tail = ChatMessage.objects.create(chat=tail.chat, parent=tail, role=role, content=f"Words {number}")
        if role == "assistant":
            times = dict.fromkeys(("deadline_at", "ended_at"), timezone.now())
            Turn.objects.create(message=tail, user=owner, state="complete", model="tiny", **times)
    Chat.objects.filter(pk=tail.chat_id).update(active_tail=tail)


def multiply(row: models.Model, number: int, people: list[User]) -> None:
    """Copy the row until there are as many, each about another message if it is about one."""
    if isinstance(row, Message | MessageTree):  # the services made them
        return
    messages = list(Message.objects.filter(parent=None).order_by("-pk"))
    missing = number - count(row)
    if isinstance(row, AuditEntry):  # each has its words beside it
        for _ in range(missing):
            record(acts.BAN, people[0], actor=people[1], person_id=people[0].pk, reason="Spam.")
        return
    if isinstance(row, Battle):  # each has a chat of its own
        for _ in range(missing):
            decided(row.user, "one", "two", "left")
        return
    copies = [alike(row, n, messages, people) for n in range(missing)]
    type(row)._default_manager.bulk_create(copies, ignore_conflicts=True)


def answer_of(row: Any) -> ChatMessage:
    """Return a new message beside that of the row: an answer, or a first question."""
    about = ChatMessage.objects.get(pk=getattr(row, "message_id", None) or row.question_id)
    return ChatMessage.objects.create(chat=about.chat, parent_id=about.parent_id, role=about.role, content="More.")


def alike(row: models.Model, number: int, messages: list[Message], people: list[User]) -> models.Model:
    found, message = copy(row), messages[number % len(messages)]
    found._state.adding = True
    for field in found._meta.concrete_fields:
        value = getattr(row, field.attname)
        new: Any = value
        if isinstance(row, User) and field.name == "display_name":
            new = f"Number {number}"
        elif field.related_model is ChatMessage:
            new = answer_of(row).pk
        elif field.related_model is Message and field.name != "first":  # of a pair the older one stays
            new = message.pk
        elif field.related_model is MessageTree and value and not field.primary_key:
            new = message.tree_id
        elif field.related_model is User and value and isinstance(row, TrollStanding | Purge | Appeal):
            new = people[number % len(people)].pk
        elif isinstance(field, models.CharField) and (field.unique or field.name == "name"):
            new = f"{number}-{value}"[: field.max_length]
        elif field.primary_key and not field.is_relation:
            new = field.get_default()
        setattr(found, field.attname, new)
    if isinstance(found, User):
        vars(found).update(names.own_name_columns(found.display_name) | {"name_from_id": None})
        vars(found).pop("name_from", None)
    return found
