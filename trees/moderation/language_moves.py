"""Move a conversation to another language: what is filed by language follows it.

Works on a locked tree; the caller goes on to `transitions.advance`. Scores and statistics follow by the outbox event,
search by the column of the message.
"""

from collections.abc import Collection, Mapping
from uuid import UUID

from django.db.models.functions import Now

from oasst.accounts.models import User
from trees.lifecycle import policy_change
from trees.lifecycle.locked_tree import LockedTree
from trees.models import Happening, Message, MessageEmbedding, MessageReading, Opening, TextSketch


def move(locked: LockedTree, lang: str, *, looks_like: Mapping[UUID, str], actor: User) -> None:
    """File the tree under this language, with the messages that were filed under the same language as it. The rules of
    this language hold for it from now on, and if they ask for other sizes, it gets these.

    `looks_like` has the language of each text where that seems to be another one than `lang`, else "".
    """
    before, old = locked.policy, locked.tree.lang
    locked.tree.lang = lang
    locked.tree.save(update_fields=["lang"])
    policy_change.follow_language(locked, before=before)
    moved = [message for message in locked.messages.values() if message.lang == old]
    for message in moved:
        message.lang, message.looks_like = lang, looks_like.get(message.pk, "")
    Message.objects.bulk_update(moved, ["lang", "looks_like"], batch_size=500)
    follow(locked, [message.pk for message in moved], actor=actor)


def follow(locked: LockedTree, message_ids: Collection[UUID], *, actor: User) -> None:
    """Let everything filed by language follow the tree and these messages, whose language was changed."""
    Opening.objects.filter(tree=locked.tree).update(lang=locked.tree.lang)
    for lang in {locked.messages[pk].lang for pk in message_ids}:
        ids = [pk for pk in message_ids if locked.messages[pk].lang == lang]
        for table in (TextSketch, MessageEmbedding):
            table._default_manager.filter(message__in=ids).update(lang=lang)
    # Machines read by language, so they read these texts again. Older results hold until then.
    revisions = Message.objects.filter(pk__in=message_ids, deleted=False, withdrawn=False).values("revision")
    MessageReading.objects.filter(revision__in=revisions).update(due_at=Now(), attempts=0)
    data = {"lang": locked.tree.lang}
    locked.record(Happening.Kind.LANGUAGE_CHANGED, message=locked.root, actor=actor, data=data)
