"""A new text for a message. Works on a locked tree; the caller goes on to `transitions.advance`."""

from oasst.accounts.models import User
from oasst.core.text.language_detection import NOTHING_SEEN, Reading
from trees.contributing import withdrawal_effects
from trees.contributing.posting import digest_of
from trees.lifecycle import demand
from trees.lifecycle.locked_tree import LockedTree
from trees.models import Happening, Message, Revision
from trees.moderation import proposals, removal


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
