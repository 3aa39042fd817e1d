"""The messages that administrators choose for practice, each with an explanation that people read after their answer.

They are public, so they are never gold messages (`trees.contributing.gold`), which have to stay secret, and a gold
message cannot become one.
"""

from contextlib import AbstractContextManager
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from oasst.accounts.access import require_administrator
from oasst.accounts.models import User
from oasst.core.audit.acts import Act
from oasst.core.audit.rows import Watched, recorded_rows
from oasst.core.errors import Conflict
from oasst.core.text.validation import clean_reason
from trees import acts
from trees.access import message_not_found
from trees.contributing.outcomes import read_labels
from trees.contributing.practice import find_published, known_outcomes, published_conversation
from trees.contributing.practice_rankings import of_message, ranking_work
from trees.lifecycle import demand
from trees.lifecycle.policy import TreePolicy
from trees.models import GoldMessage, Message, PracticeText

Exercise = PracticeText.Exercise


def choose_text(*, message_id: UUID, exercise: Exercise, actor: User, reason: str, policy: TreePolicy) -> PracticeText:
    """Use a message for practice: to review it, or to order the replies to it. `reason` is the explanation.

    A repeat changes the explanation. Raise NotAllowed, Invalid (no explanation), NotFound, Conflict (`is_gold`,
    `not_published`, `no_ranking`).
    """
    require_administrator(actor)
    explanation = clean_reason(reason)
    with transaction.atomic(durable=True):
        message = _lock(message_id)
        _require_fit(message, exercise)
        is_ranking = exercise == Exercise.RANKING
        texts = PracticeText.objects.filter(message=message, exercise=exercise)
        with _recorded(acts.CHOOSE_PRACTICE, message, texts, actor, explanation):
            row, _is_new = texts.update_or_create(
                message=message,
                exercise=exercise,
                defaults={
                    "revision_id": message.revision_id,
                    "lang": message.lang,
                    "work": (ranking_work(message) if is_ranking else demand.review_work(message)).value,
                    "explanation": explanation,
                    "active": True,
                    "actor": actor,
                    "changed_at": timezone.now(),
                },
            )
    return row


def _recorded(
    act: Act, message: Message, texts: QuerySet[PracticeText], actor: User, reason: str
) -> AbstractContextManager[object]:
    watched = {"practice_text": Watched(texts, ("revision_id", "lang", "work", "explanation", "active"))}
    return recorded_rows(act, message, watched, always=True, actor=actor, person_id=message.author_id, reason=reason)


def may_be_chosen(message: Message) -> bool:
    """Return True if `choose_text` may accept it: the rest depends on its tree and its reviews."""
    return message.review_result is True and not (message.is_withheld or message.withdrawn or message.synthetic)


def explain(*, text_id: int, actor: User, reason: str, policy: TreePolicy) -> None:
    """Replace the explanation. Raise NotAllowed, Invalid (no explanation), Conflict (`ended`)."""
    require_administrator(actor)
    explanation = clean_reason(reason)
    _change(acts.EXPLAIN_PRACTICE, text_id, actor, explanation, explanation=explanation)


def end(*, text_id: int, actor: User, reason: str, policy: TreePolicy) -> None:
    """Use it no longer. Raise NotAllowed, Invalid (no reason), Conflict (`ended`)."""
    require_administrator(actor)
    _change(acts.END_PRACTICE, text_id, actor, clean_reason(reason), active=False)


def _change(act: Act, text_id: int, actor: User, reason: str, **values: Any) -> None:
    with transaction.atomic(durable=True):
        locked = PracticeText.objects.select_for_update(of=("self",), no_key=True).select_related("message")
        row = locked.defer("message__search").filter(pk=text_id, active=True).first()
        if row is None:
            raise Conflict(_("This text is not for practice any more."), code="ended")
        rows = PracticeText.objects.filter(pk=text_id)
        with _recorded(act, row.message, rows, actor, reason):
            rows.update(**values, actor=actor, changed_at=timezone.now())


def _require_fit(message: Message, exercise: Exercise) -> None:
    if GoldMessage.objects.filter(message=message).exists():
        raise Conflict(_("It is or was a gold message, which nobody may see unasked."), code="is_gold")
    published = find_published(message.pk)
    if published is None or not published_conversation(published):
        raise Conflict(
            _("Only accepted messages of finished conversations that may be published are for practice."),
            code="not_published",
        )
    if exercise == Exercise.RANKING:
        if of_message(published, "") is None:
            raise Conflict(_("It needs two to six published replies with ranks."), code="no_ranking")
    elif not known_outcomes(published, read_labels([published])[published.pk], is_chosen=True):
        raise Conflict(_("Too few reviews are known of it, or some reviewer found it unfit."), code="not_published")


def _lock(message_id: UUID) -> Message:
    """Lock the message, as `gold.mark` does, so that it does not become both."""
    rows = Message.objects.select_for_update(of=("self",), no_key=True).defer("search", "text")
    message = rows.filter(pk=message_id).first()
    if message is None:
        raise message_not_found()
    return message
