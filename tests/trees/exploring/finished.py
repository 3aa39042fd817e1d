"""Finished conversations, made without the work of a crowd."""

from hashlib import sha256

from django.db import transaction

from oasst.accounts.models import User
from oasst.core.ids import uuid7
from tests.factories import new_person, new_prompt
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Opening, Revision, Role


def finished(author: User, text: str, answers: tuple[str, ...] = (), lang: str = "en") -> Message:
    """Return the prompt of a finished conversation; the first answer is the best one."""
    prompt = new_prompt(author, text, lang=lang)
    Message.objects.filter(pk=prompt.pk).update(review_result=True)
    MessageTree.objects.filter(pk=prompt.pk).update(state=State.READY_FOR_EXPORT)
    Opening.objects.filter(tree=prompt.pk).delete()
    for rank, answer in enumerate(answers):
        accepted_reply(prompt, answer, rank)
    prompt.refresh_from_db()
    return prompt


@transaction.atomic
def accepted_reply(parent: Message, text: str, rank: int = 0) -> Message:
    """Return an accepted reply, also in a finished conversation."""
    pk = uuid7()
    author = new_person("Answerer")
    reply = Message.objects.create(
        id=pk,
        tree_id=parent.tree_id,
        parent=parent,
        role=Role.PROMPTER if parent.role == Role.ASSISTANT else Role.ASSISTANT,
        depth=parent.depth + 1,
        position=rank,
        text=text,
        text_digest=sha256(text.encode()).digest(),
        lang=parent.lang,
        revision_id=pk,
        author=author,
        frontend_message_id=str(pk),
        consent=author.terms_version,
        review_result=True,
        rank=rank,
    )
    Revision.objects.create(id=pk, message=reply, text=text, author=author)
    return reply
