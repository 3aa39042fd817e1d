"""Write messages: first prompts and replies.

Inner writers: the caller owns the transaction. Each ends in `transitions.advance` and locks the tree row.
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
from oasst.core.text.language_detection import NO_DETECTION, Detection
from oasst.core.text.validation import clean_pool_tag, clean_text
from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree, new_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Happening, Message, MessageTree, Revision, Role


def hash_text(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def post_prompt(
    *,
    author: User | None,
    text: str,
    lang: str,
    policy: TreePolicy,
    detection: Detection = NO_DETECTION,
    api_client_id: UUID | None = None,
    frontend_message_id: str | None = None,
    consent: str = "",
) -> Message:
    """Store a first prompt; its tree starts in review. `detection` is the language of the text, detected before the
    transaction since that is slow. If it is not `lang`, the message is marked for the moderators.

    A prompt that nobody shall be named for has no author; `consent` then says under which terms it was given.

    Raise Invalid (the text or the language tag) or Conflict (`duplicate`: the same text a short while ago).
    """
    text = clean_text(text, limit=policy.message_size_limit)
    lang = clean_pool_tag(lang)
    if author is not None:
        _refuse_repetition(author, text, policy)
    message_id = uuid7()
    sizes = policy.in_language(lang)
    tree = MessageTree.objects.create(
        id=message_id,
        state=State.INITIAL_PROMPT_REVIEW.value,
        lang=lang,
        goal_tree_size=sizes.goal_tree_size,
        max_depth=sizes.max_tree_depth,
        max_children_count=sizes.max_children_count,
    )
    message = _insert_message(
        id=message_id,
        tree=tree,
        parent=None,
        role=Role.PROMPTER,
        depth=0,
        position=0,
        author=author,
        text=text,
        lang=lang,
        detection=detection,
        api_client_id=api_client_id,
        frontend_message_id=frontend_message_id,
        consent=consent,
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
    detection: Detection = NO_DETECTION,
    api_client_id: UUID | None = None,
    frontend_message_id: str | None = None,
) -> Message:
    """Store a reply to `parent`, in the language of the tree unless `lang` is given; `detection` as in `post_prompt`.

    `lease` names the held opening to use; without one a free opening is needed. Raise Invalid (text, language),
    Conflict (`duplicate`, `duplicate_reply`), Gone (`no_place_left`, `message_deleted`, `message_hidden`), NotFound.
    """
    gone = "The message that you answer was deleted meanwhile."
    locked, parent, text = lock_for_answer(parent, author, text, policy, gone=gone)
    refuse_second_reply(locked, parent, author)
    locked.use_opening(message=parent, work=demand.reply_work(parent), lease=lease)
    return add_reply(
        locked,
        parent,
        role=Role.ASSISTANT if parent.role == Role.PROMPTER else Role.PROMPTER,
        author=author,
        text=text,
        lang=clean_pool_tag(lang) if lang else locked.tree.lang,
        detection=detection,
        api_client_id=api_client_id,
        frontend_message_id=frontend_message_id,
    )


def lock_for_answer(
    message: Message, author: User, text: str, policy: TreePolicy, *, gone: str
) -> tuple[LockedTree, Message, str]:
    """Return the locked tree, the message and the clean text. Raise Gone with the text `gone` for a deleted message."""
    text = clean_text(text, limit=policy.message_size_limit)
    _refuse_repetition(author, text, policy)
    locked = lock_tree(message.tree_id, policy)
    message = locked.message(message.pk)
    if message.deleted:
        raise Gone(gone, code="message_deleted")
    demand.refuse_paused(locked, message)
    return locked, message, text


def add_reply(
    locked: LockedTree, parent: Message, *, author: User | None, correction_of: Message | None = None, **fields: Any
) -> Message:
    """Insert a reply as the last sibling, record the event and advance the tree."""
    position = sum(1 for m in locked.messages.values() if m.parent_id == parent.pk)
    location: dict[str, Any] = {"tree": locked.tree, "parent": parent, "depth": parent.depth + 1, "position": position}
    message = _insert_message(id=uuid7(), author=author, correction_of=correction_of, **location, **fields)
    locked.messages[message.pk] = message
    data = {"correction_of": str(correction_of.pk)} if correction_of else {}
    locked.record(Happening.Kind.MESSAGE_POSTED, message=message, actor=author, data=data)
    transitions.advance(locked, actor=author)
    return message


def add_synthetic_reply(
    locked: LockedTree, parent: Message, *, text: str, model_name: str, consent: str, detection: Detection
) -> Message:
    """Insert what a model answered, a clean text. It has no author, and brings points to nobody; `consent` is the
    version of the terms under which a person gave it.
    """
    return add_reply(
        locked,
        parent,
        role=Role.ASSISTANT,
        author=None,
        text=text,
        lang=locked.tree.lang,
        detection=detection,
        frontend_message_id=None,
        consent=consent,
        synthetic=True,
        model_name=model_name,
    )


def _insert_message(
    *,
    id: UUID,
    text: str,
    lang: str,
    detection: Detection,
    author: User | None,
    frontend_message_id: str | None,
    consent: str | None = None,
    **fields: Any,
) -> Message:
    """Insert the message and its first revision, which has the same id: one statement less. Without an author,
    `consent` says under which terms it was given.
    """
    message = Message(
        id=id,
        revision_id=id,
        text=text,
        text_digest=hash_text(text),
        lang=lang,
        looks_like=detection.differs_from(lang) or "",
        author=author,
        frontend_message_id=frontend_message_id or str(id),
        consent=author.terms_version if author is not None else consent or "",
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


def _refuse_repetition(author: User, text: str, policy: TreePolicy) -> None:
    """Raise Conflict for the same text within the window, most often a form that was sent twice.

    Without a lock: two different tasks answered with one text at the same moment both pass, which does no harm.
    """
    since = timezone.now() - timedelta(minutes=policy.duplicate_window_minutes)
    if Message.objects.has_recent(author.pk, hash_text(text), since):
        raise Conflict("You sent exactly this text a short while ago.", code="duplicate", field="text")


def refuse_second_reply(locked: LockedTree, parent: Message, author: User) -> None:
    """Raise Conflict for a second reply to one message; a rejected one does not count, as when work is handed out."""
    for message in locked.messages.values():
        is_own = message.parent_id == parent.pk and message.author_id == author.pk
        if is_own and not message.deleted and message.review_result is not False:
            raise Conflict("You already answered this message.", code="duplicate_reply", field="text")
