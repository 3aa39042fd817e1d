"""The models that the site knows: where their files are, and how trained and fetched ones come into the registry."""

import re
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from inference import acts
from inference.engine import fetching, weights
from inference.engine.base import EngineError
from inference.folders import folder_of
from inference.models import ServedModel, TrainingRun
from oasst.core.audit.recording import record
from oasst.core.errors import Conflict, NotFound
from oasst.core.locks import advisory_lock

_NOT_IN_NAMES = re.compile(r"[^a-z0-9.]+")
_NO_CHAT = ("reward",)
"""Methods whose models give scores, and write nothing."""


def is_here(name: str) -> bool:
    """Return whether the files of this model are on this machine."""
    try:
        return fetching.is_fetched(folder_of(name))
    except EngineError:
        return False


def register_trained(run: TrainingRun, name: str | None = None) -> ServedModel:
    """Add the model of a finished training to the registry, and return its row. Nobody is offered it yet.

    A second call returns the same row. Without a name it is called after its base, snapshot and method. Raise Conflict:
    `run_not_done`, `no_chat_model`, `model_missing` without its files, or `name_taken`.
    """
    with transaction.atomic():
        advisory_lock("models")  # so that two names at once are not the same one
        if (there := ServedModel.objects.filter(run=run).first()) is not None:
            return there
        _require_chat_model(run)
        base = _base_of(run)
        row = ServedModel(
            name=_free_name(run) if name is None else _require_free(name),
            origin=ServedModel.Origin.TRAINED,
            folder=run.folder,
            digest=run.model_digest,
            license=base.license,
            parent=base,
            run=run,
        )
        return _stored(row, actor=run.asked_by)


def register_done(run: TrainingRun) -> ServedModel | None:
    """Do the same for a training of any method and state; return None if there is no model that could chat."""
    if run.state != TrainingRun.State.DONE or run.method in _NO_CHAT:
        return None
    return register_trained(run)


def register_fetched(name: str, *, license: str = "", digest: str = "", by: Any = None) -> ServedModel:
    """Add a model whose files are on this machine to the registry, and return its row. Nobody is offered it yet.

    A second call only fills in what was not known. Raise NotFound `model_missing` without the files.
    """
    if not is_here(name):
        raise NotFound(
            _("The files of %(name)s are not on this machine. `./manage.py fetch_model %(name)s` fetches them.")
            % {"name": name},
            code="model_missing",
        )
    with transaction.atomic():
        advisory_lock("models")
        row = ServedModel.objects.filter(name=name).first()
        known = {"license": license or _known_license(name), "digest": digest}
        if row is None:
            return _stored(ServedModel(name=name, origin=ServedModel.Origin.FETCHED, **known), actor=by)
        new = {column: value for column, value in known.items() if value and not getattr(row, column)}
        for column, value in new.items():
            setattr(row, column, value)
        if new:
            row.save(update_fields=list(new))
        return row


def digest_of(name: str) -> str:
    """Return the SHA-256 of the weights of a model on this machine. Reads all of it."""
    return weights.digest(folder_of(name))


def _stored(row: ServedModel, *, actor: Any) -> ServedModel:
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError as error:  # without the lock, as `offer.note_offer` stores it
        raise _taken(row.name) from error
    facts = {"origin": row.origin, "parent": row.parent_id, "license": row.license}
    record(acts.REGISTER_MODEL, row, actor=actor, after=facts)
    return row


def _require_chat_model(run: TrainingRun) -> None:
    if run.state != TrainingRun.State.DONE:
        raise Conflict(
            _("This training has not ended well, so there is no model of it yet. Wait for its end."),
            code="run_not_done",
        )
    if run.method in _NO_CHAT:
        raise Conflict(
            _("A reward model gives scores and cannot chat. It is used for judging the answers of others."),
            code="no_chat_model",
        )
    if not fetching.is_fetched(settings.OASST_HOME / run.folder):
        raise Conflict(
            _("The files of the model that this training made are gone. Train it again."), code="model_missing"
        )


def _base_of(run: TrainingRun) -> ServedModel:
    """Return the row of the model that the training began with, new if the site did not know it."""
    origin = ServedModel.Origin.SETTINGS if run.base == settings.OASST_CHAT_MODEL else ServedModel.Origin.FETCHED
    known = {"origin": origin, "license": _known_license(run.base), "digest": run.base_digest}
    return ServedModel.objects.get_or_create(name=run.base, defaults=known)[0]


def _free_name(run: TrainingRun) -> str:
    parts = (_first_name(run), run.snapshot, run.method)
    name = "-".join(_NOT_IN_NAMES.sub("-", part.lower()).strip("-.") for part in parts)[:190]
    taken = set(ServedModel.objects.filter(name__startswith=name).values_list("name", flat=True))
    return next(one for one in (name, *(f"{name}-{n}" for n in range(2, len(taken) + 3))) if one not in taken)


def _first_name(run: TrainingRun) -> str:
    """Return what the model is called after: what it began with before the first training on the same snapshot."""
    base = ServedModel.objects.select_related("run").filter(name=run.base).first()
    while base is not None and base.run is not None and base.run.snapshot == run.snapshot and base.parent is not None:
        base = ServedModel.objects.select_related("run", "parent").get(pk=base.parent_id)
    return (base.name if base is not None else run.base).rpartition("/")[2]


def _require_free(name: str) -> str:
    if not re.fullmatch(r"[\w-][\w.-]{0,198}", name) or ".." in name:
        raise Conflict(_("Letters, digits, dots and hyphens make the name of a model."), code="bad_name", field="name")
    if ServedModel.objects.filter(name=name).exists():
        raise _taken(name)
    return name


def _taken(name: str) -> Conflict:
    return Conflict(_("Another model is called %(name)s.") % {"name": name}, code="name_taken", field="name")


def _known_license(name: str) -> str:
    known = fetching.MODELS.get(name)
    return known.license if known is not None else ""
