"""A request as OpenAI's chat completions have it, read strictly.

What would change the answer and can not be done here is refused, what changes nothing is ignored. Never half obeyed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.policy import ChatPolicy
from oasst.core.errors import Invalid
from oasst.core.text import is_blank

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
SETTINGS = ("temperature", "top_p", "stop", "seed", "logit_bias", "top_k", "typical_p", "repetition_penalty")
"""Of these the last three are ours; the `openai` library sends them as `extra_body`."""
IGNORED = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
)
"""They say nothing about the answer."""
_ABSENT: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "parallel_tool_calls": (True, False),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "audio": (),
    "prediction": (),
    "reasoning_effort": ("none",),
    "verbosity": (),
    "web_search_options": (),
}
"""What can not be done here, and the values that ask for nothing; null does so for each."""
_READ = ("messages", "model", "max_tokens", "max_completion_tokens", "stream", "stream_options")


@dataclass(frozen=True)
class Asked:
    messages: list[dict[str, str]]
    model: str
    chosen: dict[str, Any]
    """As `inference.engine.sampling` takes it; checked there."""
    stream: bool
    include_usage: bool


def read(body: Any, policy: ChatPolicy) -> Asked:
    """Raises Invalid with the member that is wrong as `field`."""
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.", code="not_an_object")
    given = {name: value for name, value in body.items() if value is not None}
    _refuse_what_can_not_be_done(given)
    chosen = {name: given[name] for name in SETTINGS if name in given}
    most = given.get("max_completion_tokens", given.get("max_tokens"))
    if most is not None:
        chosen["max_tokens"] = most
    stream = _flag(given, "stream")
    options = given.get("stream_options", {})
    if not isinstance(options, dict) or (options and not stream):
        raise Invalid("stream_options is an object, and only for a stream.", code="bad_value", field="stream_options")
    model = given.get("model", "")
    if not isinstance(model, str):
        raise Invalid("model must be the name of one.", code="bad_value", field="model")
    return Asked(_messages(given.get("messages"), policy), model, chosen, stream, _flag(options, "include_usage"))


def _refuse_what_can_not_be_done(given: dict[str, Any]) -> None:
    for name, value in given.items():
        if name in _ABSENT:
            # 1 == True in Python, but not for whoever asks.
            if not any(
                value == neutral and isinstance(value, bool) == isinstance(neutral, bool) for neutral in _ABSENT[name]
            ):
                raise Invalid(f"{name} can not be done here. Leave it out.", code="unsupported_value", field=name)
        elif name not in SETTINGS and name not in _READ and name not in IGNORED:
            raise Invalid(
                f"Unrecognized request argument supplied: {name[:60]}", code="unknown_parameter", field=name[:60]
            )


def _flag(given: dict[str, Any], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise Invalid(f"{name} must be true or false.", code="bad_value", field=name)
    return value


def _messages(given: Any, policy: ChatPolicy) -> list[dict[str, str]]:
    if not isinstance(given, list) or not given:
        raise Invalid("messages must be a list with at least one message.", code="bad_messages", field="messages")
    if len(given) > policy.messages_in_chat:
        raise Invalid(f"There may be at most {policy.messages_in_chat} messages.", code="too_many", field="messages")
    messages = [_message(one, f"messages[{number}]", policy) for number, one in enumerate(given)]
    if messages[-1]["role"] != "user" or is_blank(messages[-1]["content"]):
        raise Invalid(
            "The last message must be a text of the user: it is what gets answered.",
            code="bad_messages",
            field=f"messages[{len(messages) - 1}]",
        )
    return messages


def _message(given: Any, place: str, policy: ChatPolicy) -> dict[str, str]:
    role = given.get("role") if isinstance(given, dict) else None
    if not isinstance(role, str) or role not in ROLES or given.get("tool_calls"):
        raise Invalid(
            f"{place} must be an object with a role of {', '.join(ROLES)} and a text.", code="bad_messages", field=place
        )
    text = _text(given.get("content"), f"{place}.content")
    if len(text) > policy.message_length:
        raise Invalid(
            f"{place}.content has {len(text)} characters; {policy.message_length} are the most, so "
            f"{len(text) - policy.message_length} are too many.",
            code="too_long",
            field=f"{place}.content",
        )
    return {"role": ROLES[role], "content": text}


def _text(given: Any, place: str) -> str:
    """A text, or a list of parts that are texts."""
    parts = given if isinstance(given, list) else [{"type": "text", "text": given}]
    texts = [one.get("text") if isinstance(one, dict) and one.get("type") == "text" else None for one in parts]
    if not texts or not all(isinstance(one, str) for one in texts):
        raise Invalid(f"{place} must be text; nothing else can be read here.", code="not_text", field=place)
    text = "".join(one for one in texts if one)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(f"{place} holds half of a character.", code="not_text", field=place) from None
    if "\0" in text:
        raise Invalid(f"{place} holds the character NUL.", code="not_text", field=place)
    return text
