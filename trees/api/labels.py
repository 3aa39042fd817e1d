"""The labels, and which of them fit a message or a report."""

from collections.abc import Iterable
from typing import Any

from oasst.api.error_codes import ErrorCode
from oasst.api.fields import ChoiceField, NullableTextField, Schema, TextField, UUIDField
from oasst.api.operations import Access, Call, Operation, operation
from trees.access import message_not_found
from trees.contributing.reviews import requested_labels
from trees.labels import LABELS, Label
from trees.models import Message, Review
from trees.policies.reading import current_policy

OPERATIONS: list[Operation] = []
# Without a message the operation lists every label but this one: it is about an answer to a task.
_ONLY_FOR_ANSWERS = "fails_task"
_REPORT = (
    *("spam", "not_appropriate", "pii", "hate_speech", "sexual_content", "moral_judgement", "political_content"),
    *("toxicity", "violence", "quality"),
)


class LabelName(ChoiceField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(LABELS, called="Label", **kwargs)


class LabelDescription(Schema):
    name = LabelName()
    widget = ChoiceField(("yes_no", "flag", "likert"))
    display_text = TextField(source="question")
    help_text = NullableTextField(source="help")  # type: ignore[assignment]


class ValidLabels(Schema):
    valid_labels = LabelDescription(many=True)


class ValidLabelsQuery(Schema):
    message_id = UUIDField(default=None)


def described(names: Iterable[str]) -> list[Label]:
    return [LABELS[name] for name in names]


@operation(
    OPERATIONS,
    "GET",
    "text_labels/valid_labels",
    Access.KEY,
    query=ValidLabelsQuery,
    answer=ValidLabels,
    errors=(ErrorCode.MESSAGE_NOT_FOUND,),
)
def valid_labels(call: Call) -> Any:
    """The labels that fit a message; without one, all."""
    message_id = call.query["message_id"]
    if message_id is None:
        return {"valid_labels": described(name for name in LABELS if name != _ONLY_FOR_ANSWERS)}
    message = Message.objects.only("parent", "role", "lang").filter(pk=message_id).first()
    if message is None:
        raise message_not_found()
    return {"valid_labels": described(requested_labels(message, Review.Mode.FULL, current_policy()))}


@operation(OPERATIONS, "GET", "text_labels/report_labels", Access.OPEN, answer=ValidLabels)
def report_labels(call: Call) -> Any:
    """The labels that fit a report."""
    return {"valid_labels": described(_REPORT)}
