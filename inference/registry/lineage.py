"""From which model and data a model was made, step by step."""

from dataclasses import dataclass

from inference.models import ServedModel, TrainingRun

_LONGEST = 20


@dataclass(frozen=True)
class Ancestor:
    model: ServedModel
    run: TrainingRun | None
    """The training that made it; None for one that was made elsewhere."""


def lineage_of(model: ServedModel) -> list[Ancestor]:
    """Return the model that all began with, and so on down to this one. A statement for each step."""
    found: list[Ancestor] = []
    current: ServedModel | None = ServedModel.objects.select_related("run").get(pk=model.pk)
    while current is not None and len(found) < _LONGEST:
        found.append(Ancestor(current, current.run))
        parent_id = current.parent_id
        current = ServedModel.objects.select_related("run").get(pk=parent_id) if parent_id else None
    return found[::-1]
