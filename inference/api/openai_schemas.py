"""What `/v1` takes and gives."""

from typing import Any

from rest_framework import serializers

from inference.api.openai_input import ROLES, Asked, read
from inference.engine.sampling import RANGES
from inference.policy import current_policy
from oasst.api.fields import Choice, Constant, Either, Few, Flag, Nothing, Number, Shape, Text, Whole

_MAY_BE_LEFT_OUT: dict[str, Any] = {"required": False, "allow_null": True}


def _setting(name: str, kind: Any = Number, **more: Any) -> Any:
    low, high = RANGES[name]
    return kind(min_value=low, max_value=high, **_MAY_BE_LEFT_OUT, **more)


# --- Asked ---


class TextPart(Shape):
    type = Constant("text")
    text = Text()


class AskedMessage(Shape):
    role = Choice(ROLES)
    content = Either(Text(), [TextPart])


class StreamOptions(Shape):
    include_usage = Flag(**_MAY_BE_LEFT_OUT)


class CompletionRequest(Shape):
    """The last message is a text of the user. What OpenAI has besides and cannot be done here is refused with its name
    in `param`, unless its value asks for nothing.
    """

    messages = Few(child=AskedMessage(), allow_empty=False)
    model = Text(**_MAY_BE_LEFT_OUT)
    stream = Flag(**_MAY_BE_LEFT_OUT)
    stream_options = StreamOptions(**_MAY_BE_LEFT_OUT, help_text="Only for a stream.")
    max_completion_tokens = _setting("max_tokens", Whole)
    max_tokens = _setting("max_tokens", Whole)
    temperature = _setting("temperature")
    top_p = _setting("top_p")
    stop = Either(Text(), [Text], **_MAY_BE_LEFT_OUT)
    seed = _setting("seed", Whole)
    logit_bias = serializers.DictField(child=Number(), **_MAY_BE_LEFT_OUT)
    top_k = _setting("top_k", Whole, help_text="Not in OpenAI.")
    typical_p = _setting("typical_p", help_text="Not in OpenAI.")
    repetition_penalty = _setting("repetition_penalty", help_text="Not in OpenAI.")

    def run_validation(self, data: Any = serializers.empty) -> Asked:
        """By the rules of `openai_input`, which has OpenAI's words for what is wrong. Raises Invalid."""
        return read(data, current_policy())


# --- Answered ---


class FinishReason(Choice):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(("stop", "length"), called="FinishReason", **kwargs)


class Usage(Shape):
    prompt_tokens = Whole()
    completion_tokens = Whole()
    total_tokens = Whole()
    dropped_messages = Whole(help_text="So many of the oldest messages did not fit into the context. Not in OpenAI.")


class Answered(Shape):
    id = Text()
    created = Whole(help_text="Seconds since 1970.")
    model = Text()
    system_fingerprint = Nothing()


class AnsweredMessage(Shape):
    role = Constant("assistant")
    content = Text()
    refusal = Nothing()


class CompletionChoice(Shape):
    index = Whole()
    message = AnsweredMessage()
    logprobs = Nothing()
    finish_reason = FinishReason()


class Completion(Answered):
    object = Constant("chat.completion")
    choices = CompletionChoice(many=True)
    usage = Usage()


class Delta(Shape):
    """What is new: the role first, then the text piece by piece, at the end nothing."""

    role = Constant("assistant", required=False)
    content = Text(required=False)


class ChunkChoice(Shape):
    index = Whole()
    delta = Delta()
    logprobs = Nothing()
    finish_reason = FinishReason(allow_null=True)


class CompletionChunk(Answered):
    """`choices` is empty where the chunk tells the `usage`, which is there when it was asked for."""

    object = Constant("chat.completion.chunk")
    choices = ChunkChoice(many=True)
    usage = Usage(required=False, allow_null=True)


class Trouble(Shape):
    message = Text()
    type = Choice(
        ("authentication_error", "invalid_request_error", "permission_error", "rate_limit_error", "server_error")
    )
    param = Text(allow_null=True, help_text="Of the request: the member that is wrong.")
    code = Text()


class Error(Shape):
    """Why not. Decide by `error.code`; `error.message` is for people."""

    error = Trouble()


class StreamedPiece(Shape):
    """A piece of the answer, or why it ended too early. Behind the last one comes `[DONE]`."""

    one_of = (CompletionChunk, Error)
    tag = ""


class Model(Shape):
    id = Text()
    object = Constant("model")
    created = Whole()
    owned_by = Text()


class Models(Shape):
    object = Constant("list")
    data = Model(many=True)  # type: ignore[assignment]
