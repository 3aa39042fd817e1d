"""Toxicity scores from a server that speaks the protocol of Perspective or of Hugging Face's inference.

It may be slow, down, wrong or flooded. Failed requests are tried again after a short pause. A text that fails every
time is followed by a harmless one, which tells whether the text or the server is to blame. A server that fails on and
on is left alone by all processes until a probe succeeds (`oasst.core.circuit_breaker`), and for as long as it asks.
"""

import json
import random
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings

from inference.scoring.base import NotScorable, Unavailable
from inference.scoring.scores import Question, Scores, WrongAnswer, named_scores
from oasst.core.circuit_breaker import CircuitBreaker, CircuitOpen, Permit
from oasst.core.http import outgoing

AT_ONCE = 4  # requests
ATTEMPTS = 3
FIRST_PAUSE = 0.5  # seconds, doubled each time
_MAX_ANSWER = 200_000  # bytes
BREAKER = CircuitBreaker("toxicity")
HARMLESS = Question("Hello, how are you today?", "en")
"""A text that every working classifier has scores for."""

_TEXT_AT_FAULT = frozenset({400, 413, 414, 422})
_TOO_MANY = 429
_NOT_SCORES = (ValueError, TypeError, LookupError, AttributeError, RecursionError, OverflowError, WrongAnswer)
"""What reading an answer may raise: it may be nested too deeply, or hold a number too large for a float."""
_PERSPECTIVE_ATTRIBUTES = ("TOXICITY", "SEVERE_TOXICITY", "PROFANITY", "IDENTITY_ATTACK", "INSULT", "THREAT")
_ONLY_ENGLISH = "SEXUALLY_EXPLICIT"


class RemoteClassifier:
    """The server at TOXICITY_URL."""

    def __init__(self, *, attempts: int = ATTEMPTS) -> None:
        self.attempts = attempts

    def is_configured(self) -> bool:
        return bool(settings.TOXICITY_URL)

    def score(self, questions: Sequence[Question]) -> list[Scores | Exception]:
        """Return scores for each text; NotScorable if the server refuses it; another error to try it again later."""
        if len(questions) == 1:
            return [self.score_one(questions[0])]
        with ThreadPoolExecutor(min(AT_ONCE, len(questions))) as pool:
            return list(pool.map(self.score_one, questions))

    def score_one(self, question: Question) -> Scores | Exception:
        """The breaker counts one failure for a text, however often the text was tried."""
        attempt = 0
        while True:
            try:
                permit = BREAKER.ask()
            except CircuitOpen as error:
                return Unavailable(str(error), retry_after=error.retry_after)
            outcome = _ask(question)
            if isinstance(outcome, Scores | NotScorable):
                permit.succeeded()
                return outcome
            if isinstance(outcome, Unavailable):
                permit.failed(retry_after=outcome.retry_after)
                return outcome
            if permit.is_probe or attempt == self.attempts - 1:
                return _blame_text_or_server(outcome, permit)
            time.sleep(FIRST_PAUSE * 2**attempt * random.uniform(0.5, 1.5))  # noqa: S311
            attempt += 1


def _blame_text_or_server(outcome: Exception, permit: Permit) -> Exception:
    """Return why a text has no scores. If the server answers HARMLESS, the text is to blame and the breaker counts
    nothing: it may come back as often as it likes. Else the server is, and the text only waits.
    """
    control = _ask(HARMLESS)
    if isinstance(control, Scores | NotScorable):
        permit.succeeded()
        return outcome
    asked = control.retry_after if isinstance(control, Unavailable) else 0
    permit.failed(retry_after=asked)
    return Unavailable(str(outcome), retry_after=max(asked, BREAKER.pause))


def _ask(question: Question) -> Scores | Exception:
    """Send one request. Unavailable means that the server asks for a pause."""
    body, headers, read = _FORMS[settings.TOXICITY_FORM](question)
    try:
        response = outgoing.ask_trusted(settings.TOXICITY_URL, body, headers, limit=_MAX_ANSWER)
        if response.status in _TEXT_AT_FAULT:
            return NotScorable(f"the server refused the text with {response.status}")
        if not 200 <= response.status < 300:
            return _refused(response)
        return read(json.loads(response.body))
    except outgoing.NoResponse as error:
        return error
    except _NOT_SCORES as error:
        return WrongAnswer(f"the server answered something else than scores ({type(error).__name__})")


def _refused(response: outgoing.Response) -> Exception:
    seconds = _retry_after(response.headers.get("retry-after", ""))
    if not seconds and response.status == _TOO_MANY:
        seconds = BREAKER.pause
    reason = f"the server answered {response.status}"
    return Unavailable(reason, retry_after=seconds) if seconds else outgoing.NoResponse(reason)


def _retry_after(header: str) -> float:
    """Return the seconds that the header Retry-After asks for, at most the longest pause of the breaker.

    The header may also be a date.
    """
    if header.strip().isdecimal():
        return min(float(header), BREAKER.longest)
    try:
        moment = parsedate_to_datetime(header)
    except (TypeError, ValueError, OverflowError):
        return 0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0), BREAKER.longest)


# --- The two protocols ---

_Form = Callable[[Question], tuple[bytes, dict[str, str], Callable[[Any], Scores]]]


def _perspective(question: Question) -> tuple[bytes, dict[str, str], Callable[[Any], Scores]]:
    lang = question.lang.split("-")[0]
    attributes = [*_PERSPECTIVE_ATTRIBUTES, *([_ONLY_ENGLISH] if lang == "en" else [])]
    body = {
        "comment": {"text": question.text},
        "languages": [lang],
        "requestedAttributes": {name: {} for name in attributes},
        "doNotStore": True,
    }
    headers = {"X-Goog-Api-Key": settings.TOXICITY_KEY} if settings.TOXICITY_KEY else {}
    return _encoded(body), _json_headers(headers), _read_perspective


def _read_perspective(answer: Any) -> Scores:
    scores = answer["attributeScores"]
    raw = [(name, score["summaryScore"]["value"]) for name, score in scores.items()]
    return named_scores(raw, model=_server(), version="perspective")


def _hugging_face(question: Question) -> tuple[bytes, dict[str, str], Callable[[Any], Scores]]:
    key = settings.TOXICITY_KEY or settings.HUGGING_FACE_API_KEY
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return _encoded({"inputs": question.text}), _json_headers(headers), _read_hugging_face


def _read_hugging_face(answer: Any) -> Scores:
    if isinstance(answer[0], list):  # a list for each text; else that of the only text
        (answer,) = answer
    return named_scores([(one["label"], one["score"]) for one in answer], model=_server(), version="huggingface")


def _encoded(body: dict[str, Any]) -> bytes:
    return json.dumps(body).encode()


def _json_headers(headers: dict[str, str]) -> dict[str, str]:
    return {"Content-Type": "application/json", "Accept": "application/json", **headers}


def _server() -> str:
    """Return the host only: the rest of the URL may hold a key, its path too."""
    return (urlsplit(settings.TOXICITY_URL).hostname or "")[:200]


_FORMS: dict[str, _Form] = {"perspective": _perspective, "huggingface": _hugging_face}
