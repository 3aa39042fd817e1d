"""What machines read of a message, for moderators."""

from collections.abc import Iterable, Iterator
from typing import Any

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from inference.scoring.personal_data import MASKS
from oasst.core.read_only_admin import badge
from oasst.core.text.languages import name_of
from trees.models import Message, MessageReading, ReadingKind

_AROUND = 40  # characters shown before and after a finding
_LOW = 0.01  # scores below it are not listed


def render_readings(message: Message, rows: Iterable[MessageReading]) -> SafeString:
    """Return a list of what was read of the present text, and what was given up. `rows` are its readings."""
    lines = [line for row in rows for line in (*_lines(row, message), *_given_up(row))]
    if not lines:
        return format_html("<p>{}</p>", gettext("Nothing yet."))
    return format_html("<ul>{}</ul>", format_html_join("", "<li>{}</li>", [(line,) for line in lines]))


def _lines(row: MessageReading, message: Message) -> Iterator[SafeString]:
    if row.result is None:
        return
    result: dict[str, Any] = row.result
    match row.kind:
        case ReadingKind.LANGUAGE:
            lang = result["lang"]
            what = f"{name_of(lang)} ({result['confidence']:.0%})" if lang else gettext("unknown")
            yield format_html(gettext("Language: {}"), badge(what, "warning") if row.flagged else what)
        case ReadingKind.TOXICITY:
            scores = sorted(result.items(), key=lambda item: -item[1])
            listed = ", ".join(f"{name.replace('_', ' ')} {score:.2f}" for name, score in scores if score >= _LOW)
            what = listed or gettext("below %(number)s") % {"number": _LOW}
            yield format_html(gettext("Toxicity by {}: {}"), row.model, badge(what, "warning") if row.flagged else what)
        case ReadingKind.PERSONAL_DATA:
            for start, end, kind in result["spans"]:
                # During an update a newer worker may have found a kind that this process does not know.
                name = MASKS.get(kind, kind).strip("[]").capitalize()
                yield format_html("{}: {}", name, _marked(message.text, start, end))


def _given_up(row: MessageReading) -> Iterator[SafeString]:
    if row.due_at is None and row.error:
        name = row.kind.replace("_", " ").capitalize()
        yield format_html("{}: {} {}", name, badge(gettext("given up"), "warning"), row.error)


def _marked(text: str, start: int, end: int) -> SafeString:
    before, after = text[max(start - _AROUND, 0) : start], text[end : end + _AROUND]
    return format_html("<bdi>…{}<mark>{}</mark>{}…</bdi>", before, text[start:end], after)
