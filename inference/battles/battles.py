"""Begin a battle, decide it, or give it up. Every act locks its row first and is one transaction."""

import random
from collections.abc import Collection
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from inference.battles.contestants import NOISE, Kind, draw, kinds_for
from inference.chats import asking
from inference.models import Battle, Chat, ChatMessage, Turn
from inference.policy import ChatPolicy
from inference.registry.offer import still_offered
from inference.turns import lifecycle
from inference.turns.states import OPEN, TurnState
from oasst.accounts.access import require_contributor
from oasst.accounts.models import User
from oasst.core import ratelimit
from oasst.core.errors import Conflict, Invalid, NotFound
from oasst.core.locks import advisory_lock
from oasst.core.text import language_detection
from oasst.core.text.validation import clean_line, clean_optional

COMMENT_LENGTH = 500
MOST_OPEN = 5
"""Of one person. Who has more first decides some, or gives them up."""
_chance = random.SystemRandom()

Outcome = Battle.Outcome


def begin(*, user: User, text: str, kind: str, policy: ChatPolicy) -> Battle:
    """Ask a question of two contestants. Raise NotAllowed, Invalid, Busy, Conflict (`chat_off`, `too_many_battles`),
    and then store nothing.
    """
    require_contributor(user)
    offered = kinds_for(user)
    if not offered:
        raise Conflict(_("Chat is switched off on this site."), code="chat_off")
    if kind not in offered:
        raise Invalid(_("Choose one of the comparisons on the page."), code="bad_kind", field="kind")
    lang = language_detection.detect(text).tag or user.working_language
    pairing = draw(user, Kind(kind), _chance)
    with transaction.atomic(durable=True):
        advisory_lock("battles of", user.pk)  # so that the limit is exact
        if open_battles_of(user).count() >= MOST_OPEN:
            raise Conflict(
                _("%(most)d comparisons of yours wait for your decision.") % {"most": MOST_OPEN},
                code="too_many_battles",
                hint=_("Decide one of them, or give it up."),
            )
        left, right = asking.start_blind_chat(user=user, text=text, policy=policy, sides=pairing.sides())
        return Battle.objects.create(
            user=user,
            chat_id=left.message.chat_id,
            left=left.message,
            right=right.message,
            left_model=pairing.left.model,
            left_preset=pairing.left.preset,
            right_model=pairing.right.model,
            right_preset=pairing.right.preset,
            is_check=bool(pairing.noise),
            lang=lang,
        )


def decide(*, user: User, battle_id: UUID, outcome: str, why: Collection[str] = (), comment: str = "") -> Battle:
    """Store the person's decision, once. The chat then is one as any other, and goes on with the better answer.

    The same decision again changes nothing. Raise NotAllowed, NotFound, Invalid (`bad_outcome`, `bad_why`, the
    comment), Busy, Conflict (`already_decided`, `not_answered`).
    """
    require_contributor(user)
    if outcome not in Outcome.values:
        raise Invalid(_("Say which answer is better, or both, or neither."), code="bad_outcome", field="outcome")
    if not set(why) <= set(Battle.Why.values):
        raise Invalid(_("Choose reasons of the list."), code="bad_why", field="why")
    comment = clean_optional(comment, limit=COMMENT_LENGTH, field="comment", clean=clean_line)
    ratelimit.count_use(ratelimit.CHAT_VOTES, user.pk)
    with transaction.atomic(durable=True):
        battle = _lock(user, battle_id)
        if battle.outcome:
            if battle.outcome != outcome:
                raise Conflict(_("You decided this already. A decision is not changed."), code="already_decided")
            return battle
        states = Turn.objects.filter(message__in=(battle.left_id, battle.right_id)).values_list("state", flat=True)
        if set(states) != {TurnState.COMPLETE}:
            raise Conflict(_("Both answers must be there before they can be compared."), code="not_answered")
        battle.outcome, battle.comment, battle.judged_at = outcome, comment, timezone.now()
        battle.why = [reason for reason in Battle.Why.values if reason in why]
        battle.save(update_fields=["outcome", "why", "comment", "judged_at"])
        _open_chat(battle)
    return battle


def give_up(*, user: User, battle_id: UUID) -> None:
    """Delete an undecided battle with its chat. Raise NotFound, Busy, Conflict `already_decided`."""
    ratelimit.count_use(ratelimit.CHAT_CHANGES, user.pk)
    with transaction.atomic(durable=True):
        battle = _lock(user, battle_id)
        if battle.outcome:
            raise Conflict(_("You decided this already. Delete its chat instead."), code="already_decided")
        # Blind for ever: what is deleted can be restored for a while, and nobody learns by giving up.
        Chat.objects.filter(pk=battle.chat_id).update(deleted_at=timezone.now())
        turns = Turn.objects.filter(message__chat=battle.chat_id, state__in=OPEN)
        stopped = list(turns.values_list("pk", flat=True))
        battle.delete()
    for turn_id in stopped:
        lifecycle.stop(turn_id)


def get_battle_for(user: User, battle_id: UUID) -> Battle:
    """Return it with its answers. Raise NotFound."""
    battles = _of(user).select_related("left__parent", "left__turn", "right__turn")
    battle = battles.defer("left__turn__token_ids", "right__turn__token_ids").filter(pk=battle_id).first()
    if battle is None:
        raise _not_found()
    return battle


def is_noise(turn: Turn) -> bool:
    """Return whether this answer of a check is the one that is noise on purpose."""
    return bool(turn.sampling.get("temperature") == NOISE["temperature"])


def open_battles_of(user: User) -> QuerySet[Battle]:
    """Return the battles that the user has not decided, the newest first."""
    return _of(user).filter(outcome="").select_related("left__parent").order_by("-begun_at", "-pk")


def _of(user: User) -> QuerySet[Battle]:
    return Battle.objects.filter(user=user, chat__deleted_at=None)


def _lock(user: User, battle_id: UUID) -> Battle:
    """Lock the chat, then the battle: the order in which a chat is deleted."""
    chats = Chat.objects.filter(user=user, battle=battle_id, deleted_at=None)
    list(chats.select_for_update(of=("self",), no_key=True).values_list("pk"))
    battle = _of(user).select_for_update(of=("self",), no_key=True).filter(pk=battle_id).first()
    if battle is None:
        raise _not_found()
    return battle


def _open_chat(battle: Battle) -> None:
    """Let the chat be seen, and end with the better answer; with the left one if neither is."""
    side = "right" if battle.outcome == Outcome.RIGHT else "left"
    better: ChatMessage = getattr(battle, side)
    model = still_offered(battle.user, getattr(battle, f"{side}_model"))
    Chat.objects.filter(pk=battle.chat_id).update(blind=False, active_tail=better, model=model)


def _not_found() -> NotFound:
    return NotFound(_("There is no such comparison."), code="battle_not_found")
