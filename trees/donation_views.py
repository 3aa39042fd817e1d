"""The page on which a person gives a chat, or one exchange of it, to the data set."""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from oasst.accounts.documents import TERMS
from oasst.accounts.requests import SignedInRequest
from oasst.core.errors import Conflict, DomainError, Invalid
from oasst.core.http.error_views import status_of
from oasst.core.markdown.rendering import render as render_markdown
from oasst.core.text.languages import name_of
from trees import donations
from trees.donations import Offer
from trees.enrichment.near_duplicates import Similar, find_hints
from trees.forms import DonationForm
from trees.policies.reading import current_policy


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def give(request: SignedInRequest, chat_id: UUID) -> HttpResponse:
    """Show exactly what would be given; the button `give` gives it, `look` shows it with the chosen masks."""
    sent = request.POST if request.method == "POST" else None
    part = sent if sent is not None else request.GET
    upto, alone = _uuid_or_none(part.get("upto")), part.get("alone") == "1"
    form = DonationForm(sent)
    lang = form.cleaned_data["lang"] if form.is_bound and form.is_valid() else ""
    about: dict[str, Any] = {"chat_id": chat_id, "upto": upto, "alone": alone, "policy": current_policy()}
    offer = donations.get_offer_for(request.user, lang=lang, **about)
    if sent is None or "give" not in sent or not form.is_valid():
        return _page(request, offer, form, alone, HTTPStatus.UNPROCESSABLE_ENTITY if form.errors else HTTPStatus.OK)
    if offer.given is None and offer.refusal is None and "similar_seen" not in sent:
        text = offer.pieces[0].with_masks(form.masked)
        if similar := find_hints(text, offer.lang):
            return _page(request, offer, form, alone, HTTPStatus.UNPROCESSABLE_ENTITY, similar=similar)
    try:
        given = donations.give(
            user=request.user, lang=lang, masked=form.masked, seen=form.cleaned_data["seen"], **about
        )
    except (Conflict, Invalid) as error:
        return _page(request, offer, form, alone, HTTPStatus(status_of(error)), error=error)
    messages.success(request, _("Given. Thank you! People review your question first."))
    return redirect("tree", given.tree_id)


def _page(
    request: SignedInRequest,
    offer: Offer,
    form: DonationForm,
    alone: bool,
    status: HTTPStatus,
    *,
    error: DomainError | None = None,
    similar: list[Similar] | None = None,
) -> HttpResponse:
    # After a change of what would be given, all that was found is masked again.
    masked = form.masked if form.is_bound and form.data.get("seen") == offer.digest else None
    address = reverse("chat_give", args=[offer.chat.pk])
    pieces = [
        {
            "role": "assistant" if piece.model_name else "prompter",
            "html": render_markdown(piece.with_masks(masked)),
            "model_name": piece.model_name,
            "spots": [(spot, masked is None or spot.key in masked) for spot in piece.spots],
            # A shorter part ends with the answer before this question.
            "shorter_url": "" if alone or piece.model_name or not piece.number else _url(address, offer, piece.number),
        }
        for piece in offer.pieces
    ]
    context = {
        "offer": offer,
        "form": form,
        "alone": alone,
        "pieces": pieces,
        "lang": offer.lang,
        "lang_name": name_of(offer.lang),
        "languages": form.languages(offer.lang),
        "upto": offer.ends[-1] if offer.ends else "",
        "whole_url": address,
        "shows_part": request.GET.get("upto") is not None,
        "error": error,
        "similar": similar or [],
        "similar_seen": bool(similar) or "similar_seen" in request.POST,
        "terms": TERMS,
        "has_spots": any(piece.spots for piece in offer.pieces),
        "has_instructions": any((offer.chat.system_prompt, offer.chat.user_profile, offer.chat.response_instructions)),
    }
    return render(request, "trees/give.html", context, status=status)


def _url(address: str, offer: Offer, number: int) -> str:
    return f"{address}?{urlencode({'upto': offer.pieces[number - 1].id})}"


def _uuid_or_none(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
