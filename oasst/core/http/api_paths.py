"""Where programs ask: the one list of the addresses below which refusals have their own envelope, both spellings of the
slash work, and no page stands. The table of URLs is built from it.
"""

DATA = "api/v1/"
CHAT = "inference/"
OPENAI = "v1/"
"""As the table of URLs writes them: without the slash at the beginning."""

ASKED_BY_MACHINES = ("/healthz", "/readyz", "/metrics")

_FIRST_PARTS = frozenset(prefix.partition("/")[0] for prefix in (DATA, CHAT, OPENAI))


def is_of_the_wires(path: str) -> bool:
    """Whether a path belongs to programs, also where nothing stands there (`/api`, `/api/v2/`, `/v1/nothing`)."""
    return _first_part(path) in _FIRST_PARTS


def is_of_openai(path: str) -> bool:
    """Whether a path belongs to programs made for OpenAI's API, whose refusals look as they do there."""
    return _first_part(path) == OPENAI.partition("/")[0]


def is_of_the_chat(path: str) -> bool:
    """Whether programs ask the assistant there, in either dialect."""
    return _first_part(path) in (CHAT.partition("/")[0], OPENAI.partition("/")[0])


def asks_no_person(path: str) -> bool:
    """Whether nobody in particular comes to a path as a person: it belongs to programs, to files, or to machines."""
    return is_of_the_wires(path) or path.startswith(("/static/", *ASKED_BY_MACHINES))


def _first_part(path: str) -> str:
    return path.removeprefix("/").partition("/")[0]
