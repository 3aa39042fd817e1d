"""Offer a model to staff, to a share of the users, to everybody or to nobody, and take the last such change back.

Processes follow within seconds of the commit. Answers in progress and waiting questions end on the model they have.
"""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from inference import acts
from inference.models import Evaluation, ServedModel
from inference.registry import models, offer
from inference.turns import streams
from oasst.accounts.access import require_administrator
from oasst.accounts.models import User
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.core.locks import advisory_lock
from oasst.core.text.validation import clean_line, clean_optional

Stage = ServedModel.Stage
REASON_LENGTH = 500


def set_stage(
    name: str, stage: str, *, by: User | None, share: int | None = None, reason: str = "", force: bool = False
) -> ServedModel:
    """Offer a model at this stage, with `share` percent of the users at `share`. Return its row.

    Without `by` it is the operator, by a command. A model that was trained here needs an evaluation whose gate it
    passed, or `force` and a reason; so does any model that a gate refused last. The newest one for everybody becomes
    the default. The same stage again changes nothing.

    Raise NotAllowed `administrators_only`, NotFound `unknown_model`, Invalid (`stage`, `share`, `reason`), Conflict
    (`not_evaluated`, `gate_not_passed`, `model_missing`, `model_of_settings`).
    """
    if by is not None:
        require_administrator(by)
    if stage not in Stage.values:
        raise Invalid(_("Say nobody, staff, share or all."), code="stage", field="stage")
    if share is not None and not 1 <= share <= 100:
        raise Invalid(_("A share is 1 to 100 percent."), code="share", field="share")
    reason = clean_optional(reason, limit=REASON_LENGTH, field="reason", clean=clean_line)
    if force and not reason:
        raise Invalid(_("Say why this model is offered without an evaluation."), code="reason", field="reason")
    with transaction.atomic():
        advisory_lock("model stages")  # so that "the last change" is one
        row = _locked(name)
        wanted = row.share if share is None else share
        if row.stage == stage and (stage != Stage.SHARE or row.share == wanted):
            return row
        gate = _require_ready(row, stage, reason if force else "")
        return _changed(row, acts.STAGE_MODEL, by, reason, gate=gate, to=(stage, wanted, timezone.now()))


def roll_back(by: User | None, reason: str = "", *, name: str | None = None) -> ServedModel:
    """Take the last change of a stage back, and return the row of that model.

    Only the last one: a second call changes nothing. With `name`, only if it was of that model. Raise NotAllowed
    `administrators_only`, and Conflict `nothing_to_roll_back`.
    """
    if by is not None:
        require_administrator(by)
    reason = clean_optional(reason, limit=REASON_LENGTH, field="reason", clean=clean_line)
    with transaction.atomic():
        advisory_lock("model stages")
        row = last_change(lock=True)
        if row is None or (name is not None and row.name != name):
            raise Conflict(
                _("There is no change to take back: the last one was taken back already, or nothing was changed yet."),
                code="nothing_to_roll_back",
            )
        before = (row.previous_stage, row.previous_share or row.share, row.previous_staged_at)
        return _changed(row, acts.ROLL_BACK_MODEL, by, reason, to=before, may_go_back=False)


def last_change(*, lock: bool = False) -> ServedModel | None:
    """Return the model whose stage was changed last, or None if that can not be taken back. One statement."""
    rows = ServedModel.objects.filter(changed_at__isnull=False).order_by("-changed_at", "name")
    row = (rows.select_for_update(of=("self",), no_key=True) if lock else rows).first()
    return row if row is not None and row.previous_stage else None


def verdict_of(name: str) -> Evaluation | None:
    """Return the last evaluation of the model with a gate, or None."""
    return Evaluation.objects.filter(model_id=name, passed__isnull=False).order_by("-created_at", "-pk").first()


def _locked(name: str) -> ServedModel:
    row = ServedModel.objects.select_for_update(of=("self",), no_key=True).filter(name=name).first()
    if row is None and models.is_here(name):  # fetched while the database was not there
        models.register_fetched(name)
        row = ServedModel.objects.select_for_update(of=("self",), no_key=True).filter(name=name).first()
    if row is None:
        raise NotFound(
            _("There is no model called %(name)s. `./manage.py models` lists them.") % {"name": name[:100]},
            code="unknown_model",
            field="name",
        )
    return row


def _require_ready(row: ServedModel, stage: str, forced: str) -> str:
    """Return what the gate said: passed, none, or forced; an empty string where none is asked."""
    if row.name == settings.OASST_CHAT_MODEL and stage in (Stage.STAFF, Stage.SHARE):
        raise Conflict(
            _("This is the model of the settings, which everybody is offered. OASST_CHAT_MODEL names it."),
            code="model_of_settings",
        )
    if stage == Stage.NOBODY:
        return ""
    if settings.OASST_ENGINE != "remote" and not models.is_here(row.name):
        raise Conflict(
            _("The files of %(name)s are not on this machine, so it cannot answer.") % {"name": row.name},
            code="model_missing",
        )
    verdict = verdict_of(row.name)
    if verdict is None and row.origin != ServedModel.Origin.TRAINED:
        return ""
    if verdict is not None and verdict.passed:
        return "passed"
    if forced:
        return "forced"
    if verdict is None:
        raise Conflict(
            _(
                "No evaluation of %(name)s has passed a gate. Run `./manage.py evaluate`, or offer it all the same by "
                "`./manage.py models stage %(name)s %(stage)s --force --reason …`."
            )
            % {"name": row.name, "stage": stage},
            code="not_evaluated",
        )
    why = " ".join(map(str, verdict.reasons))[:300]
    raise Conflict(
        _("The last evaluation of %(name)s did not pass its gate: %(why)s") % {"name": row.name, "why": why},
        code="gate_not_passed",
    )


def _changed(
    row: ServedModel, act: Any, by: User | None, reason: str, *, to: Any, gate: str = "", may_go_back: bool = True
) -> ServedModel:
    before = {"stage": row.stage, "share": row.share}
    row.previous_stage, row.previous_share, row.previous_staged_at = (
        (row.stage, row.share, row.staged_at) if may_go_back else ("", None, None)
    )
    row.stage, row.share, row.staged_at = to
    row.changed_at = timezone.now()
    row.save(
        update_fields=[
            *("stage", "share", "staged_at", "changed_at"),
            *("previous_stage", "previous_share", "previous_staged_at"),
        ]
    )
    after = {"stage": row.stage, "share": row.share} | ({"gate": gate} if gate else {})
    record(act, row, actor=by, reason=reason, before=before, after=after)
    transaction.on_commit(_announce)
    return row


def _announce() -> None:
    offer.forget()
    streams.publish_command()
