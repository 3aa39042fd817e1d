"""The numbers of limits in the docs are those of the code, and each number there is compared."""

import ast
import re
from collections.abc import Iterator

import pytest

from inference.api import openai
from inference.chats import asking, titles
from inference.engine import sampling
from inference.policy import ChatPolicy
from inference.turns import sse
from oasst.accounts.authentication import program_sessions, proof
from oasst.core import ratelimit
from tasks import queries as tasks
from tests.embedded.homes import ROOT
from trees.contributing.client_feedback import LONGEST_REPORT

DOCS = ROOT / "docs"
POLICY = ChatPolicy()
WORDS = ["two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"]
SPELLED = dict(enumerate(WORDS, start=2))
SPANS = {30: "half a minute", 3600: "an hour", 24 * 3600: "a day", 7 * 24 * 3600: "a week"}
STATUSES = {"200", "204", "400", "401", "403", "404", "413", "422", "429", "500", "503", "504"}
SPANS_OF_RATES = {
    "chat_turn_program": ["per minute", "per hour"],
    "chat_message": ["per minute", "per hour"],
    "chat_new_program": ["per hour", "per day"],
    "chat_change": ["per 10 minutes"],
    "chat_vote": ["per 10 minutes"],
    "task": ["per 4 minutes"],
    "task_assistant_reply": ["per 2 minutes"],
    "task_prompter_reply": ["per 2 minutes"],
    "task_address": ["per minute"],
    "task_nobody": ["per minute"],
    "new_people": ["per hour", "per day"],
    "wrong_key": ["per 10 minutes"],
    "wrong_token_address": ["per 10 minutes"],
    "program_write": ["per minute"],
    "answer": ["per 4 minutes"],
    "reaction": ["per 10 minutes"],
    "skip": ["per 10 minutes"],
    "free_label": ["per 10 minutes"],
    "report": ["per hour", "per day"],
    "webhook_change": ["per hour"],
    "key_new": ["per hour", "per day"],
}
LEFT = {
    "wire.md": set(),
    "openai.md": {"`n` above 1", "take two settings"},
    "inference-api.md": {
        *("gives RFC 9457", "1 is the next one", "Temperature 0 is greedy", "(`+00:00`)", "`?ids=1`"),
        *("One of three", "The three instructions", "the 4xx that they meant"),
    },
}
"""Numbers that are no limits."""
ONLY = {"wire.md": "Limits"}
"""Chapters to compare of pages that have most of their numbers from elsewhere."""


def span(seconds: float) -> str:
    """Return the number as people write it."""
    minutes, rest = divmod(seconds, 60)
    return SPANS.get(int(seconds)) or (
        f"{SPELLED[int(seconds)]} seconds" if rest else f"{SPELLED[int(minutes)]} minutes"
    )


def rate(name: str) -> list[str]:
    """Return the amounts of a limit over the time spans that these pages name."""
    rates = ratelimit.rules()[name].rates
    assert re.sub(r"\d+ per", "per", rates, count=2).split("; ") == SPANS_OF_RATES[name], name
    return [f"{int(one.split()[0]):,}" for one in rates.split("; ")]


def claims() -> dict[str, list[str]]:
    """The numbers that each page must state, once."""
    asked, told, made = rate("chat_turn_program"), rate("chat_message"), rate("chat_new_program")
    proved = f"of the last {proof.RECENT_SECONDS // 60} minutes"
    assert asked[1] == told[1]
    queue, answer = span(POLICY.queue_seconds), span(POLICY.answer_seconds)
    whole = span(POLICY.queue_seconds + POLICY.answer_seconds)
    return {
        "openai.md": [
            f"`stop` ({sampling.MAX_STOPS} texts)",
            f"as many as fit into {openai.IGNORED_HEADER_BYTES:,} bytes",
            f"more than {asked[0]} questions in a minute or {asked[1]} in an hour",
            f"(one person alone: with {POLICY.queue_limit // 2})",
            f"it waited {queue} and its turn",
            f"writing it took longer than {answer}",
            f"for one person {SPELLED[POLICY.answers_at_once]} answers are written at a time",
            f"within {span(POLICY.wanted_seconds)}: what nobody waits for",
            f"`Retry-After` is {openai.MAX_RETRY_AFTER} at most, which libraries wait by themselves, "
            f"and at least {asking.MIN_RETRY_AFTER} where the queue refuses",
            f"or after {span(openai.HEARTBEAT_SECONDS)}; what fails before",
            f"let an answer wait for {whole} (",
            f"is kept for {span(POLICY.ephemeral_seconds)} and then removed",
        ],
        "inference-api.md": [
            f"with an access token**: {span(program_sessions.ACCESS_LIFETIME.total_seconds())}, signed",
            f"Refresh tokens are good for {span(program_sessions.REFRESH_LIFETIME.total_seconds())} and",
            f"(the site's own sign-in, {proved},",
            f"needs a sign-in {proved},",
            f"({asked[0]} answers and {told[0]} messages a minute, {asked[1]} an hour; "
            f"{rate('chat_change')[0]} changes to chats, {rate('chat_vote')[0]} votes in 10 minutes; "
            f"{made[0]} new chats an hour)",
            f"`retry: {sse.RETRY_MILLISECONDS}`",
            f"After {sse.HEARTBEAT_SECONDS:.0f} s without news",
            f"More than {SPELLED[POLICY.answers_at_once]} answers at once",
            f"Seeds fit into {sampling.MAX_SEED.bit_length()} bits",
            f"cut at {titles._FIRST_LINE} characters",
        ],
        "wire.md": of_the_wire(),
    }


