"""Write notices from outbox events: one for each event and person, never about a person's own act.

Each function is one transaction. A killed run leaves no trace; running twice, also at once, writes nothing twice: the
events are marked in the same transaction, and the notices are unique in the database.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef

from oasst.core.after_commit import enqueue
from oasst.core.locks import advisory_lock
from oasst.site.models import Notice
from oasst.site.notices.exports import tell_of_snapshot
from oasst.site.notices.storing import store, take_back
from trees.access import PUBLIC
from trees.lifecycle.states import State
from trees.models import Happening, Message, Proposal, Report, Review, Withdrawal
from trees.moderation.telling import Effect
from trees.refusals import labels_that_refused

BATCH = 200  # events
Kind, Event = Notice.Kind, Happening.Kind


def read_outbox(*, limit: int = BATCH) -> int:
    """Write the notices of events that were not read yet; return how many events. Some twenty statements at most."""
    with transaction.atomic(durable=True):
        advisory_lock("notices")
        rows = Happening.objects.filter(noticed=False).select_related("message")
        events = list(rows.defer("message__text", "message__search", "message__imported").order_by("pk")[:limit])
        if events:
            store(_notices(events))
            undone = {pk: event for event in events if event.kind == Event.ACT_UNDONE for pk in event.data["told"]}
            take_back(undone)
            store(_about_undone(undone))
            for event in events:
                if event.kind == Event.SNAPSHOT_PUBLISHED:
                    enqueue(tell_of_snapshot, event.pk)
            Happening.objects.filter(pk__in=[event.pk for event in events]).update(noticed=True)
    return len(events)


def _notices(events: list[Happening]) -> Iterator[Notice]:
    by_kind: dict[str, list[Happening]] = defaultdict(list)
    for event in events:
        by_kind[event.kind].append(event)
    yield from _about_accepted(by_kind[Event.MESSAGE_ACCEPTED])
    yield from _about_rejected(by_kind[Event.MESSAGE_REJECTED])
    yield from _about_finished(e for e in by_kind[Event.TREE_MOVED] if e.data.get("to") == State.READY_FOR_EXPORT)
    yield from _about_reports(by_kind[Event.REPORT_SETTLED])
    yield from _about_withdrawals(by_kind[Event.WITHDRAWAL_ENDED], by_kind[Event.MESSAGE_DELETED])
    yield from _about_complaints(by_kind[Event.REMOVAL_PROPOSED])
    yield from _about_acts(by_kind[Event.MODERATED])


def _notice(event: Happening, person_id: UUID, kind: Notice.Kind, message_id: UUID | None, **data: Any) -> Notice:
    return Notice(person_id=person_id, kind=kind, happening=event, message_id=message_id, data=data)


def _about_accepted(events: list[Happening]) -> Iterator[Notice]:
    """Tell authors, then those whom the text answers or corrects: only now, so that junk rings no bell."""
    messages = {event.pk: event.message for event in events if event.message is not None}
    others = {pk for m in messages.values() for pk in (m.parent_id, m.correction_of_id) if pk is not None}
    authors = dict(Message.objects.filter(pk__in=others).values_list("pk", "author_id")) if messages else {}
    for event in events:
        message = messages.get(event.pk)
        if message is None:
            continue
        if message.author_id is not None:
            yield _notice(event, message.author_id, Kind.ACCEPTED, message.pk)
        told = {message.author_id}
        for kind, about in ((Kind.CORRECTED, message.correction_of_id), (Kind.ANSWERED, message.parent_id)):
            person_id = authors.get(about) if about else None
            if person_id is not None and person_id not in told:
                told.add(person_id)
                yield _notice(event, person_id, kind, message.pk)


def _about_rejected(events: list[Happening]) -> Iterator[Notice]:
    given: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    messages = [event.message_id for event in events]
    reviews = Review.objects.filter(message__in=messages, revision=F("message__revision"), kind=Review.Kind.REVIEW)
    for message_id, labels in reviews.values_list("message", "labels") if messages else ():
        given[message_id].append(labels)
    for event in events:
        if event.message is not None and event.message.author_id is not None:
            labels = labels_that_refused(given[event.message.pk])
            yield _notice(event, event.message.author_id, Kind.REJECTED, event.message.pk, labels=labels)


def _about_finished(events: Iterable[Happening]) -> Iterator[Notice]:
    """Tell the authors of the replies that people ranked first, once for each tree."""
    by_tree = {event.tree_id: event for event in events}
    second = Message.objects.filter(PUBLIC, parent=OuterRef("parent"), rank=1)
    first = Message.objects.filter(PUBLIC, Exists(second), tree__in=by_tree, rank=0, author__isnull=False)
    told: set[tuple[UUID | None, UUID | None]] = set()
    rows = first.order_by("tree", "depth", "position").values_list("tree_id", "author_id", "pk") if by_tree else ()
    for tree_id, author_id, message_id in rows:
        if author_id is not None and (tree_id, author_id) not in told:
            told.add((tree_id, author_id))
            yield _notice(by_tree[tree_id], author_id, Kind.RANKED_FIRST, message_id)


def _about_reports(events: list[Happening]) -> Iterator[Notice]:
    for event in events:
        if event.subject_id is not None and event.data.get("status") in (Report.Status.UPHELD, Report.Status.DISMISSED):
            yield _notice(event, event.subject_id, Kind.REPORT_SETTLED, event.message_id, status=event.data["status"])


def _about_withdrawals(ended: list[Happening], deleted: list[Happening]) -> Iterator[Notice]:
    """A refused withdrawal has an event of its own; what granted one is the deletion of its message."""
    Status = Withdrawal.Status
    for event in ended:
        if event.subject_id is not None and event.data.get("status") == Status.REFUSED:
            yield _notice(event, event.subject_id, Kind.WITHDRAWAL_DECIDED, event.message_id, status=Status.REFUSED)
    messages = [event.message_id for event in deleted if event.message is not None and event.message.withdrawn]
    granted = Withdrawal.objects.filter(message__in=messages, status=Status.GRANTED, deletion=None)
    decided = set(granted.values_list("message", flat=True)) if messages else set()
    for event in deleted:
        if event.message_id in decided and event.subject_id is not None:
            yield _notice(event, event.subject_id, Kind.WITHDRAWAL_DECIDED, event.message_id, status=Status.GRANTED)


def _about_complaints(events: list[Happening]) -> Iterator[Notice]:
    """Many complaints hid a text or stopped its conversation until a moderator decides."""
    for event in events:
        by_people = event.data.get("why") in (Proposal.Kind.FLAGS, Proposal.Kind.SKIPS)
        effect = "waits_hidden" if event.data.get("hides") else "waits_stopped" if event.data.get("stops") else ""
        if by_people and effect and event.subject_id is not None:
            yield _notice(event, event.subject_id, Kind.MODERATED, event.message_id, effect=effect)


def _about_acts(events: list[Happening]) -> Iterator[Notice]:
    """An act of a moderator, with its reason for those whose text it was about."""
    messages = {message_id for event in events for _, _, message_id, _ in event.data["told"]}
    present = set(Message.objects.filter(pk__in=messages).values_list("pk", flat=True)) if messages else set()
    for event in events:
        for person_id, effect, message_id, is_about_it in event.data["told"]:
            if UUID(message_id) in present:
                about = {"effect": effect, "entry": event.data["entry"], "has_reason": is_about_it}
                yield _notice(event, UUID(person_id), Kind.MODERATED, UUID(message_id), **about)


def _about_undone(undone: dict[int, Happening]) -> Iterator[Notice]:
    """Those who have read, or were mailed, what was undone since are told once more."""
    if not undone:
        return
    heard = Notice.objects.filter(happening__in=undone).order_by("pk")
    for notice in heard.select_related("message").defer("message__text", "message__search"):
        event = undone[notice.happening_id]  # type: ignore[index]
        about = {"effect": Effect.UNDONE.value, "of": notice.kind}
        yield _notice(event, notice.person_id, Kind.MODERATED, notice.message_id, **about)
