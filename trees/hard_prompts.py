"""Questions from chats that were answered badly, proposed to staff as prompts of the data set. Decision 155.

Only first questions (a prompt has to stand alone) of chats whose person lets them be used, masked of personal data.
Nobody sees who asked, and a proposal goes with its chat.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.utils import timezone
from django.utils.translation import gettext as _

from inference.engine.base import Message
from inference.models import Chat, ChatMessage, ChatReport, Vote
from inference.models import Role as ChatRole
from inference.scoring import personal_data
from inference.turns.states import TurnState
from oasst.accounts.access import require_moderator
from oasst.accounts.models import User
from oasst.accounts.rights import require_language
from oasst.core.audit.acts import Act
from oasst.core.audit.rows import Watched, recorded_rows
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.core.text import language_detection
from oasst.core.text.validation import clean_reason, clean_text
from trees import acts
from trees.contributing import posting
from trees.enrichment import sketches
from trees.enrichment.near_duplicates import find_similar
from trees.lifecycle.policy import TreePolicy
from trees.models import Donation, HardPrompt

MOST_OPEN = 100
"""While so many wait for staff, nothing more is proposed."""
MOST_AT_ONCE = 20
LOOKED_AT = 200  # the newest candidates of one run
DAYS = 90  # older questions are left alone
LONGEST = 500  # characters: a long first question is somebody's own text rather than a question
AGAIN = 3  # answers to one question, from which on it counts as answered again and again
LEAST_JUDGED = 20  # answers, below which a low score says nothing
LOWEST = 0.1  # share of the judged answers whose score is low

Why = HardPrompt.Why
Scores = Callable[[Sequence[Sequence[Message]]], Sequence[float]]
"""Returns for conversations that end with an answer how good it is."""


@dataclass(frozen=True)
class Candidate:
    question: ChatMessage
    text: str
    lang: str
    why: list[Why]


def propose(policy: TreePolicy) -> int:
    """Propose new ones, and drop those whose chat may not be used any more. Return how many are new.

    Safe to run twice and concurrently.
    """
    return _store(_candidates(policy))


def propose_lowest(policy: TreePolicy, scores: Scores) -> int:
    """Propose those whose answers a reward model likes least, and return how many are new. It may take minutes.

    Scores of different questions compare poorly, so only the lowest tenth counts, and people look at each. Raise
    Conflict `too_few_answers` if there are too few to compare.
    """
    found = _with_answers()
    if len(found) < LEAST_JUDGED:
        raise Conflict(
            _("There are %(number)d answers to judge, and %(least)d are needed to tell low scores from others.")
            % {"number": len(found), "least": LEAST_JUDGED},
            code="too_few_answers",
        )
    values = scores([[Message("user", row.content), Message("assistant", answer)] for row, answer in found])
    lowest = sorted(zip(values, found, strict=True), key=lambda one: one[0])[: int(len(found) * LOWEST)]
    candidates = (_candidate(row, policy, [Why.LOW_SCORE]) for _value, (row, _answer) in lowest)
    return _store(one for one in candidates if one is not None)


def _store(candidates: Iterable[Candidate]) -> int:
    """Store those that are unlike all prompts and proposals while there is room; drop what may not be used any more."""
    waiting_rows = HardPrompt.objects.filter(status=HardPrompt.Status.OPEN)
    waiting_rows.exclude(pk__in=usable(waiting_rows).values("pk")).delete()
    waiting = list(waiting_rows.values_list("text", flat=True))
    room = min(MOST_AT_ONCE, MOST_OPEN - len(waiting))
    known = [sketches.grams(text) for text in waiting]
    number = 0
    for one in candidates:
        if number >= room:
            break
        grams = sketches.grams(one.text)
        if any(sketches.similarity(grams, other) >= sketches.LEAST_WORDING for other in known):
            continue
        if find_similar(one.text, one.lang, limit=1):
            continue
        known.append(grams)
        values = {"text": one.text, "lang": one.lang, "why": one.why}
        number += HardPrompt.objects.get_or_create(question=one.question, defaults=values)[1]
    return number


def usable(rows: QuerySet[HardPrompt]) -> QuerySet[HardPrompt]:
    """Filter those whose chat is there and may be used, and decided ones, which no longer hold its text."""
    chat_is_there = Q(**{f"question__chat__{name}": value for name, value in _MAY_BE_USED.items()})
    return rows.filter(~Q(status=HardPrompt.Status.OPEN) | chat_is_there)


def take(*, proposal_id: int, actor: User, reason: str, policy: TreePolicy) -> HardPrompt:
    """Post it as a prompt without an author, which is reviewed as any other. Raise NotAllowed, Invalid (no reason, the
    text), NotFound, Conflict (`already_decided`, `similar_prompt`).
    """
    require_moderator(actor)
    reason = clean_reason(reason)
    known = _get(proposal_id)
    detection = language_detection.detect(known.text)
    with transaction.atomic(durable=True):
        proposal = _lock(proposal_id, actor)
        if find_similar(proposal.text, proposal.lang, limit=1):
            raise Conflict(_("The data set has such a prompt by now."), code="similar_prompt")
        with _recorded(proposal, acts.TAKE_HARD_PROMPT, actor, reason):
            prompt = posting.post_prompt(
                author=None,
                text=proposal.text,
                lang=proposal.lang,
                policy=policy,
                detection=detection,
                # Who takes it answers for it: it names nobody, and is no work of somebody else's.
                consent=actor.terms_version,
            )
            _decide(proposal, HardPrompt.Status.TAKEN, actor, reason, tree_id=prompt.tree_id)
    return proposal


def refuse(*, proposal_id: int, actor: User, reason: str) -> None:
    """Keep it out for good. Raise NotAllowed, Invalid (no reason), NotFound, Conflict `already_decided`."""
    require_moderator(actor)
    reason = clean_reason(reason)
    with transaction.atomic(durable=True):
        proposal = _lock(proposal_id, actor)
        with _recorded(proposal, acts.REFUSE_HARD_PROMPT, actor, reason):
            _decide(proposal, HardPrompt.Status.REFUSED, actor, reason)


# --- Which questions ---

_MAY_BE_USED = {"allow_data_use": True, "deleted_at": None, "ephemeral": False, "user__is_active": True}


def _questions() -> QuerySet[ChatMessage]:
    """Return first questions that may be used and were neither proposed nor given, the newest first."""
    return (
        ChatMessage.objects.filter(
            parent=None,
            role=ChatRole.PROMPTER,
            created_at__gte=timezone.now() - timedelta(days=DAYS),
            **{f"chat__{name}": value for name, value in _MAY_BE_USED.items()},
        )
        .exclude(Exists(HardPrompt.objects.filter(question=OuterRef("pk"))))
        .exclude(Exists(Donation.objects.filter(first_question=OuterRef("pk"))))
        .order_by("-created_at", "-id")
    )


def _candidates(policy: TreePolicy) -> Iterator[Candidate]:
    """Yield the newest questions that were answered badly, those with most reasons first. One statement."""
    downs = Vote.objects.filter(message__parent=OuterRef("pk"), score=-1)
    reports = ChatReport.objects.filter(message__parent=OuterRef("pk"))
    rows: Any = (
        _questions()
        .annotate(down=Exists(downs), reported=Exists(reports), answers=Count("replies"))
        .filter(Q(down=True) | Q(reported=True) | Q(answers__gte=AGAIN))
    )
    found = []
    for row in rows[:LOOKED_AT]:
        facts = {Why.THUMB_DOWN: row.down, Why.REPORTED: row.reported, Why.ASKED_AGAIN: row.answers >= AGAIN}
        candidate = _candidate(row, policy, [why for why, is_so in facts.items() if is_so])
        if candidate is not None:
            found.append(candidate)
    yield from sorted(found, key=lambda one: -len(one.why))


def _with_answers() -> list[tuple[ChatMessage, str]]:
    """Return the newest questions with their last complete answers. One statement."""
    answers = ChatMessage.objects.filter(parent=OuterRef("pk"), turn__state=TurnState.COMPLETE).exclude(content="")
    rows: Any = _questions().annotate(answer=Subquery(answers.order_by("-created_at", "-id").values("content")[:1]))
    return [(row, row.answer) for row in rows.exclude(answer=None)[:LOOKED_AT]]


def _candidate(question: ChatMessage, policy: TreePolicy, why: list[Why]) -> Candidate | None:
    try:
        text = clean_text(question.content, limit=min(LONGEST, policy.message_size_limit))
    except Invalid:
        return None
    lang = language_detection.detect(text).tag or "en"
    findings = personal_data.find(text, lang) if settings.OASST_SCORING else []
    return Candidate(question, personal_data.mask(text, findings), lang, why)


# --- Deciding ---


def _get(proposal_id: int) -> HardPrompt:
    proposal = usable(HardPrompt.objects.filter(pk=proposal_id)).first()
    if proposal is None:
        raise NotFound(_("This question is not there any more: its chat was deleted."), code="proposal_not_found")
    if proposal.status != HardPrompt.Status.OPEN:
        raise Conflict(_("Somebody has decided about this already."), code="already_decided")
    return proposal


def _lock(proposal_id: int, actor: User) -> HardPrompt:
    """Lock the chat, which must not be deleted meanwhile, then the proposal."""
    chats = Chat.objects.filter(messages__in=HardPrompt.objects.filter(pk=proposal_id).values("question"))
    list(chats.select_for_update(of=("self",), no_key=True).values_list("pk"))
    list(HardPrompt.objects.select_for_update(of=("self",), no_key=True).filter(pk=proposal_id).values_list("pk"))
    proposal = _get(proposal_id)
    require_language(actor, proposal.lang)
    return proposal


def _recorded(proposal: HardPrompt, act: Act, actor: User, reason: str) -> AbstractContextManager[object]:
    """Record the decision, without the text and whose it was."""
    watched = Watched(HardPrompt.objects.filter(pk=proposal.pk), ("status", "tree_id"))
    return recorded_rows(act, proposal, {"hard_prompt": watched}, actor=actor, reason=reason)


def _decide(proposal: HardPrompt, status: HardPrompt.Status, actor: User, reason: str, **values: object) -> None:
    """Store the decision. The text is in the tree, or of no more use."""
    values |= {"status": status, "decided_by": actor, "decided_at": timezone.now(), "reason": reason, "text": ""}
    for name, value in values.items():
        setattr(proposal, name, value)
    proposal.save(update_fields=[name.removesuffix("_id") for name in values])
