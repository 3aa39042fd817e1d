"""A request as OpenAI's chat completions have it.

What would make another thing of the answer and cannot be done here is refused, and so is a wrong value of what is
known. Clients send much more, made for other servers: that is left out, and its names are told, so that nobody has to
guess whether a setting was obeyed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.policy import ChatPolicy
from oasst.core.errors import Invalid
from oasst.core.text.validation import is_blank

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
    # By which other servers are asked for text of a certain form; whoever asks reads it with a parser.
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
    "structured_outputs": (),
    "json_schema": (),
    "grammar": ("",),
    "regex": (),
    "ebnf": (),
    # More in the answer than the answer.
    "echo": (False,),
    "prompt_logprobs": (),
}
"""What can not be done here, and the values that ask for nothing; null does so for each."""
_READ = ("messages", "model", "max_tokens", "max_completion_tokens", "stream", "stream_options")
_OF_A_MESSAGE = ("role", "content", "refusal", "tool_calls")


@dataclass(frozen=True)
class Asked:
    messages: list[dict[str, str]]
    model: str
    chosen: dict[str, Any]
    """As `inference.engine.sampling` takes it; checked there."""
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...]
    """What was sent and is not known here, by name: `min_p`, `stream_options.x`, `messages.name`."""


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
    include_usage = _flag(options, "include_usage")
    messages = _messages(given.get("messages"), policy)
    return Asked(messages, model, chosen, stream, include_usage, tuple(_unknown(given)))


def _unknown(given: dict[str, Any]) -> dict[str, None]:
    """The names of what nobody here reads, each once, in the order in which they came."""
    known = {*_ABSENT, *SETTINGS, *_READ, *IGNORED}
    found = dict.fromkeys(name for name in given if name not in known)
    for name, value in given.get("stream_options", {}).items():
        if name != "include_usage" and value is not None:
            found[f"stream_options.{name}"] = None
    for message in given["messages"]:
        for name, value in message.items():
            if name not in _OF_A_MESSAGE and value not in (None, []):
                found[f"messages.{name}"] = None
    return found


def _refuse_what_can_not_be_done(given: dict[str, Any]) -> None:
    for name, value in given.items():
        # 1 == True in Python, but not for whoever asks.
        if name in _ABSENT and not any(
            value == neutral and isinstance(value, bool) == isinstance(neutral, bool) for neutral in _ABSENT[name]
        ):
            raise Invalid(f"{name} cannot be done here. Leave it out.", code="unsupported_value", field=name)


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
