"""Writing messages: first prompts and replies.

Inner writers: the caller owns the transaction. Each ends in `transitions.advance`. Locks the tree row.
"""

import hashlib
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.utils import timezone

from oasst.accounts.models import User
from oasst.core.errors import Conflict, Gone
from oasst.core.ids import uuid7
from oasst.core.text.language_detection import NOTHING_SEEN, Reading
from oasst.core.text.validation import clean_pool_tag, clean_text
from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree, new_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Happening, Message, MessageTree, Revision, Role


def digest_of(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def post_prompt(
    *,
    author: User,
    text: str,
    lang: str,
    policy: TreePolicy,
    reading: Reading = NOTHING_SEEN,
    api_client_id: UUID | None = None,
    frontend_message_id: str | None = None,
) -> Message:
    """Store a first prompt; its tree starts in review. `reading` is what its text looks like, read before the
    transaction: where that is another language than `lang`, the message is marked for the moderators.

    Raises Invalid (the text or the language tag) or Conflict (`duplicate`: the same text a short while ago).
    """
    text = clean_text(text, limit=policy.message_size_limit)
    lang = clean_pool_tag(lang)
    refuse_repetition(author, text, policy)
    message_id = uuid7()
    tree = MessageTree.objects.create(
        id=message_id,
        state=State.INITIAL_PROMPT_REVIEW.value,
        lang=lang,
        goal_tree_size=policy.goal_tree_size,
        max_depth=policy.max_tree_depth,
        max_children_count=policy.max_children_count,
    )
    message = insert_message(
        id=message_id,
        tree=tree,
        parent=None,
        role=Role.PROMPTER,
        depth=0,
        position=0,
        author=author,
        text=text,
        lang=lang,
        reading=reading,
        api_client_id=api_client_id,
        frontend_message_id=frontend_message_id,
    )
    locked = new_tree(tree, message, policy, "A person wrote the prompt.", author)
    locked.record(Happening.Kind.MESSAGE_POSTED, message=message, actor=author)
    transitions.advance(locked, actor=author)
    return message


def post_reply(
    *,
    parent: Message,
    author: User,
    text: str,
    policy: TreePolicy,
    lease: UUID | None = None,
    lang: str | None = None,
    reading: Reading = NOTHING_SEEN,
    api_client_id: UUID | None = None,
    frontend_message_id: str | None = None,
) -> Message:
    """Store a reply to `parent`. Its language is the tree's unless one is given; `reading` as in `post_prompt`.

    `lease` names the held place that it uses; without one it needs a free place.
    Raises Invalid (text, language), Conflict (`duplicate`, `duplicate_reply`), Gone (`no_place_left`,
    `message_deleted`, `message_hidden`), NotFound.
    """
    text = clean_text(text, limit=policy.message_size_limit)
    refuse_repetition(author, text, policy)
    locked = lock_tree(parent.tree_id, policy)
    parent = locked.message(parent.pk)
    if parent.deleted:
        raise Gone("The message that you answer was deleted meanwhile.", code="message_deleted")
    demand.refuse_paused(locked, parent)
    refuse_second_reply(locked, parent, author)
    locked.take_place(message=parent, work=demand.reply_work(parent), lease=lease)
    message = insert_message(
        id=uuid7(),
        tree=locked.tree,
        parent=parent,
        role=Role.ASSISTANT if parent.role == Role.PROMPTER else Role.PROMPTER,
        depth=parent.depth + 1,
        position=sum(1 for m in locked.messages.values() if m.parent_id == parent.pk),
        author=author,
        text=text,
        lang=clean_pool_tag(lang) if lang else locked.tree.lang,
        reading=reading,
        api_client_id=api_client_id,
        frontend_message_id=frontend_message_id,
    )
    locked.messages[message.pk] = message
    locked.record(Happening.Kind.MESSAGE_POSTED, message=message, actor=author)
    transitions.advance(locked, actor=author)
    return message


def insert_message(
    *, id: UUID, text: str, lang: str, reading: Reading, author: User, frontend_message_id: str | None, **fields: Any
) -> Message:
    """The message and its first revision. The first revision has the id of its message: one statement less."""
    message = Message(
        id=id,
        revision_id=id,
        text=text,
        text_digest=digest_of(text),
        lang=lang,
        looks_like=reading.unlike(lang) or "",
        author=author,
        frontend_message_id=frontend_message_id or str(id),
        consent=author.terms_version,
        **fields,
    )
    try:
        Message.objects.insert(message)
    except IntegrityError as error:
        if "message_frontend_id_once" in str(error):
            raise Conflict("You have already sent a message with this id.", code="frontend_id_taken") from error
        raise
    Revision.objects.insert(Revision(id=id, message=message, text=text, author=author, created_at=message.created_at))
    return message


def refuse_repetition(author: User, text: str, policy: TreePolicy) -> None:
    """The same text again within the window, most often a form that was sent twice.

    Not locked: two different tasks answered with one text in the same instant both pass, which does no harm.
    """
    since = timezone.now() - timedelta(minutes=policy.duplicate_window_minutes)
    if Message.objects.has_recent(author.pk, digest_of(text), since):
        raise Conflict("You sent exactly this text a short while ago.", code="duplicate", field="text")


def refuse_second_reply(locked: LockedTree, parent: Message, author: User) -> None:
    """One standing reply per person. A rejected one does not count: handing out work says the same."""
    for message in locked.messages.values():
        mine = message.parent_id == parent.pk and message.author_id == author.pk
        if mine and not message.deleted and message.review_result is not False:
            raise Conflict("You already answered this message.", code="duplicate_reply", field="text")
