"""Schemas of the requests and responses of `/v1`."""

from typing import Any

from rest_framework import serializers

from inference.api.openai_input import ROLES, ParsedRequest, parse_request
from inference.engine.sampling import RANGES
from inference.policy import current_policy
from oasst.api.fields import (
    AnyOfField,
    BooleanField,
    BoundedList,
    ChoiceField,
    ConstantField,
    FloatField,
    IntegerField,
    NullField,
    Schema,
    TextField,
)

_OPTIONAL: dict[str, Any] = {"required": False, "allow_null": True}


def _setting(name: str, kind: Any = FloatField, **more: Any) -> Any:
    low, high = RANGES[name]
    return kind(min_value=low, max_value=high, **_OPTIONAL, **more)


# --- Requests ---


class TextPart(Schema):
    type = ConstantField("text")
    text = TextField()


class AskedMessage(Schema):
    role = ChoiceField(ROLES)
    content = AnyOfField(TextField(), [TextPart])


class StreamOptions(Schema):
    include_usage = BooleanField(**_OPTIONAL)


class CompletionRequest(Schema):
    """The last message is a text of the user. Unsupported parameters are refused if they would change the answer."""

    messages = BoundedList(child=AskedMessage(), allow_empty=False)
    model = TextField(**_OPTIONAL)
    stream = BooleanField(**_OPTIONAL)
    stream_options = StreamOptions(**_OPTIONAL, help_text="Only for a stream.")
    max_completion_tokens = _setting("max_tokens", IntegerField)
    max_tokens = _setting("max_tokens", IntegerField)
    temperature = _setting("temperature")
    top_p = _setting("top_p")
    stop = AnyOfField(TextField(), [TextField], **_OPTIONAL)
    seed = _setting("seed", IntegerField)
    logit_bias = serializers.DictField(child=FloatField(), **_OPTIONAL)
    top_k = _setting("top_k", IntegerField, help_text="Not in OpenAI.")
    typical_p = _setting("typical_p", help_text="Not in OpenAI.")
    repetition_penalty = _setting("repetition_penalty", help_text="Not in OpenAI.")

    def run_validation(self, data: Any = serializers.empty) -> ParsedRequest:
        """Validate with `openai_input`, which has OpenAI's error messages. Raise Invalid."""
        return parse_request(data, current_policy())


# --- Responses ---


class FinishReason(ChoiceField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(("stop", "length"), called="FinishReason", **kwargs)


class Usage(Schema):
    prompt_tokens = IntegerField()
    completion_tokens = IntegerField()
    total_tokens = IntegerField()
    dropped_messages = IntegerField(
        help_text="How many of the oldest messages did not fit into the context. Not in OpenAI."
    )


class Answered(Schema):
    id = TextField()
    created = IntegerField(help_text="Seconds since 1970.")
    model = TextField()
    system_fingerprint = NullField()


class AnsweredMessage(Schema):
    role = ConstantField("assistant")
    content = TextField()
    refusal = NullField()


class CompletionChoice(Schema):
    index = IntegerField()
    message = AnsweredMessage()
    logprobs = NullField()
    finish_reason = FinishReason()


class Completion(Answered):
    object = ConstantField("chat.completion")
    choices = CompletionChoice(many=True)
    usage = Usage()


class Delta(Schema):
    """What is new: the role first, then the text piece by piece, at the end nothing."""

    role = ConstantField("assistant", required=False)
    content = TextField(required=False)


class ChunkChoice(Schema):
    index = IntegerField()
    delta = Delta()
    logprobs = NullField()
    finish_reason = FinishReason(allow_null=True)


class CompletionChunk(Answered):
    """`choices` is empty in the chunk with the `usage`, which comes if it was requested."""

    object = ConstantField("chat.completion.chunk")
    choices = ChunkChoice(many=True)
    usage = Usage(required=False, allow_null=True)


class Trouble(Schema):
    message = TextField()
    type = ChoiceField(
        ("authentication_error", "invalid_request_error", "permission_error", "rate_limit_error", "server_error")
    )
    param = TextField(allow_null=True, help_text="Of the request: the member that is wrong.")
    code = TextField()


class Error(Schema):
    """A refusal or an error. Decide by `error.code`; `error.message` is for people."""

    error = Trouble()


class StreamedPiece(Schema):
    """A piece of the answer, or the error that ended it. After the last one comes `[DONE]`."""

    one_of = (CompletionChunk, Error)
    tag = ""


class Model(Schema):
    id = TextField()
    object = ConstantField("model")
    created = IntegerField()
    owned_by = TextField()


class Models(Schema):
    object = ConstantField("list")
    data = Model(many=True)  # type: ignore[assignment]
