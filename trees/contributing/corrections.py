"""Better texts for a message: beside it, where anybody suggests one, or in its place, by moderators and programs.

`suggest` is an outer writer. `revise` works on a locked tree; the caller goes on to `transitions.advance`.
"""

from uuid import UUID

from django.db import transaction

from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed
from oasst.core.ids import uuid7
from oasst.core.text import language_detection
from oasst.core.text.language_detection import NOTHING_SEEN, Reading
from oasst.core.text.validation import clean_text
from trees.access import PUBLIC, no_such_message, visible_messages
from trees.contributing import withdrawal_effects
from trees.contributing.posting import digest_of, insert_message, refuse_repetition, refuse_second_reply
from trees.lifecycle import demand, transitions
from trees.lifecycle.locked_tree import LockedTree, lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import REPLY_WORK, TABLE, State, Work
from trees.models import Happening, Message, MessageTree, Revision
from trees.moderation import proposals, removal


def get_correctable_for(person: User, message_id: UUID) -> Message:
    """The message, if this person may suggest another text for it right now. One statement.

    Raises NotFound, Conflict (`prompt`, `takes_no_replies`), NotAllowed `own_message`.
    """
    messages = visible_messages(person, Message.objects.filter(PUBLIC, pk=message_id))
    message = messages.select_related("tree").defer("search", "imported").first()
    if message is None:
        raise no_such_message()
    _refuse_correction(message.tree, message, person)
    return message


def suggest(*, message_id: UUID, person: User, text: str, policy: TreePolicy) -> Message:
    """Store a better text for somebody's message as another reply to the same parent, linked to it.

    It is a reply like any other: it takes a place, is reviewed and ranked. What people said stays with the old text.
    Raises Invalid (text, `unchanged`), Conflict (`duplicate`, `duplicate_reply`, `prompt`, `takes_no_replies`),
    NotAllowed, Gone (`message_deleted`, `message_hidden`, `no_place_left`), NotFound, Busy `rate_limited`.
    """
    ratelimit.spend(ratelimit.SUGGESTIONS, person.pk)
    reading = language_detection.read(text)  # before anything is locked
    with transaction.atomic(durable=True):
        require_contributor_now(person)
        original = get_correctable_for(person, message_id)
        return _store(original, person, text, policy, reading)


def _store(original: Message, author: User, text: str, policy: TreePolicy, reading: Reading) -> Message:
    text = clean_text(text, limit=policy.message_size_limit)
    refuse_repetition(author, text, policy)
    locked = lock_tree(original.tree_id, policy)
    original = locked.message(original.pk)
    if original.deleted:
        raise Gone("The message was deleted meanwhile.", code="message_deleted")
    demand.refuse_paused(locked, original)
    _refuse_correction(locked.tree, original, author)
    parent = locked.messages[original.parent_id] if original.parent_id else original
    siblings = [m for m in locked.messages.values() if m.parent_id == parent.pk]
    if Message.objects.filter(parent=parent, deleted=False, text_digest=digest_of(text)).exists():
        raise Invalid("This text stands here already; change something about it.", code="unchanged", field="text")
    refuse_second_reply(locked, parent, author)
    _take_place_of_reply(locked, parent)
    message = insert_message(
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
    about = {"correction_of": str(original.pk)}
    locked.record(Happening.Kind.MESSAGE_POSTED, message=message, actor=author, data=about)
    transitions.advance(locked, actor=author)
    return message


def _refuse_correction(tree: MessageTree, original: Message, author: User) -> None:
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


def revise(
    locked: LockedTree, message: Message, *, text: str, actor: User, reason: str, reading: Reading = NOTHING_SEEN
) -> Revision | None:
    """Replace the text; None when it is the same. What people said stays with the text that they saw; while reviewers
    can still be asked, the new text is reviewed anew. Raises Conflict (`purged`, `erased`, `withdrawn`): no new words
    are put into the mouth of somebody whose own were taken away, by whomever.
    """
    withdrawal_effects.refuse_withdrawn([message])
    removal.refuse_purged([message.pk])
    if digest_of(text) == bytes(Message.objects.values_list("text_digest", flat=True).get(pk=message.pk)):
        return None
    revision = Revision.objects.create(message=message, text=text, author=actor, reason=reason)
    message.revision, message.text, message.text_digest, message.edited = revision, text, digest_of(text), True
    message.looks_like = reading.unlike(message.lang) or ""
    message.save(update_fields=["revision", "text", "text_digest", "edited", "looks_like"])
    proposals.begin_anew(locked, message, actor=actor)
    if demand.can_be_reviewed(locked, message):
        message.review_result = None
        locked.changed_messages.add(message.pk)
    locked.record(Happening.Kind.MESSAGE_EDITED, message=message, actor=actor, data={"revision": str(revision.pk)})
    return revision
