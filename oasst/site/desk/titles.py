"""What decisions were about, in a few words, so that a list of them can be told apart."""

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from django.db.models import Model, QuerySet, TextField, Value
from django.db.models.functions import Cast, Left

from inference.models import ChatMessage
from oasst.accounts.models import User
from oasst.core.markdown.rendering import plain_excerpt
from oasst.site.desk.subjects import SubjectKind
from oasst.site.models import DeskDecision
from trees.models import Message
from trees.moderation.finding import as_id

LENGTH = 70
_TITLES: Mapping[str, tuple[type[Model], str, str, dict[str, Any]]] = {
    SubjectKind.MESSAGE: (Message, "pk", "text", {}),
    SubjectKind.TREE: (Message, "tree", "text", {"parent": None}),
    SubjectKind.PERSON: (User, "pk", "display_name", {}),
    SubjectKind.CHAT: (ChatMessage, "pk", "content", {}),
}
"""Kind of subject → where its title is: the model, its column with the id and with the text, and which rows."""


def titles_of(decisions: Collection[DeskDecision]) -> dict[int, str]:
    """Return, for each decision by its id, the beginning of the text or the name that it is about. One statement."""
    ids: dict[str, set[UUID]] = {}
    for one in decisions:
        if one.subject_kind in _TITLES and (key := as_id(one.subject_id)) is not None:
            ids.setdefault(one.subject_kind, set()).add(key)
    parts = []
    for kind, keys in ids.items():
        model, column, text, more = _TITLES[kind]
        rows = model._default_manager.filter(**{f"{column}__in": keys}, **more)
        # A little more than is shown, since Markdown is left out.
        parts.append(_column(rows, kind, column, Left(text, 3 * LENGTH)))
    found = parts[0].union(*parts[1:], all=True) if parts else ()
    texts = {(kind, key): text for kind, key, text in found}
    return {one.pk: plain_excerpt(texts.get((one.subject_kind, one.subject_id), ""), LENGTH) for one in decisions}


def _column(rows: QuerySet[Any], kind: str, key: str, text: Any) -> QuerySet[Any, tuple[str, str, str]]:
    as_text = TextField()
    return rows.order_by().values_list(Value(kind, output_field=as_text), Cast(key, as_text), Cast(text, as_text))
