"""What the desk shows of an item: its text in its conversation, who said what about it, and who wrote it.

Reads only. At most six statements an item, however much there is.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Count, Exists, IntegerField, OuterRef, Q, QuerySet, Subquery, Value
from django.db.models.functions import Coalesce, JSONObject
from django.utils.translation import gettext

from inference.models import ChatMessage, ChatReport
from inference.queries import thread_of
from leaderboard.models import TrollStanding
from leaderboard.time_frames import Frame
from oasst.accounts.models import AccountWarning, Appeal, Ban, User
from oasst.accounts.roles import has_higher_rank, has_no_role
from oasst.core.audit.acts import label_of
from oasst.core.text.languages import name_of
from oasst.site.desk.effects import open_appeals
from oasst.site.desk.subjects import Item, Source, SubjectKind
from oasst.site.desk.table import ABOUT_AUTHOR, TABLE, DeskAct
from oasst.site.models import DeskDecision, Escalation
from trees.labels import LABELS
from trees.lifecycle.demand import subtree
from trees.lifecycle.reply_ranks import sort_siblings
from trees.lifecycle.states import State
from trees.models import (
    Message,
    MessageReading,
    MessageTree,
    NearDuplicate,
    Proposal,
    Reaction,
    ReadingKind,
    Report,
    Review,
    Revision,
    Role,
    TreeTransition,
    Withdrawal,
)
from trees.moderation import offered_actions
from trees.moderation.badges import message_badge

MAX_REPORTS = 20
MAX_TEXTS = 5
MAX_BEFORE = 20
MAX_REVIEWS = 20
TOO_LOW = 0.05
"""Scores of toxicity below it are not shown."""


@dataclass
class Shown:
    """What the page shows. What does not fit the kind of the item is empty."""

    item: Item
    title: str = ""
    kind: str = ""
    """What it is, in a word."""
    exists: bool = True
    message: Message | None = None
    tree: MessageTree | None = None
    badge: str = ""
    path: list[Message] = field(default_factory=list)
    """The messages above it, the first prompt first."""
    siblings: list[Message] = field(default_factory=list)
    below: list[Message] = field(default_factory=list)
    reports: list[Any] = field(default_factory=list)
    """Rows of Report or ChatReport, reports with `.upheld` and `.settled`: how many of their author's were right."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    labels: list[tuple[str, float, int]] = field(default_factory=list)
    """Name, mean from 0 to 1, number of answers."""
    readings: list[tuple[str, str, bool]] = field(default_factory=list)
    """Kind, what was read, whether it is suspicious."""
    person: Any = None
    """The author or the person, with counts."""
    texts: list[Message] = field(default_factory=list)
    appeal: Appeal | None = None
    appealed: str = ""
    """What the appeal is against."""
    standing: TrollStanding | None = None
    bans: list[Ban] = field(default_factory=list)
    transitions: list[TreeTransition] = field(default_factory=list)
    chat: ChatMessage | None = None
    thread: list[ChatMessage] = field(default_factory=list)
    acts: list[DeskAct] = field(default_factory=list)
    about_author: list[DeskAct] = field(default_factory=list)
    may_merge: bool = False
    """Whether a merge of the person, or the author, can be proposed."""
    seen: int = 0
    """The latest decision about it, see `decisions.decide`."""
    notes: list[Mapping[str, Any]] = field(default_factory=list)
    """Of those who passed it on: note, name, at."""


def show(item: Item, moderator: User) -> Shown:
    """Return what the page shows of this item to this moderator."""
    shown = Shown(item)
    try:
        key = UUID(item.subject.id)
    except ValueError:
        shown.exists = False
        return shown
    shown.kind = str(SubjectKind(item.subject.kind).label)
    _SHOW[item.subject.kind](shown, key, moderator)
    if shown.appeal is not None:
        entry = shown.appeal.entry
        shown.appealed = label_of(entry.act) if entry else gettext("a suspension")
    return shown


# --- Messages and conversations ---


def _show_message(shown: Shown, key: UUID, moderator: User) -> None:
    messages = _messages_of(Message.objects.filter(pk=key).values("tree"))
    message = next((one for one in messages if one.pk == key), None)
    if message is None:
        shown.exists = False
        return
    shown.message, shown.tree, shown.badge = message, message.tree, message_badge(message)
    shown.title, shown.kind = message.text, _kind_of_message(message)
    _place(shown, messages, message)
    _read_facts(shown, message)
    shown.reports = list(_reports_about(Q(message=message)))
    _show_author(shown, message.author_id, but=message.pk)
    if _is_appealed(shown.item):
        shown.appeal = _appeal_about(shown.item)
    shown.acts = [act for act in TABLE[SubjectKind.MESSAGE] if _fits(act, shown, message, moderator)]
    author = message.author
    if author is not None and author.is_active and author.pk != moderator.pk and has_higher_rank(moderator, author):
        shown.may_merge = has_no_role(author)
        shown.about_author = [act for act in ABOUT_AUTHOR.values() if author.enabled or act.name == "warn"]


