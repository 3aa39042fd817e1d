"""Pages on which two answers are compared without names, and the board of models that comes of it."""

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from inference.battles import battles
from inference.battles.contestants import Kind, kinds_for
from inference.battles.rating import STYLES, standing_of
from inference.chats.presets import DEFAULT, NAMES
from inference.models import Battle, BattleBoard, ChatMessage
from inference.policy import current_policy
from inference.turns.states import OPEN, TurnState
from inference.views.pages import with_error
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Busy, Conflict, DomainError, Invalid
from oasst.core.http import kept_forms
from oasst.core.http.kept_forms import keep_until_accepted
from oasst.core.markdown import rendering, streaming
from oasst.core.text.languages import name_of
from oasst.core.text.validation import clean_language_tag

KIND_NAMES = {
    Kind.MODELS: gettext_lazy("two models"),
    Kind.PRESETS: gettext_lazy("two settings of one model"),
    Kind.DRAFTS: gettext_lazy("two drafts of one model"),
}


@login_required
@require_safe
def start(request: SignedInRequest) -> HttpResponse:
    """Where a question is asked of two, with what the person has not decided yet."""
    return _start_page(request)


@keep_until_accepted("battles")
@login_required
@require_POST
def begin(request: SignedInRequest) -> HttpResponse:
    text, kind = request.POST.get("text", ""), request.POST.get("kind", "")
    try:
        battle = battles.begin(user=request.user, text=text, kind=kind, policy=current_policy())
    except (Invalid, Conflict, Busy) as error:
        return _start_page(request, error=error, typed=text, kind=kind)
    return redirect("battle", battle.pk)


@login_required
@require_safe
def battle(request: SignedInRequest, battle_id: UUID) -> HttpResponse:
    return _battle_page(request, battle_id)


@keep_until_accepted("battle")
@login_required
@require_POST
def decide(request: SignedInRequest, battle_id: UUID) -> HttpResponse:
    try:
        battles.decide(
            user=request.user,
            battle_id=battle_id,
            outcome=request.POST.get("outcome", ""),
            why=request.POST.getlist("why"),
            comment=request.POST.get("comment", ""),
        )
    except (Invalid, Conflict) as error:
        kept_forms.set_refused(request, error)
        return _battle_page(request, battle_id, error=error)
    return redirect("battle", battle_id)


@login_required
@require_POST
def give_up(request: SignedInRequest, battle_id: UUID) -> HttpResponse:
    battles.give_up(user=request.user, battle_id=battle_id)
    messages.success(request, _("The comparison is deleted."))
    return redirect("battles")


@login_required
@require_safe
def board(request: SignedInRequest) -> HttpResponse:
    lang = clean_language_tag(request.GET["lang"]) if request.GET.get("lang") else ""
    boards = {one.lang: one for one in BattleBoard.objects.order_by("lang")}
    shown = boards.get(lang)
    context = {
        "board": shown,
        "rows": standing_of(shown) if shown is not None else [],
        "styles": [(name, shown.styles.get(name, 0)) for name in STYLES] if shown is not None else [],
        "default_preset": DEFAULT,
        "lang": lang,
        "languages": [(code, name_of(code), code == lang) for code in boards if code],
        "may_compare": bool(kinds_for(request.user)),
    }
    return render(request, "chat/board.html", context)


def _start_page(
    request: SignedInRequest, *, error: DomainError | None = None, typed: str = "", kind: str = ""
) -> HttpResponse:
    if error is None and (refused := kept_forms.find_kept_form(request, reverse("battle_begin"))):
        typed, kind = refused.fields.get("text", ""), refused.fields.get("kind", "")
    offered = kinds_for(request.user)
    chosen = kind if kind in offered else next(iter(offered), "")
    context = {
        "kinds": [(one.value, KIND_NAMES[one], one == chosen) for one in offered],
        "waiting": list(battles.open_battles_of(request.user)),
        "error": error,
        "typed": typed,
        "text_limit": current_policy().message_length,
    }
    return with_error(render(request, "chat/battles.html", context), error)


def _battle_page(request: SignedInRequest, battle_id: UUID, *, error: DomainError | None = None) -> HttpResponse:
    shown = battles.get_battle_for(request.user, battle_id)
    kept = kept_forms.find_kept_form(request, reverse("battle_decide", args=[battle_id]))
    sides = [_side(shown, "left"), _side(shown, "right")]
    context = {
        "battle": shown,
        "question": shown.left.parent,
        "sides": sides,
        "is_open": any(side["is_open"] for side in sides),
        "is_answered": all(side["state"] == TurnState.COMPLETE for side in sides),
        # What the page shows; it asks for its pieces again until both answers have ended.
        "version": " ".join(f"{side['state']}{side['position']}" for side in sides),
        "outcomes": [
            ("left", _("The left one"), "1"),
            ("right", _("The right one"), "2"),
            ("both", _("Both are good"), "3"),
            ("neither", _("Neither is good"), "4"),
        ],
        "reasons": [
            (value, label, kept is not None and value in kept.fields.getlist("why"))
            for value, label in Battle.Why.choices
        ],
        "told": [Battle.Why(value).label for value in shown.why],
        "comment": kept.fields.get("comment", "") if kept else "",
        "comment_limit": battles.COMMENT_LENGTH,
        "kept": kept is not None,
        "error": error,
    }
    return with_error(render(request, "chat/battle.html", context), error)


def _side(shown: Battle, side: str) -> dict[str, Any]:
    """Return what the page shows of one answer; whose it is only after the decision."""
    message: ChatMessage = getattr(shown, side)
    turn = message.turn
    is_open = turn.state in OPEN
    preset = getattr(shown, f"{side}_preset")
    return {
        "side": side,
        "state": turn.state,
        "is_open": is_open,
        "position": len(turn.text),
        "html": streaming.render_unfinished(turn.text) if is_open else rendering.render(message.content),
        "is_better": shown.outcome in (side, Battle.Outcome.BOTH),
        "model": getattr(shown, f"{side}_model") if shown.outcome else "",
        "preset": NAMES[preset] if shown.outcome and preset != DEFAULT else "",
        "is_noise": bool(shown.outcome) and shown.is_check and battles.is_noise(turn),
    }
