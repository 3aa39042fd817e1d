"""URL prefixes of the APIs. Below them, errors have their own envelope, the trailing slash is optional, and there are
no pages. The URL configuration uses them.
"""

DATA = "api/v1/"
CHAT = "inference/"
OPENAI = "v1/"
"""Without a leading slash, as in a URL configuration."""

MONITORING_PATHS = ("/healthz", "/readyz", "/metrics")

_API_SEGMENTS = frozenset(prefix.partition("/")[0] for prefix in (DATA, CHAT, OPENAI))


def is_api_path(path: str) -> bool:
    """Return True for paths of the APIs, including unknown ones (`/api`, `/api/v2/`, `/v1/nothing`)."""
    return _first_segment(path) in _API_SEGMENTS


def is_openai_path(path: str) -> bool:
    """Return True for paths that imitate OpenAI's API, including its errors."""
    return _first_segment(path) == OPENAI.partition("/")[0]


def is_chat_path(path: str) -> bool:
    """Return True for paths of the two chat APIs."""
    return _first_segment(path) in (CHAT.partition("/")[0], OPENAI.partition("/")[0])


def has_no_session_user(path: str) -> bool:
    """Return True for paths of APIs, static files and monitoring, where no user signs in on a page."""
    return is_api_path(path) or path.startswith(("/static/", *MONITORING_PATHS))


def _first_segment(path: str) -> str:
    return path.removeprefix("/").partition("/")[0]
