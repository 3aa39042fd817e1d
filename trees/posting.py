"""Writing messages: first prompts and replies.

Inner writers: the caller owns the transaction. Each ends in `transitions.advance`. Locks the tree row.
"""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from oasst.accounts.models import ApiClient, User
from oasst.core.errors import Conflict, Gone
from oasst.core.ids import uuid7
from oasst.core.text import clean_language_tag, clean_text
from trees import transitions, wanted
from trees.in_hand import TreeInHand, lock_tree, new_tree
from trees.models import Happening, Message, MessageTree, Revision, Role
from trees.policy import TreePolicy
from trees.states import State


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def post_prompt(
    *,
    author: User,
    text: str,
    lang: str,
    policy: TreePolicy,
    api_client: ApiClient | None = None,
    frontend_message_id: str | None = None,
) -> Message:
    """Store a first prompt; its tree starts in review.

    Raises Invalid (the text or the language tag) or Conflict (`duplicate`: the same text a short while ago).
    """
    text = clean_text(text, limit=policy.message_size_limit)
    lang = clean_language_tag(lang)
    _refuse_repetition(author, text, policy)
    message_id = uuid7()
    tree = MessageTree.objects.create(
        id=message_id,
        state=State.INITIAL_PROMPT_REVIEW.value,
        lang=lang,
        goal_tree_size=policy.goal_tree_size,
        max_depth=policy.max_tree_depth,
        max_children_count=policy.max_children_count,
    )
    message = _insert(
        id=message_id,
        tree=tree,
        parent=None,
        role=Role.PROMPTER,
        depth=0,
        position=0,
        author=author,
        text=text,
        lang=lang,
        api_client=api_client,
        frontend_message_id=frontend_message_id,
    )
    hand = new_tree(tree, message, policy, "A person wrote the prompt.", author)
    hand.record(Happening.Kind.MESSAGE_POSTED, message=message, actor=author)
    transitions.advance(hand, actor=author)
    return message


def post_reply(
    *,
    parent: Message,
    author: User,
    text: str,
    policy: TreePolicy,
    lease: UUID | None = None,
    lang: str | None = None,
    api_client: ApiClient | None = None,
    frontend_message_id: str | None = None,
) -> Message:
    """Store a reply to `parent`. Its language is the tree's unless one is given.

    `lease` names the held place that it uses; without one it needs a free place.
    Raises Invalid (text, language), Conflict (`duplicate`, `duplicate_reply`), Gone (`no_place_left`,
    `message_deleted`), NotFound.
    """
    text = clean_text(text, limit=policy.message_size_limit)
    _refuse_repetition(author, text, policy)
    hand = lock_tree(parent.tree_id, policy)
    parent = hand.message(parent.pk)
    if parent.deleted:
        raise Gone("The message that you answer was deleted meanwhile.", code="message_deleted")
    _refuse_second_reply(hand, parent, author)
    hand.take_place(message=parent, work=wanted.reply_work(parent), lease=lease)
    message = _insert(
        id=uuid7(),
        tree=hand.tree,
        parent=parent,
        role=Role.ASSISTANT if parent.role == Role.PROMPTER else Role.PROMPTER,
        depth=parent.depth + 1,
        position=sum(1 for m in hand.messages.values() if m.parent_id == parent.pk),
        author=author,
        text=text,
        lang=clean_language_tag(lang) if lang else hand.tree.lang,
        api_client=api_client,
        frontend_message_id=frontend_message_id,
    )
    hand.messages[message.pk] = message
    hand.record(Happening.Kind.MESSAGE_POSTED, message=message, actor=author)
    transitions.advance(hand, actor=author)
    return message


def _insert(*, id: UUID, text: str, author: User, frontend_message_id: str | None, **fields: Any) -> Message:
    """The message and its first revision. The first revision has the id of its message: one statement less."""
    message = Message(
        id=id,
        revision_id=id,
        text=text,
        text_digest=digest_of(text),
        author=author,
        frontend_message_id=frontend_message_id or str(id),
        consent=author.terms_version,
        **fields,
    )
    try:
        message.save(force_insert=True)
    except IntegrityError as error:
        if "message_frontend_id_once" in str(error):
            raise Conflict("You have already sent a message with this id.", code="frontend_id_taken") from error
        raise
    Revision(id=id, message=message, text=text, author=author, created_at=message.created_at).save(force_insert=True)
    return message


def _refuse_repetition(author: User, text: str, policy: TreePolicy) -> None:
    """The same text again within the window, most often a form that was sent twice.

    Not locked: two different tasks answered with one text in the same instant both pass, which does no harm.
    """
    since = timezone.now() - timedelta(minutes=policy.duplicate_window_minutes)
    recent = Message.objects.filter(author=author, created_at__gte=since, text_digest=digest_of(text))
    if recent.exists():
        raise Conflict("You sent exactly this text a short while ago.", code="duplicate", field="text")


def _refuse_second_reply(hand: TreeInHand, parent: Message, author: User) -> None:
    """One standing reply per person. A rejected one does not count: handing out work says the same."""
    for message in hand.messages.values():
        mine = message.parent_id == parent.pk and message.author_id == author.pk
        if mine and not message.deleted and message.review_result is not False:
            raise Conflict("You already answered this message.", code="duplicate_reply", field="text")