def _show_tree(shown: Shown, key: UUID, moderator: User) -> None:
    messages = _messages_of([key])
    prompt = next((one for one in messages if one.parent_id is None), None)
    if prompt is None:
        shown.exists = False
        return
    shown.message, shown.tree, shown.badge = prompt, prompt.tree, message_badge(prompt)
    shown.title = prompt.text
    shown.below = _in_reading_order(messages, prompt)[1:]
    _read_facts(shown, prompt)
    steps = TreeTransition.objects.filter(tree=key).select_related("actor").order_by("-pk")
    shown.transitions = list(steps[:5])
    _show_author(shown, prompt.author_id, but=prompt.pk)
    if _is_appealed(shown.item):
        shown.appeal = _appeal_about(shown.item)
    state = State(prompt.tree.state)
    hidden = set() if state in (State.HALTED_BY_MODERATOR, State.ABORTED_LOW_GRADE, State.SCORING_FAILED) else {"go_on"}
    if state == State.HALTED_BY_MODERATOR:
        hidden.add("stop")
    if prompt.deleted or (state == State.ABORTED_LOW_GRADE and prompt.review_result is False):
        hidden.add("go_on")
    if prompt.deleted:
        hidden.add("delete")
    if shown.appeal is None:
        hidden |= {"grant", "refuse"}
    shown.acts = [act for act in TABLE[SubjectKind.TREE] if act.name not in hidden]


def _kind_of_message(message: Message) -> str:
    if message.parent_id is None:
        return gettext("Prompt")
    return gettext("Answer") if message.role == Role.ASSISTANT else gettext("Follow-up")


def _messages_of(tree_ids: Any) -> list[Message]:
    rows = Message.objects.filter(tree__in=tree_ids).select_related("author", "tree").defer("search", "text_digest")
    return list(rows)


def _place(shown: Shown, messages: list[Message], message: Message) -> None:
    """Put the other messages of its tree around a message."""
    by_id = {one.pk: one for one in messages}
    above = message
    while above.parent_id is not None:
        above = by_id[above.parent_id]
        shown.path.insert(0, above)
    siblings = [one for one in messages if one.parent_id == message.parent_id and one.pk != message.pk]
    shown.siblings = sort_siblings(siblings) if message.parent_id else []
    shown.below = _in_reading_order(messages, message)[1:]


def _in_reading_order(messages: list[Message], top: Message) -> list[Message]:
    """Return a message and what is below it, each right after the one that it answers, best replies first."""
    inside = {one.pk for one in subtree(messages, top)}
    children: dict[UUID | None, list[Message]] = {}
    for one in messages:
        if one.pk in inside and one.pk != top.pk:
            children.setdefault(one.parent_id, []).append(one)
    found, waiting = [], [top]
    while waiting:
        found.append(waiting.pop())
        waiting.extend(reversed(sort_siblings(children.get(found[-1].pk, []))))
    return found


def _is_appealed(item: Item) -> bool:
    return any(reason.source == Source.APPEAL for reason in item.reasons)


def _appeal_about(item: Item) -> Appeal | None:
    return open_appeals(item.subject).select_related("user", "entry__text").first()


def _number(rows: QuerySet[Any], by: str) -> Coalesce:
    counted = rows.order_by().values(by).annotate(n=Count("pk")).values("n")
    return Coalesce(Subquery(counted), Value(0), output_field=IntegerField())


