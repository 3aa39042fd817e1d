"""The points of the curves of a training: as many as a picture can show, evenly over its steps."""

from collections.abc import Iterable, Mapping
from uuid import UUID

from inference.models import TrainingPoint

MOST_POINTS = 2_000
"""Of one training. When it has more, every second one goes."""
_RARE = "eval_loss"
"""Points with it stay: they are few, and a curve of their own."""


def store(run_id: UUID, figures: Mapping[int, Mapping[str, float]]) -> None:
    """Store figures by step, in place of those that an earlier process wrote for the same steps."""
    if not figures:
        return
    rows = [TrainingPoint(run_id=run_id, step=step, figures=dict(found)) for step, found in sorted(figures.items())]
    TrainingPoint.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["run", "step"], update_fields=["figures"]
    )
    _thin(run_id)


def _thin(run_id: UUID) -> None:
    points = TrainingPoint.objects.filter(run_id=run_id)
    if points.count() <= MOST_POINTS:
        return
    steps = list(points.order_by("step").values_list("step", flat=True))
    rare = set(points.filter(figures__has_key=_RARE).values_list("step", flat=True))
    kept = rare | set(spread(steps, MOST_POINTS // 2))
    points.filter(step__in=[step for step in steps if step not in kept]).delete()


def spread(steps: list[int], number: int) -> Iterable[int]:
    """Return about so many of the ascending steps, as even as they allow, the first and the last one among them.

    Of evenly spaced ones that is every second, third and so on; of those that were thinned before it is the same
    distance over all of them, not again half of what is left of the oldest.
    """
    if len(steps) <= number:
        return steps
    distance = (steps[-1] - steps[0]) / number
    kept = steps[:1]
    for step in steps[1:]:
        if step - kept[-1] >= distance:
            kept.append(step)
    return [*kept, steps[-1]] if kept[-1] != steps[-1] else kept
