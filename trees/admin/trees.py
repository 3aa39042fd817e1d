"""Conversations and their transitions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import OuterRef, QuerySet, Subquery
from django.db.models.functions import Left
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from oasst.accounts.models import User
from oasst.accounts.rights import may_act_in
from oasst.core.audit.reading import Target
from oasst.core.errors import Busy, Invalid
from oasst.core.list_filters import FILTER_FORM, FormChangeList
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.read_only_admin import ReadOnlyAdmin
from trees.admin.conversation import shown_conversation, shown_steps
from trees.admin.filters import ByLanguage, ByPrompt, ByState
from trees.lifecycle.states import TABLE, State
from trees.models import Message, MessageTree, TreeTransition
from trees.moderation import moderator_actions, offered_actions
from trees.moderation.badges import state_badge
from trees.moderation.conversation_tree import read_steps
from trees.moderation.finding import find_trees
from trees.moderation.queries import tree_details, with_prompts
from trees.policies.reading import current_policy


def tree_link(tree_id: UUID, text: str = "") -> SafeString:
    address = reverse("admin:trees_messagetree_change", args=[tree_id])
    return format_html('<a class="text-link" href="{}">{}</a>', address, text or _("Open the conversation"))


def moderate(
    model_admin: ReadOnlyAdmin, request: Any, chosen: QuerySet[Any], done: str, act: Callable[..., object], key: str
) -> None:
    """Call this function of `moderator_actions` for each chosen row, with the row's id as the argument `key`."""

    def act_on(row: Any, reason: str) -> None:
        act(**{key: row.pk}, actor=request.user, reason=reason, policy=current_policy())

    model_admin.act_on_each(request, chosen, done, act_on)


@admin.register(MessageTree)
class TreeAdmin(ReadOnlyAdmin):
    list_display = ("prompt", "in_state", "lang", "size", "state_since")
    change_list_template = FILTER_FORM
    list_filter = (ByState, ByLanguage, ByPrompt)
    search_fields = ("id",)
    search_help_text = gettext_lazy(
        'Words of the prompt, "a piece of it", or the id of the conversation or of a message'
    )
    ordering = ("-number",)
    actions = ("halt", "resume", "retry_scoring")
    fields = (
        *(("in_state", "meaning"), ("state_since", "was_before"), ("lang", "size"), ("goal_tree_size", "max_depth")),
        *(("created_at", "won_prompt_lottery_at"), ("id", "origin")),
    )
    readonly_fields = ("prompt", "in_state", "meaning", "was_before", "size")
    change_form_outer_after_template = "trees/admin/tree.html"

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[FormChangeList]:
        return FormChangeList

    def get_queryset(self, request: HttpRequest) -> QuerySet[MessageTree]:
        return with_prompts(super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[MessageTree], search_term: str
    ) -> tuple[QuerySet[MessageTree], bool]:
        if not search_term.strip():
            return queryset, False
        try:
            return find_trees(queryset, search_term), False
        except (Busy, Invalid) as error:
            messages.error(request, error.message)
            return queryset.none(), False

    def title_of(self, obj: Any) -> str:
        return plain_excerpt(obj.prompt or "", 70) or str(obj)

    def details(self, obj: MessageTree) -> dict[str, Any]:
        facts = tree_details(obj)
        return {
            "file": facts,
            "openings": facts.openings,
            "conversation": shown_conversation(obj.pk),
            "steps": shown_steps(read_steps(obj)),
        }

    def can_do(self, action: str, obj: MessageTree, actor: User) -> bool:
        if not may_act_in(actor, obj.lang):
            return False
        if action == "retry_scoring":
            return obj.state == State.SCORING_FAILED
        if action == "resume":
            return offered_actions.may_resume(obj, actor)
        return obj.state != State.HALTED_BY_MODERATOR

    @admin.display(description=gettext_lazy("Prompt"))
    def prompt(self, tree: Any) -> str:
        return plain_excerpt(tree.prompt or "", 90)

    @admin.display(description=gettext_lazy("State"))
    def in_state(self, tree: MessageTree) -> str:
        return state_badge(tree.state)

    @admin.display(description=gettext_lazy("What that means"))
    def meaning(self, tree: MessageTree) -> str:
        return TABLE[State(tree.state)].meaning

    @admin.display(description=gettext_lazy("Stopped while"))
    def was_before(self, tree: MessageTree) -> str:
        return state_badge(tree.halted_from)

    @admin.display(description=gettext_lazy("Messages"))
    def size(self, tree: Any) -> int:
        return tree.size or 0

    @admin.action(description=gettext_lazy("Stop"))
    def halt(self, request: Any, chosen: QuerySet[MessageTree]) -> None:
        moderate(self, request, chosen, _("stopped"), moderator_actions.halt, "tree_id")

    @admin.action(description=gettext_lazy("Let go on"))
    def resume(self, request: Any, chosen: QuerySet[MessageTree]) -> None:
        moderate(self, request, chosen, _("goes on"), moderator_actions.resume, "tree_id")

    @admin.action(description=gettext_lazy("Score again"))
    def retry_scoring(self, request: Any, chosen: QuerySet[MessageTree]) -> None:
        moderate(self, request, chosen, _("scored"), moderator_actions.retry_scoring, "tree_id")


@admin.register(TreeTransition)
class TransitionAdmin(ReadOnlyAdmin):
    list_display = ("at", "of_tree", "left", "entered", "reason", "actor")
    list_filter = ("to_state",)
    list_select_related = ("actor",)
    search_fields = ("tree__id__exact",)
    search_help_text = gettext_lazy("The id of a conversation")
    ordering = ("-id",)
    fields = ("at", "of_tree", "left", "entered", "reason", "actor")
    readonly_fields = ("of_tree", "left", "entered")

    def history_targets(self, obj: TreeTransition) -> list[Target]:
        return [(MessageTree._meta.label_lower, str(obj.tree_id))]

    def get_queryset(self, request: HttpRequest) -> QuerySet[TreeTransition]:
        prompt = Message.objects.filter(pk=OuterRef("tree")).values(text_start=Left("text", 160))
        return super().get_queryset(request).annotate(prompt=Subquery(prompt))

    def title_of(self, obj: Any) -> str:
        return f"{TABLE[State(obj.to_state)].label}: {plain_excerpt(obj.prompt or '', 50)}"

    @admin.display(description=gettext_lazy("Conversation"))
    def of_tree(self, step: Any) -> str:
        return tree_link(step.tree_id, plain_excerpt(step.prompt or "", 60))

    @admin.display(description=gettext_lazy("From"))
    def left(self, step: TreeTransition) -> str:
        return state_badge(step.from_state)

    @admin.display(description=gettext_lazy("To"))
    def entered(self, step: TreeTransition) -> str:
        return state_badge(step.to_state)
