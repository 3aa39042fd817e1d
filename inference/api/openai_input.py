"""Read the body of OpenAI's chat completions.

Wrong values are refused, and so are parameters that would change the answer and are not supported. Clients also send
parameters for other servers: these are ignored, and the response names them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference.policy import ChatPolicy
from oasst.core.errors import Invalid
from oasst.core.text.validation import is_blank

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
SETTINGS = ("temperature", "top_p", "stop", "seed", "logit_bias", "top_k", "typical_p", "repetition_penalty")
"""The last three are not in OpenAI's API; its library sends them as `extra_body`."""
IGNORED = frozenset(
    {"user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_retention"}
)
"""Known parameters without influence on the answer."""
_UNSUPPORTED: Mapping[str, tuple[Any, ...]] = {
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
    # Other servers' parameters for structured output, which clients parse.
    "guided_json": (),
    "guided_regex": (),
    "guided_choice": (),
    "guided_grammar": (),
    "structured_outputs": (),
    "json_schema": (),
    "grammar": ("",),
    "regex": (),
    "ebnf": (),
    # Additions to the answer.
    "echo": (False,),
    "prompt_logprobs": (),
}
"""Unsupported parameters with the values that change nothing. Null always changes nothing."""
_READ = ("messages", "model", "max_tokens", "max_completion_tokens", "stream", "stream_options")
_MESSAGE_MEMBERS = ("role", "content", "refusal", "tool_calls")


@dataclass(frozen=True)
class ParsedRequest:
    messages: list[dict[str, str]]
    model: str
    chosen: dict[str, Any]
    """Settings for `inference.engine.sampling`, which checks them."""
    stream: bool
    include_usage: bool
    ignored: tuple[str, ...]
    """Names of unknown parameters: `min_p`, `stream_options.x`, `messages.name`."""


def parse_request(body: Any, policy: ChatPolicy) -> ParsedRequest:
    """Read and check the body. Raise Invalid with the wrong member as `field`."""
    if not isinstance(body, dict):
        raise Invalid("The body must be a JSON object.", code="not_an_object")
    parameters = {name: value for name, value in body.items() if value is not None}
    _refuse_unsupported(parameters)
    chosen = {name: parameters[name] for name in SETTINGS if name in parameters}
    max_tokens = parameters.get("max_completion_tokens", parameters.get("max_tokens"))
    if max_tokens is not None:
        chosen["max_tokens"] = max_tokens
    stream = _flag(parameters, "stream")
    options = parameters.get("stream_options", {})
    if not isinstance(options, dict) or (options and not stream):
        raise Invalid("stream_options is an object, and only for a stream.", code="bad_value", field="stream_options")
    model = parameters.get("model", "")
    if not isinstance(model, str):
        raise Invalid("model must be the name of one.", code="bad_value", field="model")
    include_usage = _flag(options, "include_usage")
    messages = _messages(parameters.get("messages"), policy)
    return ParsedRequest(messages, model, chosen, stream, include_usage, tuple(_unknown(parameters)))


def _unknown(parameters: dict[str, Any]) -> dict[str, None]:
    """Return the names of unknown parameters, each once, in the order of the request."""
    known = {*_UNSUPPORTED, *SETTINGS, *_READ, *IGNORED}
    unknown = dict.fromkeys(name for name in parameters if name not in known)
    for name, value in parameters.get("stream_options", {}).items():
        if name != "include_usage" and value is not None:
            unknown[f"stream_options.{name}"] = None
    for message in parameters["messages"]:
        for name, value in message.items():
            if name not in _MESSAGE_MEMBERS and value not in (None, []):
                unknown[f"messages.{name}"] = None
    return unknown


def _refuse_unsupported(parameters: dict[str, Any]) -> None:
    for name, value in parameters.items():
        # 1 == True in Python, but not in JSON.
        if name in _UNSUPPORTED and not any(
            value == neutral and isinstance(value, bool) == isinstance(neutral, bool) for neutral in _UNSUPPORTED[name]
        ):
            raise Invalid(f"{name} cannot be done here. Leave it out.", code="unsupported_value", field=name)


def _flag(parameters: dict[str, Any], name: str) -> bool:
    value = parameters.get(name, False)
    if not isinstance(value, bool):
        raise Invalid(f"{name} must be true or false.", code="bad_value", field=name)
    return value


def _messages(value: Any, policy: ChatPolicy) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise Invalid("messages must be a list with at least one message.", code="bad_messages", field="messages")
    if len(value) > policy.messages_in_chat:
        raise Invalid(f"There may be at most {policy.messages_in_chat} messages.", code="too_many", field="messages")
    messages = [_message(item, f"messages[{number}]", policy) for number, item in enumerate(value)]
    if messages[-1]["role"] != "user" or is_blank(messages[-1]["content"]):
        raise Invalid(
            "The last message must be a text of the user: it is what gets answered.",
            code="bad_messages",
            field=f"messages[{len(messages) - 1}]",
        )
    return messages


def _message(value: Any, path: str, policy: ChatPolicy) -> dict[str, str]:
    role = value.get("role") if isinstance(value, dict) else None
    if not isinstance(role, str) or role not in ROLES or value.get("tool_calls"):
        raise Invalid(
            f"{path} must be an object with a role of {', '.join(ROLES)} and a text.", code="bad_messages", field=path
        )
    text = _text(value.get("content"), f"{path}.content")
    if len(text) > policy.message_length:
        raise Invalid(
            f"{path}.content has {len(text)} characters; {policy.message_length} are the most, so "
            f"{len(text) - policy.message_length} are too many.",
            code="too_long",
            field=f"{path}.content",
        )
    return {"role": ROLES[role], "content": text}


def _text(content: Any, path: str) -> str:
    """Return the text of a string or of a list of text parts."""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    texts = [part.get("text") if isinstance(part, dict) and part.get("type") == "text" else None for part in parts]
    if not texts or not all(isinstance(text, str) for text in texts):
        raise Invalid(f"{path} must be text; nothing else can be read here.", code="not_text", field=path)
    text = "".join(text for text in texts if text)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Invalid(f"{path} holds half of a character.", code="not_text", field=path) from None
    if "\0" in text:
        raise Invalid(f"{path} holds the character NUL.", code="not_text", field=path)
    return text