def _read_facts(shown: Shown, message: Message) -> None:
    """Read what is known of one message. One statement."""
    flags = Reaction.objects.filter(message=OuterRef("pk"), emoji=Reaction.RED_FLAG, voided_at=None)
    readings = MessageReading.objects.filter(revision=OuterRef("revision"), result__isnull=False).order_by("kind")
    reviews = Review.objects.filter(message=OuterRef("pk"), revision=OuterRef("revision")).order_by("-created_at")
    proposals = Proposal.objects.filter(message=OuterRef("pk"), status=Proposal.Status.OPEN)
    withdrawals = Withdrawal.objects.filter(message=OuterRef("pk"), status=Withdrawal.Status.OPEN)
    pairs = NearDuplicate.objects.filter(second=OuterRef("pk"), status=NearDuplicate.Status.OPEN).order_by("pk")
    pair = JSONObject(id="first_id", text="first__text", author="first__author__display_name", wording="wording")
    facts: dict[str, Any] = {
        "flags": _number(flags, "message"),
        "revision_number": _number(Revision.objects.filter(message=OuterRef("pk")), "message"),
        "read": ArraySubquery(
            readings.values(json=JSONObject(kind="kind", result="result", flagged="flagged", model="model"))
        ),
        "given_labels": ArraySubquery(reviews.values("labels")[:MAX_REVIEWS]),
        "proposal": Subquery(proposals.values(json=JSONObject(kind="kind", voices="voices", hides="hides"))[:1]),
        "wanted_back": Exists(withdrawals),
        "withdrawal": Subquery(withdrawals.values("reason")[:1]),
        "pair": Subquery(pairs.values(json=pair)[:1]),
        **_about_subject(shown.item),
    }
    found: Any = Message.objects.filter(pk=message.pk).values(**facts).get()
    shown.facts = found
    _take_notes(shown, shown.facts)
    shown.labels = _means(found["given_labels"])
    shown.readings = [line for row in found["read"] if (line := _reading(row))]


def _about_subject(item: Item) -> dict[str, Any]:
    """Return expressions for what the desk itself knows of the subject."""
    key = {"subject_kind": item.subject.kind, "subject_id": item.subject.id}
    note = JSONObject(note="note", name="passed_by__display_name", at="at")
    decided = DeskDecision.objects.filter(**key).order_by("-pk").values("pk")[:1]
    return {
        "desk_notes": ArraySubquery(Escalation.objects.filter(**key, closed_at=None).values(json=note)),
        "desk_seen": Coalesce(Subquery(decided), Value(0)),
    }


def _take_notes(shown: Shown, facts: Mapping[str, Any]) -> None:
    shown.notes, shown.seen = facts["desk_notes"], facts["desk_seen"]


def _means(reviews: Iterable[Mapping[str, float | None]]) -> list[tuple[str, float, int]]:
    """Return the labels that reviewers gave, those first that speak against a text."""
    given: dict[str, list[float]] = {}
    for labels in reviews:
        for name, value in labels.items():
            if value is not None:
                given.setdefault(name, []).append(value)
    means = [(name, sum(values) / len(values), len(values)) for name, values in given.items() if name in LABELS]
    shown = [one for one in means if one[1] > 0 or LABELS[one[0]].widget == "likert"]
    return sorted(
        [(name.replace("_", " "), mean, number) for name, mean, number in shown],
        key=lambda one: LABELS[one[0].replace(" ", "_")].widget == "likert",
    )


def _reading(row: Mapping[str, Any]) -> tuple[str, str, bool] | None:
    result: Mapping[str, Any] = row["result"]
    match row["kind"]:
        case ReadingKind.LANGUAGE:
            if not result.get("lang"):
                return None
            return "language", f"{name_of(result['lang'])} {result.get('confidence', 0):.0%}", row["flagged"]
        case ReadingKind.TOXICITY:
            scores = sorted(
                ((name, score) for name, score in result.items() if score >= TOO_LOW), key=lambda one: -one[1]
            )
            words = ", ".join(f"{name.replace('_', ' ')} {score:.2f}" for name, score in scores[:3])
            return ("toxicity", words or f"< {TOO_LOW}", row["flagged"])
        case ReadingKind.PERSONAL_DATA:
            return ("personal data", str(len(result.get("spans", ()))), row["flagged"]) if row["flagged"] else None
    return None


def _reports_about(which: Q) -> QuerySet[Report]:
    """Return the open reports with what became of the earlier ones of each reporter. One statement."""
    theirs = Report.objects.filter(reporter=OuterRef("reporter")).exclude(status=Report.Status.OPEN)
    rows = Report.objects.filter(which, status=Report.Status.OPEN).select_related("reporter")
    counted = rows.annotate(
        settled=_number(theirs, "reporter"),
        upheld=_number(theirs.filter(status=Report.Status.UPHELD), "reporter"),
    )
    return counted.order_by("created_at")[:MAX_REPORTS]


