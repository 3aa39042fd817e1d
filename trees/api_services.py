"""What programs do to messages and trees on behalf of people whom the site does not know as its moderators.

Whether the program may is decided before: by the access of its operation. The person who looked, where one was named,
is written down as the actor, and the program's name as the reason. Outer writers: each function is one transaction (one
for each tree, where it is about many). Locks the tree row.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from oasst.accounts.identities import person_for, update_person
from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import ApiClient, User
from oasst.core import ratelimit
from oasst.core.errors import NotFound
from oasst.core.text import language_detection
from oasst.core.text.validation import clean_text
from trees.contributing import editing, reactions, reviews
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import TABLE, State
from trees.models import Message, MessageTree, Proposal, Reaction, Report, Revision, Skip
from trees.moderation import bans, proposals, removal

LONGEST_EDIT = 65_536  # imported texts are longer than what people may write
LONGEST_REPORT = 10_000  # all that one person says about one message through programs
SKIPS = {"_skip_reply": Skip.Kind.REPLY, "_skip_ranking": Skip.Kind.RANKING, "_skip_labeling": Skip.Kind.REVIEW}
EMOJI_CODES = (*reactions.EMOJIS, *SKIPS)


def reason_of(client: ApiClient) -> str:
    return f"By the API client {client.name}."[:500]


def _tree_of(message_id: UUID) -> UUID:
    tree_id = Message.objects.filter(pk=message_id).values_list("tree_id", flat=True).first()
    if tree_id is None:
        raise NotFound("There is no such message.", code="message_not_found")
    return tree_id


# --- Deleting and bringing back ---


def delete_message(message_id: UUID, client: ApiClient, actor: User | None, policy: TreePolicy) -> None:
    """Mark a message and everything below it as deleted. Raises NotFound."""
    with transaction.atomic(durable=True):
        locked = lock_tree(_tree_of(message_id), policy)
        _remove(locked, [locked.message(message_id)], client, actor)


def delete_messages(
    messages: Iterable[tuple[UUID, UUID]], client: ApiClient, actor: User | None, policy: TreePolicy
) -> None:
    """The same for many, given as (tree id, message id); one transaction a tree."""
    for tree_id, ids in _by_tree(messages).items():
        with transaction.atomic(durable=True):
            _remove_from(tree_id, ids, client, actor, policy)


def remove_messages(
    messages: Iterable[tuple[UUID, UUID]], client: ApiClient, actor: User | None, policy: TreePolicy
) -> None:
    """As `delete_messages`, inside the caller's transaction. Locks the trees in the order of their ids."""
    for tree_id, ids in sorted(_by_tree(messages).items()):
        _remove_from(tree_id, ids, client, actor, policy)


def _by_tree(messages: Iterable[tuple[UUID, UUID]]) -> dict[UUID, list[UUID]]:
    trees: dict[UUID, list[UUID]] = {}
    for tree_id, message_id in messages:
        trees.setdefault(tree_id, []).append(message_id)
    return trees


def _remove_from(tree_id: UUID, ids: Iterable[UUID], client: ApiClient, actor: User | None, policy: TreePolicy) -> None:
    locked = lock_tree(tree_id, policy)
    _remove(locked, [locked.message(message_id) for message_id in ids], client, actor)


def _remove(locked: LockedTree, messages: list[Message], client: ApiClient, actor: User | None) -> None:
    for message in sorted(messages, key=lambda one: one.depth):
        if not message.deleted:
            removal.remove(locked, message, actor=actor, reason=reason_of(client))
    transitions.advance(locked, actor=actor)


def undelete_message(message_id: UUID, client: ApiClient, actor: User | None, policy: TreePolicy) -> None:
    """Bring back a message and everything above it, deleted or hidden, not what stands below. Raises NotFound,
    Conflict (`purged`, `erased`).
    """
    with transaction.atomic(durable=True):
        locked = lock_tree(_tree_of(message_id), policy)
        removal.bring_back_with_ancestors(locked, locked.message(message_id), actor=actor, reason=reason_of(client))
        transitions.advance(locked, actor=actor)


