"""The moderators' queue of messages that say nearly the same."""

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.accounts.models import User
from oasst.accounts.rights import may_act_in
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.read_only_admin import ReadOnlyAdmin, badge, render_message
from trees.admin.filters import ByLanguageOfPair
from trees.admin.trees import tree_link
from trees.enrichment.pairs import decide, waiting_pairs
from trees.models import Message, NearDuplicate
from trees.moderation import moderator_actions
from trees.moderation.badges import message_badge
from trees.policies.reading import current_policy

TONES = {
    NearDuplicate.Status.OPEN: "warning",
    NearDuplicate.Status.DISMISSED: "",
    NearDuplicate.Status.REMOVED: "success",
}
EXCERPT = 90


class Waiting(admin.SimpleListFilter):
    title = _("waits for a moderator")
    parameter_name = "waits"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [
            ("yes", gettext("Prompts and replies")),
            ("prompts", gettext("Prompts")),
            ("replies", gettext("Replies")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[NearDuplicate]) -> QuerySet[NearDuplicate]:
        if self.value() == "yes":
            return waiting_pairs(queryset)
        if self.value() in ("prompts", "replies"):
            return waiting_pairs(queryset).filter(first__parent__isnull=self.value() == "prompts")
        return queryset


def newer(pair: NearDuplicate) -> Message:
    return max(pair.first, pair.second, key=lambda message: (message.created_at, message.pk))


def older(pair: NearDuplicate) -> Message:
    return pair.first if newer(pair) is pair.second else pair.second


@admin.register(NearDuplicate)
class NearDuplicateAdmin(ReadOnlyAdmin):
    list_display = ("older_excerpt", "newer_excerpt", "status_now", "same_wording", "same_meaning", "created_at")
    list_filter = (Waiting, "status", ByLanguageOfPair)
    search_fields = ("first__id__exact", "second__id__exact")
    search_help_text = _("The id of a message")
    ordering = ("-id",)
    actions = ("dismiss", "halt", "delete_newer")
    destructive = ("delete_newer",)
    fields = (
        *("status_now", ("same_wording", "same_meaning"), "older_text", "newer_text"),
        *("created_at", "reason", ("decided_by", "decided_at")),
    )
    readonly_fields = ("status_now", "same_wording", "same_meaning", "older_text", "newer_text")

    def get_queryset(self, request: HttpRequest) -> QuerySet[NearDuplicate]:
        rows = super().get_queryset(request).select_related("first__author", "second__author", "decided_by")
        return rows.defer("first__search", "second__search")

    def title_of(self, obj: NearDuplicate) -> str:
        return gettext("Repeated: %(text)s") % {"text": plain_excerpt(newer(obj).text, 60)}

    def can_do(self, action: str, obj: NearDuplicate, actor: User) -> bool:
        if obj.status != NearDuplicate.Status.OPEN or not may_act_in(actor, obj.first.lang):
            return False
        return action == "dismiss" or (not newer(obj).deleted and (action != "halt" or obj.first.parent_id is None))

    @admin.display(description=_("First written"))
    def older_excerpt(self, pair: NearDuplicate) -> str:
        return plain_excerpt(older(pair).text, EXCERPT)

    @admin.display(description=_("Written again"))
    def newer_excerpt(self, pair: NearDuplicate) -> str:
        return plain_excerpt(newer(pair).text, EXCERPT)

    @admin.display(description=_("Status"))
    def status_now(self, pair: NearDuplicate) -> str:
        return badge(pair.get_status_display(), TONES[NearDuplicate.Status(pair.status)])

    @admin.display(description=_("Same wording"))
    def same_wording(self, pair: NearDuplicate) -> str | None:
        return None if pair.wording is None else f"{pair.wording:.0%}"

    @admin.display(description=_("Same meaning"))
    def same_meaning(self, pair: NearDuplicate) -> str | None:
        return None if pair.meaning is None else f"{pair.meaning:.0%}"

    @admin.display(description=_("First written"))
    def older_text(self, pair: NearDuplicate) -> str:
        return _text(older(pair))

    @admin.display(description=_("Written again"))
    def newer_text(self, pair: NearDuplicate) -> str:
        return _text(newer(pair))

    @admin.action(description=_("They are different enough"))
    def dismiss(self, request: Any, chosen: QuerySet[NearDuplicate]) -> None:
        def dismiss(pair: NearDuplicate, reason: str) -> None:
            decide(pair_id=pair.pk, actor=request.user, reason=reason, status=NearDuplicate.Status.DISMISSED)

        self.act_on_each(request, chosen, gettext("stays"), dismiss)

    @admin.action(description=_("Stop the newer conversation"))
    def halt(self, request: Any, chosen: QuerySet[NearDuplicate]) -> None:
        def halt(pair: NearDuplicate, reason: str) -> None:
            moderator_actions.halt(
                tree_id=newer(pair).tree_id,
                actor=request.user,
                reason=reason,
                policy=current_policy(),
                pair_id=pair.pk,
            )

        self.act_on_each(request, chosen, gettext("stopped"), halt)

    @admin.action(description=_("Remove the newer message, with everything below"))
    def delete_newer(self, request: Any, chosen: QuerySet[NearDuplicate]) -> None:
        def delete(pair: NearDuplicate, reason: str) -> None:
            moderator_actions.delete_message(
                message_id=newer(pair).pk,
                actor=request.user,
                reason=reason,
                policy=current_policy(),
                pair_id=pair.pk,
            )

        self.act_on_each(request, chosen, gettext("removed"), delete)


def _text(message: Message) -> str:
    address = reverse("admin:trees_message_change", args=[message.pk])
    link = format_html('<a class="text-link" href="{}">{}</a>', address, gettext("Open the message"))
    tree = tree_link(message.tree_id, gettext("Open the conversation"))
    return format_html("{}{} {} {}", render_message(message.text), link, tree, message_badge(message))