def _fits(act: DeskAct, shown: Shown, message: Message, moderator: User) -> bool:
    """Return False for what the services would refuse; they decide again."""
    match act.name:
        case "grant" | "refuse":
            return shown.appeal is not None
        case "keep":
            return not message.deleted or bool(shown.reports)
        case "hide":
            return not message.is_withheld
        case "delete":
            return not message.deleted or bool(shown.reports)
        case "edit":
            may_answer = not (offered_actions.is_own(message, moderator) and shown.facts["proposal"])
            return may_answer and not (message.deleted or message.withdrawn)
        case "stop":
            return message.tree.state != State.HALTED_BY_MODERATOR and not message.deleted
        case "mask":
            return any(kind == "personal data" for kind, _, _ in shown.readings) and not shown.facts["proposal"]
        case "move":
            return not message.deleted
    return True


# --- People ---


def _show_author(shown: Shown, person_id: UUID | None, *, but: UUID | None = None) -> None:
    """Read the person and their latest texts. Two statements."""
    if person_id is None:
        return
    _show_history(shown, person_id)
    texts = _texts_of(person_id)
    if but is not None:
        texts = texts.exclude(pk=but)
    shown.texts = list(texts[:MAX_TEXTS])


def _texts_of(person_id: UUID) -> QuerySet[Message]:
    rows = Message.objects.filter(author=person_id).select_related("author").order_by("-created_at")
    return rows.defer("search", "text_digest", "imported")


def _show_history(shown: Shown, person_id: UUID, **more: Any) -> Any:
    written = Message.objects.filter(author=OuterRef("pk"))
    counts: dict[str, Any] = {
        "written": _number(written, "author"),
        "removed": _number(written.filter(deleted=True), "author"),
        "suspensions": _number(Ban.objects.filter(user=OuterRef("pk")), "user"),
        **_count_warnings(),
        **more,
    }
    shown.person = User.objects.filter(pk=person_id).annotate(**counts).first()
    return shown.person


def _count_warnings() -> dict[str, Any]:
    return {"warning_number": _number(AccountWarning.objects.filter(user=OuterRef("pk"), withdrawn_at=None), "user")}


def _show_person(shown: Shown, key: UUID, moderator: User) -> None:
    person = _show_history(shown, key, **_about_subject(shown.item))
    if person is None:
        shown.exists = False
        return
    shown.title = str(person)
    _take_notes(shown, {"desk_notes": person.desk_notes, "desk_seen": person.desk_seen})
    shown.texts = list(_texts_of(key)[:MAX_TEXTS])
    shown.bans = list(Ban.objects.filter(user=key).select_related("actor").order_by("-pk")[:MAX_TEXTS])
    sources = {reason.source for reason in shown.item.reasons}
    if Source.APPEAL in sources or not person.enabled:
        shown.appeal = _appeal_about(shown.item)
    if Source.TROLL in sources:
        shown.standing = TrollStanding.objects.filter(person=key, frame=Frame.WEEK.value).first()
    decides = has_higher_rank(moderator, person) and person.is_active
    shown.may_merge = decides and has_no_role(person)
    shown.acts = [act for act in TABLE[SubjectKind.PERSON] if _fits_person(act, shown, sources, decides)]


def _fits_person(act: DeskAct, shown: Shown, sources: set[str], decides: bool) -> bool:
    """Return False for what the services would refuse. An open appeal has to be answered, by lifting or refusing."""
    match act.name:
        case "keep":
            return shown.appeal is None
        case "grant" | "refuse":
            return decides and shown.appeal is not None
        case "suspend" | "ban":
            return decides and shown.person.enabled
        case "warn":
            return decides and shown.appeal is None
    return True


# --- Answers of the chat ---


def _show_chat(shown: Shown, key: UUID, moderator: User) -> None:
    rows = ChatReport.objects.filter(message=key, resolved_at=None).select_related("user", "message")
    shown.reports = list(rows.annotate(**_about_subject(shown.item)).order_by("pk")[:MAX_REPORTS])
    if not shown.reports:
        shown.exists = False
        return
    first = shown.reports[0]
    shown.chat, shown.title = first.message, first.message.content
    _take_notes(shown, {"desk_notes": first.desk_notes, "desk_seen": first.desk_seen})
    if first.message.parent_id is not None:
        shown.thread = thread_of(first.message.parent_id)[-MAX_BEFORE:]
    shown.acts = list(TABLE[SubjectKind.CHAT])


_SHOW: Mapping[str, Callable[[Shown, UUID, User], None]] = {
    SubjectKind.MESSAGE: _show_message,
    SubjectKind.TREE: _show_tree,
    SubjectKind.PERSON: _show_person,
    SubjectKind.CHAT: _show_chat,
}