def of_the_wire() -> list[str]:
    """Return the rows of its table of limits."""
    people, reports, keys = rate("new_people"), rate("report"), rate("key_new")
    by_kind = f"{rate('task_assistant_reply')[0]} assistant replies and {rate('task_prompter_reply')[0]} user replies"
    window = int(tasks.PENDING_WINDOW.total_seconds()) // 60
    assert rate("wrong_key") == rate("wrong_token_address")
    return [
        f"| Task requests | {rate('task')[0]} in 4 minutes; of these {by_kind} in 2 minutes,",
        f"| Open tasks of the last {window} minutes | {tasks.MAX_PENDING} |",
        f"| Task requests of programs that are not trusted | {rate('task_address')[0]} a minute |",
        f"| Task requests that name nobody | {rate('task_nobody')[0]} a minute |",
        f"| New people of a program that is not trusted | {people[0]} an hour, {people[1]} a day |",
        f"`/inference` and `/v1` | {rate('wrong_key')[0]} in 10 minutes each |",
        f"through a person's own tokens | {rate('program_write')[0]} a minute |",
        f"| Answers | {rate('answer')[0]} in 4 minutes |",
        f"free labels | {rate('reaction')[0]}; {rate('skip')[0]}; {rate('free_label')[0]} in 10 minutes |",
        f"| Reports | {reports[0]} an hour, {reports[1]} a day; about one message {LONGEST_REPORT:,} characters",
        f"another secret | {rate('webhook_change')[0]} an hour |",
        f"| New keys | {keys[0]} an hour, {keys[1]} a day |",
    ]


def text_of(page: str) -> str:
    """Return the text without examples, links and operations (tests/inference/api/test_docs.py compares those)."""
    text = (DOCS / page).read_text()
    if page in ONLY:
        text = text.partition(f"## {ONLY[page]}\n")[2].partition("\n## ")[0]
    text = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!-- operations -->.*<!-- /operations -->", "", text, flags=re.DOTALL)
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
    return " ".join(re.sub(r"\bdecision \d+", "", text).split())


def numbers_in(text: str) -> list[str]:
    """Return digits that are no status and in no name, and spelled numbers, with the words around."""
    spelled = "|".join([*WORDS, *SPANS.values()])
    found = re.finditer(rf"\b\d+(?:,\d{{3}})*|\b(?:{spelled})\b", text)
    return [text_around(one) for one in found if one[0] not in STATUSES]


def text_around(match: re.Match[str]) -> str:
    return match.string[max(match.start() - 25, 0) : match.end() + 25]


@pytest.mark.parametrize("page", ["openai.md", "inference-api.md", "wire.md"])
def test_each_number_of_a_page_is_that_of_the_code(page: str) -> None:
    text = text_of(page)
    for claim in claims()[page]:
        assert text.count(claim) == 1, claim
        text = text.replace(claim, "…")
    for words in LEFT[page]:
        assert words in text, words
        text = text.replace(words, "…")
    assert numbers_in(text) == [], "a number that nothing compares: say in `claims` where it comes from"


def variables() -> Iterator[tuple[str, int, int | None]]:
    """Return the integers of the environment: name, default and, if there is one, the maximum."""
    for node in ast.walk(ast.parse((ROOT / "oasst/settings.py").read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "env.integer":
            name, default = map(ast.literal_eval, node.args)
            most = {one.arg: ast.literal_eval(one.value) for one in node.keywords}.get("maximum")
            yield name, default, most


def test_defaults_and_bounds_of_whole_numbers_are_documented_as_they_are() -> None:
    text = (DOCS / "operations.md").read_text()
    table = text.partition("<!-- variables -->")[2].partition("<!-- /variables -->")[0]
    found = {}
    for row in table.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split(" | ")]
        names = re.findall(r"`([A-Z][A-Z0-9_]+)`", cells[0])
        found |= (
            {name: (default, row) for name, default in zip(names, cells[1].split(", "), strict=False)} if names else {}
        )
    named = list(variables())
    assert len(named) > 10
    for name, default, most in named:
        shown, row = found[name]
        assert shown == str(default), name
        assert most is None or re.search(rf"\b({most}|{most:,})\b", row), (name, most)


def test_the_sample_for_nginx_waits_for_as_long_as_an_answer_may_take() -> None:
    place = (ROOT / "deploy/nginx.conf").read_text().partition("location /v1/ {")[2].partition("}")[0]
    waits = re.search(r"proxy_read_timeout (\d+)s;", place)
    assert waits and POLICY.queue_seconds + POLICY.answer_seconds < int(waits[1])
