"""Which messages or people a bulk act is about."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest, QueryDict
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.models import User
from oasst.core.errors import Invalid, NotFound
from oasst.core.list_filters import FormChangeList
from oasst.core.markdown.rendering import plain_excerpt
from trees.models import Message, NearDuplicate

SAME = {
    "author": _("by the same author"),
    "text": _("with the same text"),
    "nearly": _("with nearly the same text"),
    "day": _("of the same day"),
}
"""What the chosen messages have in common with one message."""
MAX_PEOPLE = 100
MAX_STEPS = 5
"""How far nearly the same texts are followed: a is like b, b is like c."""
_OF_THE_LIST = ("p", "o", "all", "e")
"""Parameters of a list that choose no rows: its page, its order, and what shows an error."""


@dataclass(frozen=True)
class Choice:
    """What was chosen, as the address of the page has it."""

    like: UUID | None = None
    same: tuple[str, ...] = ()
    people: tuple[UUID, ...] = ()
    filters: str | None = None
    """Those of the list of messages in the admin, as a query string; empty for all messages."""

    @property
    def is_empty(self) -> bool:
        return self.like is None and not self.people and self.filters is None


def read_choice(values: QueryDict) -> Choice:
    """Return what these parameters choose. Raise Invalid for what is no id."""
    like, people = values.get("like", ""), values.getlist("person")
    if len(people) > MAX_PEOPLE:
        raise Invalid(gettext("Choose at most %(number)d people at once.") % {"number": MAX_PEOPLE}, code="too_many")
    return Choice(
        like=_as_id(like) if like else None,
        same=tuple(name for name in SAME if name in values.getlist("same")),
        people=tuple(dict.fromkeys(_as_id(one) for one in people)),
        filters=values.get("filters"),
    )


def chosen_messages(choice: Choice, request: HttpRequest) -> tuple[QuerySet[Message], str]:
    """Return the chosen messages, also deleted ones, and the choice in words. Raise Invalid, NotFound."""
    if choice.people:
        names = _names(chosen_people(choice))
        return Message.objects.filter(author__in=choice.people), _("Messages by %(names)s") % {"names": names}
    if choice.like is not None:
        return _like(choice)
    if choice.filters is not None:
        found = _listed(choice.filters, request)
        rows: QuerySet[Message] = found.queryset.order_by()
        words = found.chosen_in_words()
        return rows, gettext("Messages. %(filters)s") % {"filters": words} if words else gettext("All messages")
    raise Invalid(gettext("Nothing is chosen. Begin at a message, a person or a list."), code="nothing_chosen")


def chosen_people(choice: Choice) -> list[User]:
    """Return the chosen people, in their order by id. Raise Invalid if nobody is chosen."""
    if not choice.people:
        raise Invalid(gettext("This can be done to people only. Choose some of them."), code="nobody_chosen")
    return list(User.objects.filter(pk__in=choice.people).order_by("pk"))


def words_for_people(people: list[User]) -> str:
    """Return the choice of these people in words."""
    return _names(people)


def _names(people: list[User]) -> str:
    first = ", ".join(str(person) for person in people[:3])
    more = len(people) - 3
    if more <= 0:
        return first
    return ngettext("%(first)s and %(more)d more", "%(first)s and %(more)d more", more) % {"first": first, "more": more}


def _like(choice: Choice) -> tuple[QuerySet[Message], str]:
    found = Message.objects.select_related("author")
    message = found.filter(pk=choice.like).first() if choice.like else None
    if message is None:
        raise NotFound(gettext("There is no such message."), code="message_not_found")
    if not choice.same:
        raise Invalid(
            gettext("Say what the messages have in common with this one."), code="nothing_in_common", field="same"
        )
    if "author" in choice.same and message.author_id is None:
        raise Invalid(gettext("This message has no author here."), code="no_author", field="same")
    conditions = _conditions(message)
    rows = Message.objects.all()
    for name in choice.same:
        rows = rows.filter(conditions[name]())
    words = ", ".join(str(SAME[name]) for name in choice.same)
    about = {"words": words, "text": plain_excerpt(message.text, 60)}
    return rows, _("Messages %(words)s as: %(text)s") % about


def _conditions(message: Message) -> Mapping[str, Callable[[], Q]]:
    day = datetime(*message.created_at.timetuple()[:3], tzinfo=message.created_at.tzinfo)
    return {
        "author": lambda: Q(author=message.author_id),
        "text": lambda: Q(text_digest=bytes(message.text_digest)),
        "nearly": lambda: Q(pk__in=_nearly_same(message.pk)),
        "day": lambda: Q(created_at__gte=day, created_at__lt=day + timedelta(days=1)),
    }


def _nearly_same(message_id: UUID) -> set[UUID]:
    """Return the message and those that say nearly the same, whatever was decided about the pairs."""
    found, new = {message_id}, {message_id}
    for _step in range(MAX_STEPS):
        pairs = NearDuplicate.objects.filter(Q(first__in=new) | Q(second__in=new)).values_list("first_id", "second_id")
        new = {one for pair in pairs for one in pair} - found
        if not new:
            break
        found |= new
    return found


def filters_in_words(filters: str, request: HttpRequest) -> str:
    """Return the filters of a list of messages in words; empty if there are none. Raise Invalid."""
    return _listed(filters, request).chosen_in_words()


def _listed(filters: str, request: HttpRequest) -> FormChangeList:
    """Return the list of messages with these filters; its `queryset` has the rows of all pages. Raise Invalid."""
    page = admin.site.get_model_admin(Message)
    values = QueryDict(filters, mutable=True)
    for name in _OF_THE_LIST:
        values.pop(name, None)
    asked = _request_like(request, values)
    try:
        found: Any = page.get_changelist_instance(asked)
    except admin.options.IncorrectLookupParameters:
        raise Invalid(gettext("The list has no such filters."), code="unknown_filters") from None
    listed: FormChangeList = found
    return listed


def _request_like(request: HttpRequest, values: QueryDict) -> HttpRequest:
    asked: Any = copy(request)
    asked.method, asked.GET, asked.POST = "GET", values, QueryDict()
    asked.all_found = True  # a search reads the pages so far otherwise
    found: HttpRequest = asked
    return found


def _as_id(value: str) -> UUID:
    try:
        return UUID(value)
    except ValueError:
        raise Invalid(gettext("That is no id."), code="bad_id") from None
