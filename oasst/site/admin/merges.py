"""The page of the admin where accounts of one person are merged: chosen, previewed, proposed, and confirmed.

What is chosen is in the address, so each step is a link or a GET form, and a GET only counts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.contrib import messages
from django.db.models import prefetch_related_objects
from django.http import Http404, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_http_methods

from oasst.accounts import second_person
from oasst.accounts.access import require_moderator
from oasst.accounts.finding import find_alike, find_people
from oasst.accounts.models import MergeProposal, User
from oasst.accounts.roles import has_higher_rank, require_higher_rank
from oasst.core.errors import DomainError
from oasst.core.http.requests import row_id
from oasst.core.locks import timeouts_as_busy
from oasst.core.read_only_admin import ReadOnlyAdmin
from oasst.site import merge_proposals
from oasst.site.merge_preview import MergePreview, preview_merge

MOST_FOUND = 20
"""Accounts that a search shows."""


@dataclass
class Chosen:
    """The accounts of the page: who stays, and who is closed."""

    destination: User
    sources: list[User]
    proposal: MergeProposal | None = None

    @property
    def accounts(self) -> list[User]:
        return [self.destination, *self.sources]


@require_http_methods(["GET", "HEAD", "POST"])
def merge_view(request: Any, person_id: UUID, person_admin: ReadOnlyAdmin) -> HttpResponse:
    """Show the accounts and what a merge would do, and take each step of it. What is open about the person is shown
    instead of what the address chooses.
    """
    require_moderator(request.user)
    person = User.objects.filter(pk=person_id).first()
    if person is None:
        raise Http404
    require_higher_rank(request.user, person)
    refusal = ""
    if request.method == "POST":
        try:
            with timeouts_as_busy():
                done, stays = _take_step(request, person)
            person_admin.message_user(request, done, messages.SUCCESS)
            return redirect("admin:accounts_user_change", stays.pk)
        except DomainError as error:
            refusal = error.message
    sent = request.POST if request.method == "POST" else request.GET
    context = {
        **person_admin.admin_site.each_context(request),
        "title": gettext("Merge %(name)s with another account") % {"name": person},
        "opts": person_admin.opts,
        "person": person,
        "refusal": refusal,
        "reason": sent.get("reason", ""),
        "typed": sent.get("name", ""),
        "refuse_reason": sent.get("refuse_reason", ""),
        "back_url": reverse("admin:accounts_user_change", args=[person_id]),
        **_about(person, request.user, sent),
    }
    return render(request, "accounts/admin/merge.html", context, status=422 if refusal else 200)


# --- Steps ---


def _take_step(request: Any, person: User) -> tuple[str, User]:
    """Do what the form says. Return what is said of it, and the account that stays."""
    sent, actor = request.POST, request.user
    step, reason, name = (sent.get(key, "") for key in ("step", "reason", "name"))
    if step in ("confirm", "refuse", "withdraw"):
        proposal_id = row_id(sent.get("proposal", "")) or 0
        if step == "withdraw":
            merge_proposals.withdraw(proposal_id=proposal_id, actor=actor)
            return gettext("Your proposal is withdrawn."), person
        if step == "refuse":
            merge_proposals.refuse(proposal_id=proposal_id, actor=actor, reason=sent.get("refuse_reason", ""))
            return str(second_person.REFUSED), person
        done = merge_proposals.confirm(proposal_id=proposal_id, actor=actor, name=name)
        return _merged(), done.destination
    chosen = _chosen(person, sent)
    if step == "alone":
        merge_proposals.merge_alone(
            destination=chosen.destination, sources=chosen.sources, actor=actor, reason=reason, name=name
        )
        return _merged(), chosen.destination
    merge_proposals.propose(destination=chosen.destination, sources=chosen.sources, actor=actor, reason=reason)
    return gettext("Proposed. It happens when somebody else confirms it within seven days."), person


def _merged() -> str:
    return gettext("Merged. Points follow within a minute.")


# --- What the page shows ---


def _about(person: User, actor: User, sent: QueryDict) -> dict[str, Any]:
    proposal = merge_proposals.open_proposals([person.pk]).select_related("proposer").first()
    if proposal is None:
        chosen = _chosen(person, sent)
    else:
        accounts = merge_proposals.accounts_in([proposal])
        sources = [accounts[pk] for pk in proposal.sources]
        chosen = Chosen(accounts[proposal.destination_id], sources, proposal)
    preview, forbidden = _preview(chosen, actor)
    query = sent.get("q", "")
    may_choose = proposal is None and len(chosen.sources) < MergeProposal.MOST_SOURCES
    found = _found(person, actor, query, chosen) if may_choose and query.strip() else None
    alike = _alike(person, chosen) if may_choose and not chosen.sources else []
    shown = [*chosen.sources, chosen.destination, *(pair[0] for pair in found or ()), *(one[0] for one in alike)]
    prefetch_related_objects(shown, "identities")
    return {
        "proposal": proposal,
        "next_step": _next_step(chosen, actor),
        "may_refuse": _may_refuse(chosen, actor),
        "rows": _rows(person, chosen, preview),
        "chosen": chosen,
        "preview": preview,
        "forbidden": forbidden,
        "suspended": [one for one in chosen.sources if not one.enabled] if preview else [],
        "name_to_type": second_person.name_to_type(chosen.destination),
        "may_choose": may_choose,
        "query": query,
        "found": found,
        "alike": alike,
    }


def _chosen(person: User, sent: QueryDict) -> Chosen:
    """Return the person and the accounts that the address or the form names, without those that are not there."""
    wanted = [key for value in sent.getlist("with")[: MergeProposal.MOST_SOURCES] if (key := _uuid(value))]
    rows = User.objects.filter(pk__in=wanted).exclude(pk=person.pk).order_by("pk") if wanted else []
    accounts = [person, *rows]
    keep = _uuid(sent.get("keep", ""))
    destination = next((one for one in accounts if one.pk == keep), person)
    return Chosen(destination, [one for one in accounts if one.pk != destination.pk])


def _uuid(value: str) -> UUID | None:
    try:
        return UUID(value)
    except ValueError:
        return None


def _preview(chosen: Chosen, actor: User) -> tuple[MergePreview | None, str]:
    """Return what would happen now, or why it is forbidden; neither if nothing was chosen."""
    if not chosen.sources:
        return None, ""
    try:
        if chosen.proposal is None:
            merge_proposals.require_mergeable(chosen.destination, chosen.sources, actor)
        else:
            merge_proposals.require_unchanged(chosen.proposal, chosen.destination, chosen.sources, actor)
    except DomainError as error:
        return None, error.message
    return preview_merge(chosen.destination, chosen.sources), ""


def _next_step(chosen: Chosen, actor: User) -> str:
    if chosen.proposal is not None:
        return "withdraw" if chosen.proposal.proposer_id == actor.pk else "confirm"
    if not chosen.sources:
        return ""
    return "alone" if second_person.is_alone(chosen.destination, actor) else "propose"


def _may_refuse(chosen: Chosen, actor: User) -> bool:
    """Return True for who may confirm, also while the accounts have changed so that nobody can."""
    if chosen.proposal is None or chosen.proposal.proposer_id == actor.pk:
        return False
    return all(has_higher_rank(actor, one) for one in chosen.accounts)


@dataclass(frozen=True)
class Row:
    """An account of the page."""

    user: User
    stays: bool
    points: int | None
    keep_url: str
    drop_url: str


def _rows(person: User, chosen: Chosen, preview: MergePreview | None) -> list[Row]:
    rows = []
    for user in chosen.accounts if chosen.sources else []:
        others = [one.pk for one in chosen.accounts if one.pk != person.pk]
        keep = drop = ""
        if chosen.proposal is None:
            keep = "" if user == chosen.destination else _address(person, others, user.pk)
            kept = chosen.destination.pk if chosen.destination != user else person.pk
            drop = "" if user == person else _address(person, [pk for pk in others if pk != user.pk], kept)
        rows.append(Row(user, user == chosen.destination, preview.points[user.pk] if preview else None, keep, drop))
    return rows


def _address(person: User, others: Sequence[UUID], keep: UUID | None = None) -> str:
    """Return the address of the page with these accounts chosen."""
    pairs = [("with", str(pk)) for pk in others]
    pairs += [("keep", str(keep))] if keep not in (None, person.pk) else []
    return f"{reverse('admin:accounts_user_merge', args=[person.pk])}{'?' if pairs else ''}{urlencode(pairs)}"


def _found(person: User, actor: User, query: str, chosen: Chosen) -> list[tuple[User, str]]:
    """Return accounts that the words find, each with the address that chooses it too."""
    rows = User.objects.filter(is_active=True, deleted_at=None).exclude(pk__in=[one.pk for one in chosen.accounts])
    rows = find_people(query, rows).order_by("-last_activity_at", "-pk")[:MOST_FOUND]
    return [(one, _with(person, chosen, one)) for one in rows if has_higher_rank(actor, one)]


def _alike(person: User, chosen: Chosen) -> list[tuple[User, list[Any], str]]:
    return [(one, reasons, _with(person, chosen, one)) for one, reasons in find_alike(person)]


def _with(person: User, chosen: Chosen, more: User) -> str:
    others = [one.pk for one in chosen.accounts if one.pk != person.pk]
    return _address(person, [*others, more.pk], chosen.destination.pk)
