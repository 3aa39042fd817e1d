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
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed
from oasst.core.ids import uuid7
from oasst.core.text.language_detection import NOTHING_SEEN, Reading
from oasst.core.text.validation import clean_pool_tag, clean_text
from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree, new_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import REPLY_WORK, TABLE, State, Work
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
    _refuse_repetition(author, text, policy)
    locked = lock_tree(parent.tree_id, policy)
    parent = locked.message(parent.pk)
    if parent.deleted:
        raise Gone("The message that you answer was deleted meanwhile.", code="message_deleted")
    demand.refuse_paused(locked, parent)
    _refuse_second_reply(locked, parent, author)
    locked.take_place(message=parent, work=demand.reply_work(parent), lease=lease)
    message = _insert(
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


def post_correction(
    *, original: Message, author: User, text: str, policy: TreePolicy, reading: Reading = NOTHING_SEEN
) -> Message:
    """Store a better text for somebody's message as another reply to the same parent, linked to it.

    It is a reply like any other: it takes a place, is reviewed and ranked. What people said stays with the old text.
    Raises Invalid (text, `unchanged`), Conflict (`duplicate`, `duplicate_reply`, `prompt`, `takes_no_replies`),
    NotAllowed (`own_message`), Gone (`message_deleted`, `message_hidden`,
    `no_place_left`), NotFound.
    """
    text = clean_text(text, limit=policy.message_size_limit)
    _refuse_repetition(author, text, policy)
    locked = lock_tree(original.tree_id, policy)
    original = locked.message(original.pk)
    if original.deleted:
        raise Gone("The message was deleted meanwhile.", code="message_deleted")
    demand.refuse_paused(locked, original)
    refuse_correction(locked.tree, original, author)
    parent = locked.messages[original.parent_id] if original.parent_id else original
    siblings = [m for m in locked.messages.values() if m.parent_id == parent.pk]
    if Message.objects.filter(parent=parent, deleted=False, text_digest=digest_of(text)).exists():
        raise Invalid("This text stands here already; change something about it.", code="unchanged", field="text")
    _refuse_second_reply(locked, parent, author)
    _take_place_of_reply(locked, parent)
    message = _insert(
        id=uuid7(),
        tree=locked.tree,
        parent=parent,
        role=original.role,
        depth=original.depth,
        position=len(siblings),
        author=author,
        text=text,
        lang=original.lang,
        reading=reading,
        api_client_id=None,
        frontend_message_id=None,
        correction_of=original,
    )
    locked.messages[message.pk] = message
    locked.record(
        Happening.Kind.MESSAGE_POSTED,
        message=message,
        actor=author,
        data={"correction_of": str(original.pk)},
    )
    transitions.advance(locked, actor=author)
    return message


def refuse_correction(tree: MessageTree, original: Message, author: User) -> None:
    """Refuse what no text could make possible. Raises Conflict (`prompt`, `takes_no_replies`), NotAllowed."""
    if original.parent_id is None:
        raise Conflict(
            "A first prompt has no other text beside it.", code="prompt", hint="Write yours as a prompt of its own."
        )
    if original.author_id == author.pk:
        raise NotAllowed("This is yours. Others can suggest a better text for it.", code="own_message")
    row = TABLE[State(tree.state)]
    if not row.offers & REPLY_WORK:
        raise Conflict(f"This conversation takes no new replies any more ({row.label}).", code="takes_no_replies")


def _take_place_of_reply(locked: LockedTree, parent: Message) -> None:
    """Use up a place for a reply: a free one at this parent, else any of the tree while the parent takes one more.

    Only free places are used, so a correction never takes away what somebody is writing, and neither the tree nor the
    parent grows beyond its size.
    """
    free = [o for o in locked.openings if o.work in REPLY_WORK and not o.is_held(locked.now)]
    here = [o for o in free if o.message_id == parent.pk]
    taken = demand.counted_children(locked)[parent.pk] + demand.held_replies(locked)[parent.pk]
    full = Gone(
        "This message has all the replies that it takes, so there is no room for one more.", code="no_place_left"
    )
    if parent not in demand.standing(locked) or (not here and taken >= demand.reply_limit(locked, parent)):
        raise full
    for opening in here or sorted(free, key=lambda o: (o.priority, o.pk)):
        try:
            locked.take_place(message=locked.messages[opening.message_id], work=Work(opening.work), lease=None)
        except Gone:
            continue
        return
    raise full


def _insert(
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


def _refuse_repetition(author: User, text: str, policy: TreePolicy) -> None:
    """The same text again within the window, most often a form that was sent twice.

    Not locked: two different tasks answered with one text in the same instant both pass, which does no harm.
    """
    since = timezone.now() - timedelta(minutes=policy.duplicate_window_minutes)
    if Message.objects.has_recent(author.pk, digest_of(text), since):
        raise Conflict("You sent exactly this text a short while ago.", code="duplicate", field="text")


def _refuse_second_reply(locked: LockedTree, parent: Message, author: User) -> None:
    """One standing reply per person. A rejected one does not count: handing out work says the same."""
    for message in locked.messages.values():
        mine = message.parent_id == parent.pk and message.author_id == author.pk
        if mine and not message.deleted and message.review_result is not False:
            raise Conflict("You already answered this message.", code="duplicate_reply", field="text")
