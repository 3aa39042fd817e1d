"""People give chats to the data set. Reads the chat downhill; nothing of it is changed. Decision 154.

A branch, or one exchange of it, becomes a tree: the first question is a prompt by the person, the answers of the model
are synthetic messages without an author, later questions are replies by the person. It enters as any other prompt.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from inference.chats.access import get_chat_for, lock_chat_for
from inference.chats.conversation import tail_of
from inference.engine.base import Finish
from inference.models import Chat, ChatMessage
from inference.models import Role as ChatRole
from inference.scoring import personal_data
from inference.scoring.personal_data import Finding
from inference.turns.states import TurnState
from oasst.accounts.access import require_contributor
from oasst.accounts.locks import require_contributor_now
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import Conflict, DomainError, Invalid, NotFound
from oasst.core.text import language_detection
from oasst.core.text.language_detection import Detection
from oasst.core.text.validation import clean_pool_tag, clean_text
from trees.contributing import posting
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Donation, Message, MessageTree, Role


@dataclass(frozen=True)
class Spot:
    """A piece of personal data that is masked if the person leaves its box checked."""

    key: str
    text: str
    mask: str


@dataclass(frozen=True)
class Piece:
    """One message that would be given. `model_name` is empty for what the person wrote."""

    id: UUID
    number: int
    text: str
    findings: Sequence[Finding] = ()
    model_name: str = ""

    @property
    def spots(self) -> list[Spot]:
        return [Spot(self._key(found), self.text[found.start : found.end], found.mask) for found in self.findings]

    def with_masks(self, masked: Collection[str] | None) -> str:
        """Return the text as it would be stored: these spots are masked, or all of them (None)."""
        chosen = [found for found in self.findings if masked is None or self._key(found) in masked]
        return personal_data.mask(self.text, chosen)

    def _key(self, found: Finding) -> str:
        return f"{self.number}-{found.start}-{found.end}"


@dataclass(frozen=True)
class Offer:
    """What giving this part of a chat would give, or why it cannot be given."""

    chat: Chat
    lang: str
    pieces: Sequence[Piece] = ()
    left_out: str = ""  # why the branch goes on, and the rest is not given
    given: Donation | None = None
    refusal: DomainError | None = None
    ends: Sequence[UUID] = field(default=())  # the answers with which a shorter part could end

    @property
    def digest(self) -> str:
        """Return what the form sends back, so that nothing is given that the person has not seen."""
        parts = [f"{one.id} {one.text} {[(f.start, f.end, f.kind) for f in one.findings]}" for one in self.pieces]
        return hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:32]


def get_offer_for(user: User, chat_id: UUID, *, upto: UUID | None, alone: bool, lang: str, policy: TreePolicy) -> Offer:
    """Return what would be given of the branch that ends with the answer `upto` (None: the branch of the page), or of
    that one exchange. `lang` is the language to file it under; empty: the detected one. Raise NotFound, Invalid.
    """
    return _offer(user, get_chat_for(user, chat_id), upto, alone, lang, policy)


def give(
    *,
    user: User,
    chat_id: UUID,
    upto: UUID | None,
    alone: bool,
    lang: str,
    masked: Collection[str],
    seen: str,
    policy: TreePolicy,
) -> Donation:
    """Give it, and return the donation; one transaction. The same part again leads to the tree that it became.

    `masked` are keys of spots, `seen` the digest of the offer that the person saw. Raise NotFound, NotAllowed, Busy
    (`rate_limited`), Invalid, Conflict (`chat_hidden`, `nothing_to_give`, `part_given`,
    `chat_changed`, `enough_prompts`, `duplicate`).
    """
    require_contributor(user)
    lang = clean_pool_tag(lang)
    early = get_offer_for(user, chat_id, upto=upto, alone=alone, lang=lang, policy=policy)
    if early.given is not None:
        return early.given
    ratelimit.count_use(ratelimit.DONATIONS, user.pk)
    detections = [language_detection.detect(piece.text) for piece in early.pieces]  # takes time: before any lock
    with transaction.atomic(durable=True):
        require_contributor_now(user)
        offer = _offer(user, lock_chat_for(user, chat_id), upto, alone, lang, policy)
        if offer.given is not None:
            return offer.given
        if offer.refusal is not None:
            raise offer.refusal
        if offer.digest != seen or offer.digest != early.digest:
            raise Conflict(
                _("What would be given is not what the page showed."),
                code="chat_changed",
                hint=_("Look at it again, and send it then."),
            )
        _refuse_full(lang, policy)
        texts = [piece.with_masks(masked) for piece in offer.pieces]
        given = _post(user, offer, texts, detections, policy)
        spots = {spot.key for piece in offer.pieces for spot in piece.spots}
        return Donation.objects.create(
            user=user,
            chat=offer.chat,
            tree_id=given[0].tree_id,
            first_question=offer.pieces[0].id,
            messages={str(p.id): str(m.pk) for p, m in zip(offer.pieces, given, strict=True)},
            masked=len(spots & set(masked)),
        )


def donations_of(chat: Chat) -> list[Donation]:
    """Return what was given of this chat, oldest first. One statement."""
    return list(Donation.objects.filter(chat=chat, user=chat.user_id).order_by("pk"))


# --- What would be given ---


def _offer(user: User, chat: Chat, upto: UUID | None, alone: bool, lang: str, policy: TreePolicy) -> Offer:
    exchanges = _exchanges(chat, upto, alone)
    question = exchanges[0][0].content if exchanges else ""
    lang = lang or language_detection.detect(question).tag or user.working_language
    rules = policy.in_language(lang)
    # An exchange is two levels. Half of the wanted size stays for what people write beside it.
    most = max(1, min((rules.max_tree_depth + 1) // 2, rules.goal_tree_size // 4))
    pieces: list[Piece] = []
    obstacle: Conflict | None = None
    for asked, answer in exchanges:
        obstacle = _obstacle(asked, answer, len(pieces) // 2, most, rules)
        if obstacle is not None:
            break
        pieces += [_piece(asked, len(pieces), lang), _piece(answer, len(pieces) + 1, lang)]
    refusal: DomainError | None = None if pieces else obstacle or _nothing()
    if chat.hidden:
        refusal = Conflict(
            _("This chat is hidden."), code="chat_hidden", hint=_("Show it in your list again, then give it.")
        )
    asked_ids = [str(piece.id) for piece in pieces if not piece.model_name]
    known = Donation.objects.filter(user=user, messages__has_any_keys=asked_ids).order_by("pk") if pieces else ()
    given = next((one for one in known if one.first_question == pieces[0].id), None)
    if given is None and known:
        refusal = Conflict(
            _("You gave a part of this already."), code="part_given", hint=_("Each question can be given once.")
        )
    return Offer(
        chat,
        lang,
        pieces=pieces,
        left_out=obstacle.message if obstacle is not None else "",
        given=given,
        refusal=refusal,
        ends=[piece.id for piece in pieces if piece.model_name],
    )


def _exchanges(chat: Chat, upto: UUID | None, alone: bool) -> list[tuple[ChatMessage, ChatMessage]]:
    """Return the questions of the branch with their answers. Raise NotFound if `upto` is not in the chat."""
    tail = upto or tail_of(chat)
    ids = ChatMessage.objects.thread_ids(tail) if tail is not None else []
    ids = ids[-2:] if alone else ids[:LONGEST]
    rows = chat.messages.filter(pk__in=ids).select_related("turn").prefetch_related("reports")
    messages = {message.pk: message for message in rows.defer("turn__token_ids")}
    if upto is not None and upto not in messages and not chat.messages.filter(pk=upto).exists():
        raise NotFound(_("There is no such message in this chat."), code="message_not_found")
    thread = [messages[pk] for pk in ids if pk in messages]
    return [
        (asked, answer)
        for asked, answer in pairwise(thread)
        if asked.role == ChatRole.PROMPTER and answer.role == ChatRole.ASSISTANT
    ]


LONGEST = 40
"""Messages of a branch that are looked at; trees are never as deep."""


def _obstacle(asked: ChatMessage, answer: ChatMessage, number: int, most: int, rules: TreePolicy) -> Conflict | None:
    """Return why this exchange cannot be given, or None. `number` others go before it."""
    turn = answer.turn
    if number >= most:
        words = _("Conversations of the data set begin with at most %(most)d questions with answers.") % {"most": most}
        return Conflict(words, code="too_deep")
    if turn.state != TurnState.COMPLETE or not answer.content.strip():
        return Conflict(_("This answer was not finished."), code="unfinished", hint=_("Ask for another one."))
    if turn.finish_reason == Finish.LENGTH:
        return Conflict(_("This answer was cut off at its longest."), code="cut_off", hint=_("Ask for another one."))
    if turn.by_program or turn.prompt is not None:
        words = _("A program asked this. Only what you asked on these pages can be given.")
        return Conflict(words, code="by_program")
    if answer.reports.all():
        return Conflict(_("You reported this answer, so it is not given."), code="reported")
    for message in (asked, answer):
        try:
            clean_text(message.content, limit=rules.message_size_limit)
        except Invalid as error:
            return Conflict(error.message, code="does_not_fit", hint=error.hint)
    return None


def _piece(message: ChatMessage, number: int, lang: str) -> Piece:
    text = clean_text(message.content, limit=len(message.content))
    findings = personal_data.find(text, lang) if settings.OASST_SCORING else []
    return Piece(message.pk, number, text, findings, message.turn.model if number % 2 else "")


def _nothing() -> Conflict:
    return Conflict(
        _("There is no answered question here to give."), code="nothing_to_give", hint=_("Ask the assistant something.")
    )


# --- The tree ---


def _refuse_full(lang: str, policy: TreePolicy) -> None:
    """Raise Conflict while more prompts of this language wait for reviewers than they can review. Those who give at the
    same moment may pass together, which does no harm.
    """
    waiting = MessageTree.objects.filter(lang=lang, state=State.INITIAL_PROMPT_REVIEW.value).count()
    if waiting >= policy.in_language(lang).max_initial_prompt_review:
        raise Conflict(
            _("Enough prompts of this language wait for reviewers already."),
            code="enough_prompts",
            hint=_("Review some of them, or try again in a few days."),
        )


def _post(
    user: User, offer: Offer, texts: Sequence[str], detections: Sequence[Detection], policy: TreePolicy
) -> list[Message]:
    """Post the prompt and what follows it, each below the one before."""
    prompt = posting.post_prompt(author=user, text=texts[0], lang=offer.lang, policy=policy, detection=detections[0])
    given = [prompt]
    locked = lock_tree(prompt.tree_id, policy)
    for piece, text, detection in list(zip(offer.pieces, texts, detections, strict=True))[1:]:
        parent, text = given[-1], clean_text(text, limit=policy.message_size_limit)
        about: dict[str, Any] = {"text": text, "detection": detection}
        if piece.model_name:
            about |= {"model_name": piece.model_name, "consent": user.terms_version}
            given.append(posting.add_synthetic_reply(locked, parent, **about))
        else:
            about |= {"role": Role.PROMPTER, "lang": offer.lang, "frontend_message_id": None}
            given.append(posting.add_reply(locked, parent, author=user, **about))
    return given