# --- Trees ---


def halt_or_resume(
    message_id: UUID, client: ApiClient, actor: User | None, policy: TreePolicy, *, halt: bool
) -> dict[str, Any]:
    """Stop the tree around a message, or let it go on from where it was stopped; one that is not stopped stays as it
    is. Gives the state of now. Raises NotFound, Conflict `prompt_deleted`.
    """
    with transaction.atomic(durable=True):
        locked = lock_tree(_tree_of(message_id), policy)
        if halt:
            transitions.halt_on_purpose(locked, reason=reason_of(client), actor=actor)
        elif locked.state == State.HALTED_BY_MODERATOR:
            transitions.refuse_without_prompt(locked)
            proposals.keep_what_stopped(locked, actor=actor, reason=reason_of(client))
            transitions.resume(locked, reason=reason_of(client), actor=actor)
        transitions.advance(locked, actor=actor)
        return show_state(locked.tree)


def tree_state(message_id: UUID) -> dict[str, Any]:
    """One statement. Raises NotFound."""
    tree = MessageTree.objects.filter(messages=message_id).first()
    if tree is None:
        raise NotFound("There is no such message.", code="message_not_found")
    return show_state(tree)


def show_state(tree: MessageTree) -> dict[str, Any]:
    return {
        "message_tree_id": tree.pk,
        "state": tree.state,
        "goal_tree_size": tree.goal_tree_size,
        "max_depth": tree.max_depth,
        "max_children_count": tree.max_children_count,
        "active": TABLE[State(tree.state)].active,
        "origin": tree.origin or None,
    }


# --- Texts ---


def edit_message(message_id: UUID, client: ApiClient, editor: User, text: str, policy: TreePolicy) -> None:
    """Give a message a new text; the same text again changes nothing.

    Raises NotAllowed, NotFound, Invalid (the text), Conflict (`purged`, `erased`).
    """
    text = clean_text(text, limit=LONGEST_EDIT, field="new_content")
    reading = language_detection.read(text)
    with transaction.atomic(durable=True):
        require_contributor_now(editor)
        locked = lock_tree(_tree_of(message_id), policy)
        message, reason = locked.message(message_id), reason_of(client)
        editing.revise(locked, message, text=text, reading=reading, actor=editor, reason=reason)
        transitions.advance(locked, actor=editor)


def history(message_id: UUID, viewer: User | None) -> list[dict[str, Any]]:
    """All texts of a message, oldest first; none of one that was never edited."""
    revisions = list(Revision.objects.filter(message=message_id).order_by("created_at", "id"))
    return [
        {
            "id": revision.pk,
            "text": revision.text,
            "message_id": message_id,
            "user_id": revision.author_id,
            "created_date": revision.created_at,
            "user_is_author": viewer is not None and revision.author_id == viewer.pk,
        }
        for revision in (revisions if len(revisions) > 1 else [])
    ]


# --- Emojis, reports, free labels ---


def react(message_id: UUID, client: ApiClient, given: dict[str, Any], emoji: str, op: str) -> User:
    """Put an emoji on a message or take it back; gives the person. A red flag tells the moderators, a skip code says
    that the person does not want that work about the message, for good.

    Raises NotAllowed, NotFound, Busy `rate_limited`.
    """
    person = speak_for(client, given)
    on = {"add": True, "remove": False, "toggle": None}[op]
    if emoji in SKIPS:
        if on is not False:
            _skip(message_id, person, SKIPS[emoji])
        return person
    flags = emoji == Reaction.RED_FLAG and on is not False
    mine = Reaction.objects.of_present_text().filter(message=message_id, author=person, emoji=emoji)
    if flags and not mine.exists():
        reactions.report(message_id=message_id, reporter=person, category=Report.Category.OTHER, program=_crowd(client))
    else:
        reactions.set_reaction(message_id=message_id, person=person, emoji=emoji, on=on)
    return person


