"""What trusted programs do to messages, trees and people, as moderators do in the admin.

Whether the program may is decided before, by the access of its operation. The person who looked, where one was named,
is written down as the actor, and the program's name as the reason. Outer writers: each function is one transaction (one
for each tree, where it is about many). Locks the tree row.
"""

from collections.abc import Iterable
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from oasst.accounts.identities import update_person
from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import ApiClient, User
from oasst.core.text import language_detection
from oasst.core.text.validation import clean_text
from trees.contributing import corrections
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, lock_message, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Proposal, Report
from trees.moderation import bans, proposals, removal

LONGEST_EDIT = 65_536  # imported texts are longer than what people may write


def reason_of(client: ApiClient) -> str:
    return f"By the API client {client.name}."[:500]


def delete_message(message_id: UUID, client: ApiClient, actor: User | None, policy: TreePolicy) -> None:
    """Mark a message and everything below it as deleted. Raises NotFound."""
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        _remove(locked, [message], client, actor)


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
        locked, message = lock_message(message_id, policy)
        removal.bring_back_with_ancestors(locked, message, actor=actor, reason=reason_of(client))
        transitions.advance(locked, actor=actor)


def halt_or_resume(
    message_id: UUID, client: ApiClient, actor: User | None, policy: TreePolicy, *, halt: bool
) -> MessageTree:
    """Stop the tree around a message, or let it go on from where it was stopped; one that is not stopped stays as it
    is. Returns it. Raises NotFound, Conflict `prompt_deleted`.
    """
    with transaction.atomic(durable=True):
        locked, _ = lock_message(message_id, policy)
        if halt:
            transitions.halt_on_purpose(locked, reason=reason_of(client), actor=actor)
        elif locked.state == State.HALTED_BY_MODERATOR:
            transitions.refuse_without_prompt(locked)
            proposals.keep_what_stopped(locked, actor=actor, reason=reason_of(client))
            transitions.resume(locked, reason=reason_of(client), actor=actor)
        transitions.advance(locked, actor=actor)
        return locked.tree


def edit_message(message_id: UUID, client: ApiClient, editor: User, text: str, policy: TreePolicy) -> None:
    """Give a message a new text; the same text again changes nothing.

    Raises NotAllowed, NotFound, Invalid (the text), Conflict (`purged`, `erased`).
    """
    text = clean_text(text, limit=LONGEST_EDIT, field="new_content")
    reading = language_detection.read(text)
    with transaction.atomic(durable=True):
        require_contributor_now(editor)
        locked, message = lock_message(message_id, policy)
        corrections.revise(locked, message, text=text, reading=reading, actor=editor, reason=reason_of(client))
        transitions.advance(locked, actor=editor)


def change_person(user_id: UUID, client: ApiClient, changes: dict[str, Any]) -> None:
    """As `identities.update_person`; `enabled` is a ban or its end. Raises what that raises, Conflict `purged`."""
    enabled = changes.pop("enabled", None)
    with transaction.atomic(durable=True):
        person = update_person(client, user_id, changes)
        if enabled is not None:
            bans.set_by_program(person, enabled=enabled, reason=reason_of(client))


def settle_reports(message_id: UUID, client: ApiClient, policy: TreePolicy) -> None:
    """Answer all open reports and the open proposal about a message: upheld when it was deleted, else dismissed, with
    all that people said against it. Raises NotFound.
    """
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        proposed = Proposal.objects.filter(message=message_id, status=Proposal.Status.OPEN).exists()
        if not message.deleted and (proposed or Report.objects.filter(message=message_id).exists()):
            proposals.keep(locked, message, actor=None, reason=reason_of(client))
            transitions.advance(locked)
        reports = Report.objects.select_for_update(of=("self",), no_key=True).filter(message=message_id)
        for report in reports.filter(status=Report.Status.OPEN).select_related("message").order_by("pk"):
            report.status = Report.Status.UPHELD if report.message.deleted else Report.Status.DISMISSED
            report.handled_at, report.outcome = timezone.now(), reason_of(client)
            report.save(update_fields=["status", "handled_at", "outcome"])
