"""What waits for a moderator, read from the tables that say so. The desk keeps no copy of it.

Some sources have no status of their own, such as flags or a stopped conversation: a decision of the desk closes them,
until something newer comes.
"""

from collections.abc import Collection, Iterator
from datetime import timedelta
from functools import lru_cache
from typing import Any

from django.db import connection
from django.db.models import (
    Case,
    CharField,
    Count,
    Exists,
    F,
    IntegerField,
    Min,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
    UUIDField,
    Value,
    When,
)
from django.db.models.functions import Cast, Coalesce
from django.utils import timezone

from inference.models import ChatReport
from leaderboard.models import TrollStanding
from leaderboard.time_frames import Frame
from oasst.accounts.administrator_bans import open_proposals
from oasst.accounts.appeals import other_moderators
from oasst.accounts.models import Appeal, User
from oasst.site.desk.subjects import TARGETS, Reason, Source, Subject, SubjectKind
from oasst.site.models import DeskDecision, Escalation
from trees.enrichment.pairs import waiting_pairs
from trees.lifecycle import transitions
from trees.lifecycle.states import State
from trees.models import Message, MessageTree, Reaction, Report, TreeTransition
from trees.moderation import personal_data
from trees.moderation.queries import PROMPT_EXISTS, waiting_proposals, waiting_withdrawals

OF_EACH = 100
"""How many reasons of one source are looked at. The desk shows one item; the others are behind it."""
LOOKS_BACK = timedelta(days=30)
"""What reviewers did not accept is offered for so long."""
TROLL_SCORE = 10
"""Complaints of a week about one person, from which on the desk looks at them."""
_DANGEROUS = (
    Report.Category.HATE,
    Report.Category.SEXUAL,
    Report.Category.VIOLENCE,
    Report.Category.PERSONAL_DATA,
)
_NAMES = ("subject_kind", "subject_key", "source", "severity", "voices", "since", "in_lang")

Rows = QuerySet[Any, Any]


