"""Purges in the admin: the page that previews and starts one, and the list of all of them, with undo."""

from typing import Any, NamedTuple
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_http_methods

from oasst.accounts import second_person
from oasst.accounts.access import require_moderator
from oasst.accounts.models import User
from oasst.accounts.roles import has_higher_rank, require_higher_rank
from oasst.core.errors import DomainError
from oasst.core.http.requests import row_id
from oasst.core.locks import timeouts_as_busy
from oasst.core.read_only_admin import ReadOnlyAdmin, badge, render_person
from oasst.site import purge_proposals, purging
from trees.models import Purge
from trees.moderation.purging import trees_of
from trees.policies.reading import current_policy

PREVIEW_SECONDS = 20  # a request may take 120, and the preview locks each tree for a moment
TONES = {
    Purge.Stage.RUNNING: "warning",
    Purge.Stage.DONE: "danger",
    Purge.Stage.UNDOING: "warning",
    Purge.Stage.UNDONE: "success",
    Purge.Stage.ERASED: "",
}


class _Done(NamedTuple):
    message: str
    address: str


def _propose(request: Any, person: User) -> _Done:
    reason = request.POST.get("reason", "")
    purge_proposals.propose(user=person, actor=request.user, reason=reason)
    message = gettext("Proposed. It happens when somebody else confirms it within seven days.")
    return _Done(message, _address_of(person))


def _confirm(request: Any, person: User) -> _Done:
    purge = purge_proposals.confirm(user=person, actor=request.user, name=request.POST.get("name", ""))
    return _begun(purge)


def _purge_alone(request: Any, person: User) -> _Done:
    reason, name = request.POST.get("reason", ""), request.POST.get("name", "")
    return _begun(purge_proposals.purge_alone(user=person, actor=request.user, reason=reason, name=name))


def _withdraw(request: Any, person: User) -> _Done:
    purge_proposals.withdraw(user=person, actor=request.user)
    return _Done(gettext("Your proposal is withdrawn."), _address_of(person))


def _begun(purge: Purge) -> _Done:
    address = reverse("admin:trees_purge_change", args=[purge.pk])
    return _Done(gettext("The purge is under way."), address)


def _address_of(person: User) -> str:
    return reverse("admin:accounts_user_change", args=[person.pk])


def _refuse(request: Any, person: User) -> _Done:
    proposal_id, reason = row_id(request.POST.get("proposal", "")) or 0, request.POST.get("refuse_reason", "")
    purge_proposals.refuse(proposal_id=proposal_id, actor=request.user, reason=reason)
    return _Done(str(second_person.REFUSED), _address_of(person))


_STEPS = {
    "propose": _propose,
    "confirm": _confirm,
    "alone": _purge_alone,
    "withdraw": _withdraw,
    "refuse": _refuse,
}


def _next_step(actor: User, person: User) -> dict[str, Any]:
    """Return what the page needs to know about the second person: the open proposal, and what this actor may do."""
    proposal = purge_proposals.open_proposals(person).select_related("proposer").first()
    if proposal is not None:
        step = "withdraw" if proposal.proposer_id == actor.pk else "confirm"
    else:
        step = "alone" if second_person.is_alone(person, actor) else "propose"
    return {"proposal": proposal, "next_step": step}


