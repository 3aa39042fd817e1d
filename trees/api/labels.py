"""Which labels there are, and which of them fit a message or a report."""

from collections.abc import Iterable
from typing import Any

from oasst.api.codes import Wire
from oasst.api.fields import Choice, Id, Shape, Text, TextOrNull
from oasst.api.operations import Access, Call, Operation, operation
from trees.access import no_message
from trees.contributing.reviews import labels_asked
from trees.labels import LABELS, Label
from trees.lifecycle.policy import current_policy
from trees.models import Message, Review

OPERATIONS: list[Operation] = []
# Without a message every label but this one fits: it is about an answer to a task.
_ONLY_FOR_ANSWERS = "fails_task"
_REPORT = (
    *("spam", "not_appropriate", "pii", "hate_speech", "sexual_content", "moral_judgement", "political_content"),
    *("toxicity", "violence", "quality"),
)


class LabelName(Choice):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(LABELS, called="Label", **kwargs)


class LabelDescription(Shape):
    name = LabelName()
    widget = Choice(("yes_no", "flag", "likert"))
    display_text = Text(source="question")
    help_text = TextOrNull(source="help")  # type: ignore[assignment]


class ValidLabels(Shape):
    valid_labels = LabelDescription(many=True)


class ValidLabelsQuery(Shape):
    message_id = Id(default=None)


def described(names: Iterable[str]) -> list[Label]:
    return [LABELS[name] for name in names]


@operation(
    OPERATIONS,
    "GET",
    "text_labels/valid_labels",
    Access.KEY,
    query=ValidLabelsQuery,
    answer=ValidLabels,
    errors=(Wire.MESSAGE_NOT_FOUND,),
)
def valid_labels(call: Call) -> Any:
    """The labels that fit a message; without one, all."""
    message_id = call.query["message_id"]
    if message_id is None:
        return {"valid_labels": described(name for name in LABELS if name != _ONLY_FOR_ANSWERS)}
    message = Message.objects.only("parent", "role").filter(pk=message_id).first()
    if message is None:
        raise no_message()
    return {"valid_labels": described(labels_asked(message, Review.Mode.FULL, current_policy()))}


@operation(OPERATIONS, "GET", "text_labels/report_labels", Access.OPEN, answer=ValidLabels)
def report_labels(call: Call) -> Any:
    """The labels that fit a report."""
    return {"valid_labels": described(_REPORT)}