def read_reasons(moderator: User, langs: Collection[str] | None = None) -> list[Reason]:
    """Return what waits for this moderator, up to OF_EACH of each source. One statement.

    `langs` are the languages to look at, None for all; what is in no language is always there.
    """
    minute = int(timezone.now().timestamp() // 60)
    statement = _statement(moderator, moderator.is_superuser, None if langs is None else tuple(sorted(langs)), minute)
    with connection.cursor() as cursor:
        cursor.execute(statement)
        rows = cursor.fetchall()
    return [
        Reason(Subject(kind, key), source, severity, voices, since, lang)
        for kind, key, source, severity, voices, since, lang in rows
    ]


@lru_cache(maxsize=64)
def _statement(moderator: User, is_superuser: bool, langs: Collection[str] | None, minute: int) -> str:
    """Return the statement with its values in it.

    To build it takes ten times as long as to run it, and each item needs it twice, so it is kept for a minute: what in
    it depends on the time is about days.
    """
    first, *others = _sources(moderator, langs)
    sql, values = first.union(*others, all=True).query.sql_with_params()
    with connection.cursor() as cursor:
        written: str = cursor.mogrify(sql, values)
    return written


def _sources(moderator: User, langs: Collection[str] | None) -> Iterator[Rows]:
    if moderator.is_superuser:
        yield _passed_on()
        yield _bans_proposed(moderator)
    yield _appeals(moderator, langs)
    yield _of_chats()
    yield _trolls(moderator)
    yield _of_messages(
        _of_others(moderator, _in(langs, "message__lang", waiting_proposals())), Source.PROPOSAL, _acts(), F("voices")
    )
    reports = _in(langs, "message__lang", Report.objects.filter(status=Report.Status.OPEN))
    yield _of_messages(_of_others(moderator, reports), Source.REPORT, _danger(), Value(1))
    yield _of_messages(_in(langs, "message__lang", waiting_withdrawals()), Source.WITHDRAWAL, Value(3), Value(1))
    yield _flags(moderator, langs)
    yield _readings(langs)
    yield _pairs(langs)
    failed = MessageTree.objects.filter(state=State.SCORING_FAILED.value)
    yield _of_trees(_in(langs, "lang", failed), Source.SCORING_FAILED, 2)
    yield _of_trees(_in(langs, "lang", _halted()), Source.HALTED, 3)
    yield _of_trees(_in(langs, "lang", _low_grade()), Source.LOW_GRADE, 4)


def _in(langs: Collection[str] | None, column: str, rows: Rows) -> Rows:
    return rows if langs is None else rows.filter(**{f"{column}__in": list(langs)})


def _of_others(moderator: User, rows: Rows) -> Rows:
    """Leave out what people said against the moderator's own texts: somebody else decides about that."""
    return rows.exclude(message__author=moderator)


def _as_reasons(
    rows: Rows, kind: SubjectKind | F, source: Source, *, key: Any, severity: Any, voices: Any, since: Any, lang: Any
) -> Rows:
    """Return the first of these rows as reasons: all sources have the same columns."""
    columns = {
        "subject_kind": Cast(kind if isinstance(kind, F) else Value(kind.value), TextField()),
        "subject_key": Cast(key, TextField()),
        "source": Cast(Value(source.value), TextField()),
        "severity": Cast(severity, IntegerField()),
        "voices": Cast(voices, IntegerField()),
        "since": since,
        "in_lang": Cast(lang, TextField()),
    }
    renamed = {f"desk_{name}": columns[name] for name in _NAMES}
    return rows.annotate(**renamed).order_by(since).values_list(*renamed)[:OF_EACH]


def _of_messages(rows: Rows, source: Source, severity: Any, voices: Any) -> Rows:
    return _as_reasons(
        *(rows, SubjectKind.MESSAGE, source),
        key=F("message_id"),
        severity=severity,
        voices=voices,
        since=F("created_at"),
        lang=F("message__lang"),
    )


def _of_trees(rows: Rows, source: Source, severity: int) -> Rows:
    return _as_reasons(
        *(_undecided(rows, SubjectKind.TREE, "pk", "state_since"), SubjectKind.TREE, source),
        key=F("pk"),
        severity=Value(severity),
        voices=Value(0),
        since=F("state_since"),
        lang=F("lang"),
    )


def _of_people(rows: Rows, source: Source, severity: int, since: str, key: Any) -> Rows:
    return _as_reasons(
        *(rows, SubjectKind.PERSON, source),
        key=key,
        severity=Value(severity),
        voices=Value(1),
        since=F(since),
        lang=Value(""),
    )


def _undecided(rows: Rows, kind: SubjectKind, key: str, since: str) -> Rows:
    """Leave out what a decision of the desk closed that is not older."""
    closed = DeskDecision.objects.filter(
        subject_kind=kind, subject_id=Cast(OuterRef(key), CharField()), undone_at=None, at__gte=OuterRef(since)
    )
    return rows.filter(~Exists(closed))


def _bans_proposed(moderator: User) -> Rows:
    """Those that others proposed, about others."""
    rows = open_proposals().exclude(proposer=moderator).exclude(user=moderator)
    rows = _undecided(rows, SubjectKind.PERSON, "user_id", "at")
    return _of_people(rows, Source.BAN_PROPOSED, 0, "at", F("user_id"))


def _passed_on() -> Rows:
    return _as_reasons(
        *(Escalation.objects.filter(closed_at=None), F("subject_kind"), Source.PASSED_ON),
        key=F("subject_id"),
        severity=Value(0),
        voices=Value(1),
        since=F("at"),
        lang=Value(""),
    )


def _appeals(moderator: User, langs: Collection[str] | None) -> Rows:
    """Appeals are answered by somebody else than who decided, if there is anybody (`appeals.other_moderators`)."""
    suspended = User.objects.filter(pk=OuterRef("user"), bans__actor=moderator, bans__lifted_at=None)
    is_own = Q(Exists(suspended), entry=None) | Q(entry__actor=moderator)
    is_left = Exists(other_moderators(moderator))
    rows = Appeal.objects.filter(status=Appeal.Status.OPEN).exclude(user=moderator).exclude(is_own & Q(is_left))
    about = [When(entry__target_type=label, then=Value(kind.value)) for kind, label in TARGETS.items()]
    # What an entry is about has the id of a text only here, so only here it can be read as one.
    texts = [
        When(entry__target_type=label, then=Subquery(model.objects.filter(pk=_target_id()).values(lang)[:1]))
        for label, model, lang in (
            (TARGETS[SubjectKind.MESSAGE], Message, "tree__lang"),
            (TARGETS[SubjectKind.TREE], MessageTree, "lang"),
        )
    ]
    in_lang = Case(*texts, default=Value(""), output_field=TextField())
    rows = rows.annotate(about=Case(*about, default=Value(SubjectKind.PERSON.value)), appeal_lang=in_lang)
    if langs is not None:
        rows = rows.filter(appeal_lang__in=["", *langs])
    is_text = Q(entry__target_type__in=TARGETS.values())
    key = Case(When(is_text, then=F("entry__target_id")), default=Cast("user_id", CharField()))
    return _as_reasons(
        *(rows, F("about"), Source.APPEAL),
        key=key,
        severity=Value(2),
        voices=Value(1),
        since=F("created_at"),
        lang=F("appeal_lang"),
    )


def _target_id() -> Any:
    return Cast(OuterRef("entry__target_id"), UUIDField())


def _of_chats() -> Rows:
    return _as_reasons(
        *(ChatReport.objects.filter(resolved_at=None), SubjectKind.CHAT, Source.CHAT_REPORT),
        key=F("message_id"),
        severity=Value(2),
        voices=Value(1),
        since=F("created_at"),
        lang=Value(""),
    )


def _trolls(moderator: User) -> Rows:
    rows = TrollStanding.objects.filter(frame=Frame.WEEK.value, score__gte=TROLL_SCORE, person__enabled=True)
    rows = rows.exclude(person=moderator)
    return _as_reasons(
        *(_undecided(rows, SubjectKind.PERSON, "person_id", "updated_at"), SubjectKind.PERSON, Source.TROLL),
        key=F("person_id"),
        severity=Value(3),
        voices=F("red_flags"),
        since=F("updated_at"),
        lang=Value(""),
    )


def _acts() -> Any:
    return Case(When(Q(hides=True) | Q(stops=True), then=1), default=2)


def _danger() -> Any:
    return Case(When(category__in=_DANGEROUS, then=1), default=2)


def _flags(moderator: User, langs: Collection[str] | None) -> Rows:
    """Flags alone: those of a report or a proposal are counted there."""
    reported = Report.objects.filter(message=OuterRef("message"), status=Report.Status.OPEN)
    flags = Reaction.objects.filter(~Exists(reported), emoji=Reaction.RED_FLAG, voided_at=None)
    flags = _of_others(moderator, flags.filter(message__deleted=False, message__hidden=False))
    flags = _undecided(_in(langs, "message__lang", flags), SubjectKind.MESSAGE, "message_id", "created_at")
    by_message = flags.order_by().values("message_id", "message__lang")
    rows = by_message.annotate(people=Count("pk"), first_at=Min("created_at"))
    return _as_reasons(
        *(rows, SubjectKind.MESSAGE, Source.FLAG),
        key=F("message_id"),
        severity=Value(3),
        voices=F("people"),
        since=F("first_at"),
        lang=F("message__lang"),
    )


def _readings(langs: Collection[str] | None) -> Rows:
    return _as_reasons(
        *(_in(langs, "revision__message__lang", personal_data.readings()), SubjectKind.MESSAGE, Source.PERSONAL_DATA),
        key=F("revision__message_id"),
        severity=Value(2),
        voices=Value(0),
        since=Coalesce("read_at", "revision__created_at"),
        lang=F("revision__message__lang"),
    )


def _pairs(langs: Collection[str] | None) -> Rows:
    """The later message of each pair."""
    return _as_reasons(
        *(_in(langs, "second__lang", waiting_pairs()), SubjectKind.MESSAGE, Source.NEAR_DUPLICATE),
        key=F("second_id"),
        severity=Value(4),
        voices=Value(0),
        since=F("created_at"),
        lang=F("second__lang"),
    )


def _halted() -> Rows:
    """Conversations that stopped because nothing of them is left. Other halts are decisions, or wait for one."""
    by_itself = TreeTransition.objects.filter(
        tree=OuterRef("pk"),
        at=OuterRef("state_since"),
        to_state=State.HALTED_BY_MODERATOR.value,
        reason=transitions.NOTHING_LEFT,
    )
    return MessageTree.objects.filter(PROMPT_EXISTS, Exists(by_itself), state=State.HALTED_BY_MODERATOR.value)


def _low_grade() -> Rows:
    since = timezone.now() - LOOKS_BACK
    return MessageTree.objects.filter(PROMPT_EXISTS, state=State.ABORTED_LOW_GRADE.value, state_since__gte=since)
