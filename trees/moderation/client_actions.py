"""Moderation by trusted API clients: messages, trees and users.

The access of the operation decides whether the client may. The user whom the client names is stored as the actor, the
client's name as the reason. Outer writers: each function is one transaction (one per tree for many). Locks the tree
row.
"""

from collections.abc import Iterable
from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Model
from django.utils import timezone

from oasst.accounts.identities import update_person
from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import ApiClient, User
from oasst.core.audit.acts import Act
from oasst.core.text import language_detection
from oasst.core.text.validation import clean_text
from trees.contributing import corrections
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import LockedTree, lock_message, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Proposal, Report
from trees.moderation import acts, bans, proposals, removal
from trees.moderation.changes import recorded

LONGEST_EDIT = 65_536  # imported texts are longer than what people may write


def client_reason(client: ApiClient) -> str:
    return f"By the API client {client.name}."[:500]


def _recorded(
    locked: LockedTree,
    act: Act,
    message: Message,
    client: ApiClient,
    actor: User | None,
    target: Model | None = None,
) -> AbstractContextManager[object]:
    """Record what the client does to this message, or to `target`. A repeat, which changes nothing, is not recorded."""
    return recorded(
        locked,
        act,
        target or message,
        actor=actor,
        program=client,
        person_id=message.author_id,
        reason=client_reason(client),
        always=False,
    )


def delete_message(message_id: UUID, client: ApiClient, actor: User | None, policy: TreePolicy) -> None:
    """Mark a message and everything below it as deleted. Raise NotFound."""
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        with _recorded(locked, acts.DELETE, message, client, actor):
            _remove(locked, [message], client, actor)


def delete_messages(
    messages: Iterable[tuple[UUID, UUID]], client: ApiClient, actor: User | None, policy: TreePolicy
) -> None:
    """Delete many messages, given as (tree id, message id); one transaction per tree."""
    for tree_id, ids in _by_tree(messages).items():
        with transaction.atomic(durable=True):
            _remove_from(tree_id, ids, client, actor, policy)


def delete_in_transaction(
    messages: Iterable[tuple[UUID, UUID]], client: ApiClient, actor: User | None, policy: TreePolicy
) -> None:
    """Delete messages as `delete_messages`, inside the caller's transaction. Locks trees in the order of their ids."""
    for tree_id, ids in sorted(_by_tree(messages).items()):
        _remove_from(tree_id, ids, client, actor, policy)


def _by_tree(messages: Iterable[tuple[UUID, UUID]]) -> dict[UUID, list[UUID]]:
    trees: dict[UUID, list[UUID]] = {}
    for tree_id, message_id in messages:
        trees.setdefault(tree_id, []).append(message_id)
    return trees


def _remove_from(tree_id: UUID, ids: Iterable[UUID], client: ApiClient, actor: User | None, policy: TreePolicy) -> None:
    locked = lock_tree(tree_id, policy)
    messages = [locked.message(message_id) for message_id in ids]
    with _recorded(locked, acts.DELETE_SOME, messages[0], client, actor):
        _remove(locked, messages, client, actor)


def _remove(locked: LockedTree, messages: list[Message], client: ApiClient, actor: User | None) -> None:
    for message in sorted(messages, key=lambda m: m.depth):
        if not message.deleted:
            removal.remove(locked, message, actor=actor, reason=client_reason(client))
    transitions.advance(locked, actor=actor)


def undelete_message(message_id: UUID, client: ApiClient, actor: User | None, policy: TreePolicy) -> None:
    """Restore a deleted or hidden message and its ancestors, but not its replies. Raise NotFound, Conflict (`purged`,
    `erased`).
    """
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        with _recorded(locked, acts.UNDELETE, message, client, actor):
            removal.restore_with_ancestors(locked, message, actor=actor, reason=client_reason(client))
            transitions.advance(locked, actor=actor)


def halt_or_resume(
    message_id: UUID, client: ApiClient, actor: User | None, policy: TreePolicy, *, halt: bool
) -> MessageTree:
    """Halt the tree of a message, or resume it if it is halted. Return the tree. Raise NotFound, Conflict
    `prompt_deleted`.
    """
    with transaction.atomic(durable=True):
        locked, _ = lock_message(message_id, policy)
        with _recorded(locked, acts.HALT if halt else acts.RESUME, locked.root, client, actor, locked.tree):
            if halt:
                transitions.halt_on_purpose(locked, reason=client_reason(client), actor=actor)
            elif locked.state == State.HALTED_BY_MODERATOR:
                transitions.refuse_without_prompt(locked)
                proposals.keep_halting_messages(locked, actor=actor, reason=client_reason(client))
                transitions.resume(locked, reason=client_reason(client), actor=actor)
            transitions.advance(locked, actor=actor)
        return locked.tree


def edit_message(message_id: UUID, client: ApiClient, editor: User, text: str, policy: TreePolicy) -> None:
    """Give a message a new text; the same text changes nothing. Raise NotAllowed, NotFound, Invalid (the text),
    Conflict (`purged`, `erased`).
    """
    text = clean_text(text, limit=LONGEST_EDIT, field="new_content")
    detection = language_detection.detect(text)
    with transaction.atomic(durable=True):
        require_contributor_now(editor)
        locked, message = lock_message(message_id, policy)
        with _recorded(locked, acts.EDIT, message, client, editor):
            corrections.replace_text(
                locked, message, text=text, detection=detection, actor=editor, reason=client_reason(client)
            )
            transitions.advance(locked, actor=editor)


def update_user(user_id: UUID, client: ApiClient, changes: dict[str, Any]) -> None:
    """Update a user as `identities.update_person`; `enabled` sets or ends a ban. Raise Conflict `purged` too."""
    enabled = changes.pop("enabled", None)
    with transaction.atomic(durable=True):
        person = update_person(client, user_id, changes)
        if enabled is not None:
            bans.set_by_client(person, program=client, enabled=enabled, reason=client_reason(client))


def settle_reports(message_id: UUID, client: ApiClient, policy: TreePolicy) -> None:
    """Settle all open reports and the open proposal on a message: upheld if it is deleted, else dismissed.

    Dismissing also voids the complaints. Raise NotFound.
    """
    with transaction.atomic(durable=True):
        locked, message = lock_message(message_id, policy)
        with _recorded(locked, acts.SETTLE, message, client, None):
            _settle_reports(locked, message, client)


def _settle_reports(locked: LockedTree, message: Message, client: ApiClient) -> None:
    proposed = Proposal.objects.filter(message=message, status=Proposal.Status.OPEN).exists()
    if not message.deleted and (proposed or Report.objects.filter(message=message).exists()):
        proposals.keep_message(locked, message, actor=None, reason=client_reason(client))
        transitions.advance(locked)
    reports = Report.objects.select_for_update(of=("self",), no_key=True).filter(message=message)
    for report in reports.filter(status=Report.Status.OPEN).select_related("message").order_by("pk"):
        report.status = Report.Status.UPHELD if report.message.deleted else Report.Status.DISMISSED
        report.handled_at, report.outcome = timezone.now(), client_reason(client)
        report.save(update_fields=["status", "handled_at", "outcome"])
