"""Decide at the desk: the services do it; the desk stores that it was decided and by whom.

A decision about a message may also concern its author: they are warned or suspended with it.
"""

from collections.abc import Collection

from django.db import transaction
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext

from oasst.accounts.access import require_moderator
from oasst.accounts.models import User
from oasst.accounts.roles import require_higher_rank
from oasst.core.audit.recording import collected_entries
from oasst.core.errors import Conflict, DomainError, Invalid
from oasst.core.locks import timeouts_as_busy
from oasst.core.models import AuditEntry
from oasst.core.text.validation import clean_reason
from oasst.site.desk import claims, effects, reasons
from oasst.site.desk.effects import MESSAGE, Order
from oasst.site.desk.subjects import Subject
from oasst.site.desk.table import ABOUT_AUTHOR, PASS_ON, TABLE, DeskAct, find_act
from oasst.site.models import DeskDecision


def decide(
    *,
    moderator: User,
    session: str,
    subject: Subject,
    act: str,
    reason: str,
    seen: int | None = None,
    also: str = "",
    **fields: str,
) -> DeskDecision:
    """Decide about an item that this moderator holds: run the services, store the decision, give the item back.

    `session` is `session_digest`. `seen` is the latest decision about the subject that the moderator knew of, as
    `latest_about` returned it. `also` is one of ALSO, for the author of a message. Raise NotAllowed, Invalid (`reason`,
    `unknown_act`, `other_reason`, and of the fields), Conflict (`held`, `decided`, `half_done`), and as the services.
    """
    require_moderator(moderator)
    chosen = find_act(subject.kind, act)
    reason = clean_reason(reason)
    if not chosen.any_reason:
        # Somebody who is also warned or shut out has to hear why, also if the text itself stays.
        reasons.refuse_contradiction(subject.kind, reason, removes=not chosen.stays or bool(also))
    order = Order(moderator, subject, reason, fields)
    companion = _companion(order, also)
    if chosen.person or companion:
        require_higher_rank(moderator, order.person())
    was_given = claims.was_given(moderator, subject)
    begun = _begin(order, session, f"{act}+{also}" if also else act, seen)
    with collected_entries() as entries:
        try:
            with timeouts_as_busy():
                chosen.run(order)
        except DomainError:
            if not entries:  # else something of it is done, and can be undone
                begun.delete()
                if not was_given:  # a form can name any item; who was not given it must not keep it from others
                    claims.give_back(moderator, subject)
                raise
            _finish(begun, entries, order)
            raise
        refusal = _run_refusable(companion, order)
    _finish(begun, entries, order)
    if refusal is not None:
        message = gettext("%(done)s But not about the author: %(refusal)s")
        raise Conflict(message % {"done": chosen.done, "refusal": refusal.message}, code="half_done")
    return begun


def _companion(order: Order, also: str) -> DeskAct | None:
    if not also:
        return None
    if order.subject.kind != MESSAGE or also not in ABOUT_AUTHOR:
        raise Invalid(gettext("Please choose what to do."), code="unknown_act", field="also")
    if also == "suspend":
        order.until()  # a refusal has to come before anything is done
    return ABOUT_AUTHOR[also]


def _run_refusable(act: DeskAct | None, order: Order) -> DomainError | None:
    if act is not None:
        try:
            act.run(order)
        except DomainError as error:
            return error
    return None


def _begin(order: Order, session: str, act: str, seen: int | None) -> DeskDecision:
    """Store the decision, not in force yet, so that a second one about the same item is refused. One transaction.

    The acts have transactions of their own; if the process dies between, the decision stays without force and the
    item waits again.
    """
    with transaction.atomic():
        if not claims.hold(order.moderator, order.subject):
            raise Conflict(gettext("Somebody else has this item now."), code="held")
        if seen is not None and latest_about(order.subject) > seen:
            raise Conflict(gettext("Somebody decided this meanwhile."), code="decided")
        now = timezone.now()
        return DeskDecision.objects.create(
            **order.about,
            moderator=order.moderator,
            session=session,
            act=act,
            reason=order.reason,
            at=now,
            undone_at=now,
        )


@transaction.atomic
def _finish(begun: DeskDecision, entries: Collection[AuditEntry], order: Order) -> None:
    ids = [entry.pk for entry in entries]
    if (
        begun.act != PASS_ON.name
        and order.moderator.is_superuser
        and (answer := effects.answer_passed_on(order)) is not None
    ):
        ids.append(answer.pk)
    begun.entries, begun.undone_at, begun.at = ids, None, timezone.now()
    begun.save(update_fields=["entries", "undone_at", "at"])
    claims.give_back(order.moderator, order.subject)


def latest_about(subject: Subject) -> int:
    """Return the id of the latest decision about this subject, also one that was undone; 0 if there is none."""
    rows = DeskDecision.objects.filter(subject_kind=subject.kind, subject_id=subject.id)
    return rows.order_by("-pk").values_list("pk", flat=True).first() or 0


def session_digest(session_key: str | None) -> str:
    """Return what decisions keep of a session: it cannot be used to sign in."""
    return salted_hmac("oasst.site.desk.session", session_key or "", algorithm="sha256").hexdigest()


def in_words(decision: DeskDecision) -> str:
    """Return what was decided, as sentences."""
    name, _plus, also = decision.act.partition("+")
    acts = [act for act in TABLE.get(decision.subject_kind, ()) if act.name == name]
    acts += [ABOUT_AUTHOR[also]] if also in ABOUT_AUTHOR else []
    return " ".join(str(act.done) for act in acts) or gettext("Decided.")  # by an act of a former release
