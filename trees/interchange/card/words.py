"""Names of the data as a reader sees them, and texts made safe for Markdown. Pure."""

from calendar import month_name
from collections.abc import Mapping
from typing import Any

from trees.interchange.card.svg import decimals
from trees.labels import LABELS
from trees.lifecycle.states import TABLE, State

_CLIENT = "client "
"""The bases of people for whom an API client vouches begin with this."""
OUR_LICENSE = "CC-BY-4.0"
"""Of contributions under the terms of the site. Decision 10."""
_MARKDOWN = "\\`*_{}[]<>#|~&!"


def role_in_words(role: str) -> str:
    return {"prompter": "Prompts", "assistant": "Replies"}.get(role, role)


def state_in_words(state: str) -> str:
    return TABLE[State(state)].label if state in list(State) else state


def label_in_words(name: str) -> str:
    """Return the name of a label without underscores. The questions are too long for a table."""
    return name.replace("_", " ") if name in LABELS else name


def basis_in_words(basis: str) -> str:
    """Return what allows the publication: our terms, or an API client, with their license, or the license of a file."""
    if basis.startswith("terms "):
        return f"{OUR_LICENSE} ({basis})"
    if basis.startswith(_CLIENT):
        since = basis.partition(" since ")[2]
        return f"{OUR_LICENSE} (API client{f' since {since}' if since else ''})"
    return basis.removeprefix("license ")


def license_of(basis: str) -> str:
    """Return the identifier of the license of a basis."""
    return OUR_LICENSE if basis.startswith(("terms ", _CLIENT)) else basis.removeprefix("license ")


def plain(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line."""
    one_line = " ".join(text.split())
    return "".join(f"\\{character}" if character in _MARKDOWN else character for character in one_line)


def number(value: int | float | None) -> str:
    """Return a number for people; unknown is a word, never 0."""
    if value is None:
        return "unknown"
    return f"{value:,}" if isinstance(value, int) else decimals(value)


def percent(value: float | None) -> str:
    return "unknown" if value is None else f"{100 * value:.0f}\N{NO-BREAK SPACE}%"


def size(count: int) -> str:
    """Return a number of bytes for people."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{count:,}\N{NO-BREAK SPACE}bytes" if unit == "bytes" else f"{amount:.1f}\N{NO-BREAK SPACE}{unit}"


def day_in_words(date: str) -> str:
    """Return a date such as 2026-01-31 as "31 January 2026"."""
    year, month, day = date.split("-")
    return f"{int(day)} {month_name[int(month)]} {year}"


def choices_in_words(filters: Mapping[str, Any]) -> list[str]:
    """Return what was chosen for a snapshot beyond the state and the language of its trees, as parts of a sentence."""
    choices = [
        ("include_rejected", "rejected and undecided messages are in it"),
        ("include_synthetic", "trees with machine-made text are in it"),
    ]
    found = [words for key, words in choices if filters.get(key)]
    if topics := filters.get("topics"):
        found.append(f"only trees with these topics are in it: {', '.join(topics)}")
    if topics := filters.get("excluded_topics"):
        found.append(f"trees with these topics are left out: {', '.join(topics)}")
    if not filters.get("near_duplicates", True):
        found.append("of messages that are nearly the same only the first is in it")
    if since := filters.get("since"):
        found.append(f"only trees from {day_in_words(since[:10])} on are in it")
    return found


_REASONS = {
    "withdrawn": "withdrawn by their authors",
    "deleted": "removed by moderators",
    "hidden": "hidden by complaints or a moderator",
    "after_cutoff": "made after the cut-off",
    "edited_after_cutoff": "edited after the cut-off",
    "rejected": "rejected by reviewers",
    "undecided": "not reviewed to the end",
    "no_agreement": "made without an agreement to publication",
    "terms_without_publication": "made under terms that do not allow publication",
    "import_without_license": "imported without a license",
    "below_one_left_out": "replies to something left out",
    "near_duplicate": "nearly the same as an earlier one",
    "synthetic": "with text that a machine wrote",
    "about_an_earlier_text": "about an earlier version of the text",
    "fewer_than_two_replies": "orders of fewer than two published replies",
    "without_answers": "without an answer to any question",
}


def reason_in_words(reason: str) -> str:
    """Return why something was left out of a snapshot."""
    return _REASONS.get(reason) or plain(reason.replace("_", " "))
