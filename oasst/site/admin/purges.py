"""Purges in the admin: the page that previews and starts one, and the list of all of them, with undo."""

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from oasst.accounts.models import User
from oasst.accounts.roles import has_higher_rank, require_higher_rank
from oasst.core.errors import DomainError
from oasst.core.locks import timeouts_as_busy
from oasst.core.read_only_admin import ReadOnlyAdmin, badge, render_person
from oasst.site import purging
from trees.lifecycle.policy import current_policy
from trees.models import Purge
from trees.moderation.purging import trees_of

PREVIEW_SECONDS = 20  # a request may take 120, and the preview locks each tree for a moment
TONES = {
    Purge.Stage.RUNNING: "warning",
    Purge.Stage.DONE: "danger",
    Purge.Stage.UNDOING: "warning",
    Purge.Stage.UNDONE: "success",
    Purge.Stage.ERASED: "",
}


@require_http_methods(["GET", "HEAD", "POST"])
def purge_view(request: Any, person_id: UUID, person_admin: ReadOnlyAdmin) -> HttpResponse:
    """Preview or start a purge. The preview needs a POST because it locks each tree for a moment."""
    person = User.objects.filter(pk=person_id).first()
    if person is None:
        raise Http404
    if request.method != "POST":
        require_higher_rank(request.user, person)
    counts, refusal = None, ""
    try:
        with timeouts_as_busy():
            if request.method == "POST" and request.POST.get("step") == "purge":
                begun = purging.start_purge(user=person, actor=request.user, reason=request.POST.get("reason", ""))
                person_admin.log_change(request, person, f"purged: {begun.reason}")
                person_admin.message_user(request, "The purge is under way.", messages.SUCCESS)
                return redirect("admin:trees_purge_change", begun.pk)
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
        "title": f"Purge {person}",
        "opts": person_admin.opts,
        "person": person,
        "counts": counts,
        "refusal": refusal,
        "reason": request.POST.get("reason", ""),
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
    search_help_text = "The name or the id of the person"
    ordering = ("-id",)
    actions = ("undo",)
    fields = (
        *(("whose", "in_stage"), ("reason", "actor"), ("created_at", "finished_at"), "may_be_undone_until"),
        *(("undo_reason", "undo_actor"), ("undone_at", "erased_at"), "id"),
    )
    readonly_fields = ("whose", "in_stage", "may_be_undone_until")
    change_form_outer_after_template = "accounts/admin/purged.html"

    def title_of(self, obj: Purge) -> str:
        return f"Purge of {obj.person}"

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

    @admin.display(description="Person")
    def whose(self, obj: Purge) -> str:
        address = reverse("admin:accounts_user_change", args=[obj.person_id])
        return render_person(obj.person, address)

    @admin.display(description="Stage")
    def in_stage(self, obj: Purge) -> str:
        return badge(obj.get_stage_display(), TONES[Purge.Stage(obj.stage)])

    @admin.display(description="Can be undone until")
    def may_be_undone_until(self, obj: Purge) -> str:
        return f"{timezone.localtime(obj.undo_until):%Y-%m-%d %H:%M}" if obj.can_be_undone(timezone.now()) else "–"

    @admin.action(description="Undo")
    def undo(self, request: Any, chosen: QuerySet[Purge]) -> None:
        def act(obj: Purge, reason: str) -> None:
            purging.undo_purge(purge_id=obj.pk, actor=request.user, reason=reason)

        self.act_on_each(request, chosen, "is being undone", act)


def get_purges(user: User) -> list[tuple[Purge, str, bool]]:
    """Return the purges of a user, newest first, each with its stage as a badge and whether it can be undone."""
    now = timezone.now()
    purges = Purge.objects.filter(person=user).select_related("actor", "undo_actor").order_by("-id")
    return [
        (purge, badge(purge.get_stage_display(), TONES[Purge.Stage(purge.stage)]), purge.can_be_undone(now))
        for purge in purges
    ]