def _skip(message_id: UUID, person: User, kind: Skip.Kind) -> None:
    ratelimit.spend(ratelimit.SKIPS, person.pk)
    with transaction.atomic(durable=True):
        require_contributor_now(person)
        message = Message.objects.defer("search", "text").filter(pk=message_id).first()
        if message is None:
            raise NotFound("There is no such message.", code="message_not_found")
        reviews.record_skip(message=message, author=person, kind=kind)


def speak_for(client: ApiClient, given: dict[str, Any]) -> User:
    """The person whom a body names, made known if need be. Raises Invalid `identity_incomplete`."""
    return person_for(
        client, auth_method=given["auth_method"], username=given["id"], display_name=given["display_name"]
    )


_CATEGORIES = {
    "spam": Report.Category.SPAM,
    "hate_speech": Report.Category.HATE,
    "sexual_content": Report.Category.SEXUAL,
    "violence": Report.Category.VIOLENCE,
    "pii": Report.Category.PERSONAL_DATA,
}


def _crowd(client: ApiClient) -> ApiClient | None:
    """The program, where nobody knows whether its people exist: one that is not trusted and nobody's own."""
    return None if client.trusted or client.person_id else client


def label_freely(
    message_id: UUID, client: ApiClient, person: User, labels: dict[str, float], text: str, *, is_report: bool
) -> None:
    """Labels that nobody asked for: they replace those of the same person, and decide nothing. As a report they also
    tell the moderators. Raises NotAllowed, NotFound, Invalid, Busy `rate_limited`.
    """
    if is_report:
        said = (category for name, category in _CATEGORIES.items() if labels.get(name))
        category = next(said, Report.Category.OTHER)
        reactions.report(
            message_id=message_id,
            reporter=person,
            category=category,
            text=text,
            limit=LONGEST_REPORT,
            program=_crowd(client),
        )
    if labels or not is_report:
        if not is_report:
            ratelimit.spend(ratelimit.FREE_LABELS, person.pk)
        with transaction.atomic(durable=True):
            reviews.record_free_labels(message_id=message_id, author=person, labels=labels, is_report=is_report)


# --- People ---


def change_person(user_id: UUID, client: ApiClient, changes: dict[str, Any]) -> None:
    """As `identities.update_person`; `enabled` is a ban or its end. Raises what that raises, Conflict `purged`."""
    enabled = changes.pop("enabled", None)
    with transaction.atomic(durable=True):
        person = update_person(client, user_id, changes)
        if enabled is not None:
            bans.set_by_program(person, enabled=enabled, reason=reason_of(client))


# --- Flagged messages ---


def settle_reports(message_id: UUID, client: ApiClient, policy: TreePolicy) -> None:
    """Answer all open reports and the open proposal about a message: upheld when it was deleted, else dismissed, with
    all that people said against it. Raises NotFound.
    """
    with transaction.atomic(durable=True):
        locked = lock_tree(_tree_of(message_id), policy)
        message = locked.message(message_id)
        proposed = Proposal.objects.filter(message=message_id, status=Proposal.Status.OPEN).exists()
        if not message.deleted and (proposed or Report.objects.filter(message=message_id).exists()):
            proposals.keep(locked, message, actor=None, reason=reason_of(client))
            transitions.advance(locked)
        reports = Report.objects.select_for_update(of=("self",), no_key=True).filter(message=message_id)
        for report in reports.filter(status=Report.Status.OPEN).select_related("message").order_by("pk"):
            report.status = Report.Status.UPHELD if report.message.deleted else Report.Status.DISMISSED
            report.handled_at, report.outcome = timezone.now(), reason_of(client)
            report.save(update_fields=["status", "handled_at", "outcome"])
