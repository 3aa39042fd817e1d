"""The site's toxicity classifier for trusted clients."""

from typing import Any

from rest_framework import serializers

from inference.scoring import toxicity
from oasst.api.error_codes import ErrorCode, register_codes
from oasst.api.fields import FloatField, Schema, TextField
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core.errors import DomainError

OPERATIONS: list[Operation] = []
register_codes({"classifier": ErrorCode.HUGGINGFACE_API_ERROR})


class ToxicityQuery(Schema):
    msg = TextField()


class ToxicityScore(Schema):
    label = TextField()  # type: ignore[assignment]
    score = FloatField()


_ANSWER = serializers.ListField(child=serializers.ListField(child=ToxicityScore()))


class ClassifierFailed(DomainError):
    default_code = "classifier"


@operation(
    OPERATIONS,
    "GET",
    "hf/text_toxicity",
    Access.TRUSTED,
    query=ToxicityQuery,
    answer=_ANSWER,
    errors=(ErrorCode.HUGGINGFACE_API_ERROR,),
)
def text_toxicity(call: Call) -> Any:
    """How toxic a text is, by label."""
    ladder = toxicity.ladder(attempts=1)  # the client waits
    if not ladder.is_configured():
        raise ClassifierFailed("This site has no toxicity classifier.")
    (outcome,) = ladder.score([toxicity.Question(call.query["msg"], lang="en")])
    if not isinstance(outcome, toxicity.Scores):
        raise ClassifierFailed("The toxicity classifier has no scores for this text now.") from outcome
    return [[{"label": label, "score": score} for label, score in outcome.raw]]
