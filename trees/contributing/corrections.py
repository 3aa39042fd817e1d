"""Better texts for a message: suggested by users as a sibling, or edited in place by moderators and API clients.

`suggest` is an outer writer. `replace_text` works on a locked tree; the caller goes on to `transitions.advance`.
"""

from uuid import UUID

from django.db import transaction

from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import Conflict, Gone, Invalid, NotAllowed
from oasst.core.text import language_detection
from oasst.core.text.language_detection import NO_DETECTION, Detection
from trees.access import PUBLIC, message_unavailable, visible_messages
from trees.contributing import withdrawal_effects
from trees.contributing.posting import add_reply, hash_text, lock_for_answer, refuse_second_reply
from trees.lifecycle import demand
from trees.lifecycle.locked_tree import LockedTree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import REPLY_WORK, TABLE, State, Work
from trees.models import Happening, Message, MessageTree, Revision
from trees.moderation import proposals, removal


def get_correctable_for(user: User, message_id: UUID) -> Message:
    """Return the message if this user may suggest another text for it now. One statement. Raise NotFound, Conflict
    (`prompt`, `takes_no_replies`), NotAllowed `own_message`.
    """
    messages = visible_messages(user, Message.objects.filter(PUBLIC, pk=message_id))
    message = messages.select_related("tree").defer("search", "imported").first()
    if message is None:
        raise message_unavailable()
    _refuse_correction(message.tree, message, user)
    return message


def suggest(*, message_id: UUID, user: User, text: str, policy: TreePolicy) -> Message:
    """Store a better text for another user's message as a reply to the same parent, linked to it.

    It is a reply like any other: it uses an opening, is reviewed and ranked. Judgments stay with the old text. Raise
    Invalid (text, `unchanged`), Conflict (`duplicate`, `duplicate_reply`, `prompt`, `takes_no_replies`), NotAllowed,
    Gone (`message_deleted`, `message_hidden`, `no_place_left`), NotFound, Busy `rate_limited`.
    """
    ratelimit.count_use(ratelimit.SUGGESTIONS, user.pk)
    detection = language_detection.detect(text)  # slow, so before any lock
    with transaction.atomic(durable=True):
        require_contributor_now(user)
        original = get_correctable_for(user, message_id)
        return _store(original, user, text, policy, detection)


def _store(original: Message, author: User, text: str, policy: TreePolicy, detection: Detection) -> Message:
    gone = "The message was deleted meanwhile."
    locked, original, text = lock_for_answer(original, author, text, policy, gone=gone)
    _refuse_correction(locked.tree, original, author)
    parent = locked.messages[original.parent_id] if original.parent_id else original
    if Message.objects.filter(parent=parent, deleted=False, text_digest=hash_text(text)).exists():
        raise Invalid("This text stands here already; change something about it.", code="unchanged", field="text")
    refuse_second_reply(locked, parent, author)
    _use_reply_opening(locked, parent)
    return add_reply(
        locked,
        parent,
        role=original.role,
        author=author,
        text=text,
        lang=original.lang,
        detection=detection,
        frontend_message_id=None,
        correction_of=original,
    )


def _refuse_correction(tree: MessageTree, original: Message, author: User) -> None:
    """Raise Conflict (`prompt`, `takes_no_replies`) or NotAllowed if no text could be accepted."""
    if original.parent_id is None:
        raise Conflict(
            "A first prompt has no other text beside it.", code="prompt", hint="Write yours as a prompt of its own."
        )
    if original.author_id == author.pk:
        raise NotAllowed("This is yours. Others can suggest a better text for it.", code="own_message")
    row = TABLE[State(tree.state)]
    if not row.offers & REPLY_WORK:
        raise Conflict(f"This conversation takes no new replies any more ({row.label}).", code="takes_no_replies")


def _use_reply_opening(locked: LockedTree, parent: Message) -> None:
    """Use a free opening for a reply: one at this parent, else any of the tree while the parent takes one more.

    Held openings stay, so nobody loses what they are writing, and neither the tree nor the parent exceeds its size.
    """
    free = [o for o in locked.openings if o.work in REPLY_WORK and not o.is_held(locked.now)]
    at_parent = [o for o in free if o.message_id == parent.pk]
    taken = demand.count_replies(locked)[parent.pk] + demand.count_held_replies(locked)[parent.pk]
    full = Gone(
        "This message has all the replies that it takes, so there is no room for one more.", code="no_place_left"
    )
    if parent not in demand.accepted_messages(locked) or (
        not at_parent and taken >= demand.reply_limit(locked, parent)
    ):
        raise full
    for opening in at_parent or sorted(free, key=lambda o: (o.priority, o.pk)):
        try:
            locked.use_opening(message=locked.messages[opening.message_id], work=Work(opening.work), lease=None)
        except Gone:
            continue
        return
    raise full


def replace_text(
    locked: LockedTree, message: Message, *, text: str, actor: User, reason: str, detection: Detection = NO_DETECTION
) -> Revision | None:
    """Replace the text; return None if it is unchanged. Judgments stay with the text that people saw.

    While the tree still offers reviews, the new text is reviewed again. Raise Conflict (`purged`, `erased`,
    `withdrawn`): nobody writes new words for an author whose own text was removed.
    """
    withdrawal_effects.refuse_withdrawn([message])
    removal.refuse_purged([message.pk])
    if hash_text(text) == bytes(Message.objects.values_list("text_digest", flat=True).get(pk=message.pk)):
        return None
    revision = Revision.objects.create(message=message, text=text, author=actor, reason=reason)
    message.revision, message.text, message.text_digest, message.edited = revision, text, hash_text(text), True
    message.looks_like = detection.differs_from(message.lang) or ""
    message.save(update_fields=["revision", "text", "text_digest", "edited", "looks_like"])
    proposals.close_after_edit(locked, message, actor=actor)
    if demand.can_be_reviewed(locked, message):
        message.review_result = None
        locked.changed_messages.add(message.pk)
    locked.record(Happening.Kind.MESSAGE_EDITED, message=message, actor=actor, data={"revision": str(revision.pk)})
    return revision