@require_http_methods(["GET", "HEAD", "POST"])
def purge_view(request: Any, person_id: UUID, person_admin: ReadOnlyAdmin) -> HttpResponse:
    """Preview, propose, confirm, refuse or withdraw a purge. The preview needs a POST: it locks trees for a
    moment.
    """
    require_moderator(request.user)
    person = User.objects.filter(pk=person_id).first()
    if person is None:
        raise Http404
    if request.method != "POST":
        require_higher_rank(request.user, person)
    counts, refusal = None, ""
    try:
        with timeouts_as_busy():
            if request.method == "POST" and (step := _STEPS.get(request.POST.get("step", ""))) is not None:
                done = step(request, person)
                person_admin.message_user(request, done.message, messages.SUCCESS)
                return redirect(done.address)
    except DomainError as error:
        refusal = error.message
    if request.method == "POST":
        try:
            with timeouts_as_busy():
                preview = purging.preview_purge(
                    user=person, actor=request.user, policy=current_policy(), seconds=PREVIEW_SECONDS
                )
                counts = purging.labeled_counts(preview)
        except DomainError as error:
            refusal = refusal or error.message
    context = {
        **person_admin.admin_site.each_context(request),
        "title": gettext("Purge %(name)s") % {"name": person},
        "opts": person_admin.opts,
        "person": person,
        "counts": counts,
        "refusal": refusal,
        "reason": request.POST.get("reason", request.GET.get("reason", "")),  # the desk gives it along
        "typed": request.POST.get("name", ""),
        "refuse_reason": request.POST.get("refuse_reason", ""),
        "name_to_type": second_person.name_to_type(person),
        **_next_step(request.user, person),
        "may_decide": has_higher_rank(request.user, person),
        "back_url": reverse("admin:accounts_user_change", args=[person_id]),
    }
    return render(request, "accounts/admin/purge.html", context, status=422 if refusal else 200)


@admin.register(Purge)
class PurgeAdmin(ReadOnlyAdmin):
    list_display = ("person", "in_stage", "reason", "actor", "created_at", "undo_actor")
    list_filter = ("stage",)
    list_select_related = ("person", "actor", "undo_actor")
    search_fields = ("id__exact", "person__id__exact", "person__display_name")
    search_help_text = _("The name or the id of the person")
    ordering = ("-id",)
    actions = ("undo",)
    fields = (
        *(
            ("whose", "in_stage"),
            "reason",
            ("proposed_by", "actor"),
            ("created_at", "finished_at"),
            "may_be_undone_until",
        ),
        *(("undo_reason", "undo_actor"), ("undone_at", "erased_at"), "id"),
    )
    readonly_fields = ("whose", "in_stage", "proposed_by", "may_be_undone_until")
    change_form_outer_after_template = "accounts/admin/purged.html"

    def title_of(self, obj: Purge) -> str:
        return gettext("Purge of %(name)s") % {"name": obj.person}

    def can_do(self, action: str, obj: Purge, actor: User) -> bool:
        undoable = obj.can_be_undone(timezone.now()) and obj.stage != Purge.Stage.UNDOING
        return undoable and has_higher_rank(actor, obj.person)

    def details(self, obj: Purge) -> dict[str, Any]:
        under_way = obj.stage == Purge.Stage.RUNNING
        return {
            "counts": purging.labeled_counts(obj.counts),
            "steps_done": obj.steps.filter(undone_at=None).count(),
            "steps_left": len(trees_of(obj.person_id)) if under_way else 0,
        }

    @admin.display(description=_("Person"))
    def whose(self, obj: Purge) -> str:
        address = reverse("admin:accounts_user_change", args=[obj.person_id])
        return render_person(obj.person, address)

    @admin.display(description=_("Proposed by"))
    def proposed_by(self, obj: Purge) -> str:
        proposal = purge_proposals.proposal_of(obj)
        return render_person(proposal.proposer) if proposal else gettext("nobody: done by one person or a program")

    @admin.display(description=_("Stage"))
    def in_stage(self, obj: Purge) -> str:
        return badge(obj.get_stage_display(), TONES[Purge.Stage(obj.stage)])

    @admin.display(description=_("Can be undone until"))
    def may_be_undone_until(self, obj: Purge) -> str:
        return f"{timezone.localtime(obj.undo_until):%Y-%m-%d %H:%M}" if obj.can_be_undone(timezone.now()) else "–"

    @admin.action(description=_("Undo"))
    def undo(self, request: Any, chosen: QuerySet[Purge]) -> None:
        def act(obj: Purge, reason: str) -> None:
            purging.undo_purge(purge_id=obj.pk, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, gettext("is being undone"), act)


def get_purges(user: User) -> list[tuple[Purge, str, bool]]:
    """Return the purges of a user, newest first, each with its stage as a badge and whether it can be undone."""
    now = timezone.now()
    purges = Purge.objects.filter(person=user).select_related("actor", "undo_actor").order_by("-id")
    return [
        (purge, badge(purge.get_stage_display(), TONES[Purge.Stage(purge.stage)]), purge.can_be_undone(now))
        for purge in purges
    ]
