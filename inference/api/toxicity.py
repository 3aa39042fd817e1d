"""A hosted toxicity classifier for trusted clients."""

from typing import Any

import requests
from django.conf import settings
from rest_framework import serializers

from oasst.api.error_codes import ErrorCode, register_codes
from oasst.api.fields import FloatField, Schema, TextField
from oasst.api.operations import Access, Call, Operation, operation
from oasst.core.errors import DomainError

OPERATIONS: list[Operation] = []
TIMEOUT = 20  # seconds
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
    if not settings.TOXICITY_URL:
        raise ClassifierFailed("This site has no toxicity classifier.")
    try:
        answer = requests.post(
            settings.TOXICITY_URL,
            json={"inputs": call.query["msg"]},
            headers={"Authorization": f"Bearer {settings.HUGGING_FACE_API_KEY}"},
            timeout=TIMEOUT,
        )
        answer.raise_for_status()
        return _ANSWER.run_validation(answer.json())
    except (requests.RequestException, ValueError) as error:
        raise ClassifierFailed("The toxicity classifier does not answer.") from error
    except serializers.ValidationError as error:
        raise ClassifierFailed("The toxicity classifier answers in another form than it should.") from error
