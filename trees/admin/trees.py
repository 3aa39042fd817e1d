"""Conversations and their transitions."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from oasst.accounts.models import User
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.read_only_admin import ReadOnlyAdmin
from trees.admin.filters import ByLanguage, ByPrompt, ByState
from trees.lifecycle.policy import current_policy
from trees.lifecycle.states import TABLE, State
from trees.models import MessageTree, TreeTransition
from trees.moderation import moderator_actions, offered_actions
from trees.moderation.badges import message_badge, state_badge
from trees.moderation.queries import search_trees, tree_details, with_prompts


def tree_link(tree_id: UUID, text: str = "") -> SafeString:
    address = reverse("admin:trees_messagetree_change", args=[tree_id])
    return format_html('<a class="text-link" href="{}">{}</a>', address, text or tree_id)


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
    list_filter = (ByState, ByPrompt, ByLanguage)
    search_fields = ("id",)
    search_help_text = "A piece of the prompt, or the id of the conversation or of a message"
    ordering = ("-number",)
    actions = ("halt", "resume", "retry_scoring")
    fields = (
        *(("in_state", "meaning"), ("state_since", "was_before"), ("lang", "size"), ("goal_tree_size", "max_depth")),
        *(("created_at", "won_prompt_lottery_at"), ("id", "origin")),
    )
    readonly_fields = ("prompt", "in_state", "meaning", "was_before", "size")
    change_form_outer_after_template = "trees/admin/tree.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[MessageTree]:
        return with_prompts(super().get_queryset(request))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[MessageTree], search_term: str
    ) -> tuple[QuerySet[MessageTree], bool]:
        return (search_trees(queryset, search_term) if search_term.strip() else queryset), False

    def title_of(self, obj: Any) -> str:
        return plain_excerpt(obj.prompt or "", 70) or str(obj)

    def details(self, obj: MessageTree) -> dict[str, Any]:
        facts = tree_details(obj)
        texts = {message.pk: message.text for message in facts.messages}
        return {
            "file": facts,
            "openings": [(opening, texts[opening.message_id]) for opening in facts.openings],
            "turns": [
                (message, message_badge(message), 0 if message.rank is None else message.rank + 1)
                for message in facts.messages
            ],
            "steps": [(step, state_badge(step.from_state), state_badge(step.to_state)) for step in facts.transitions],
        }

    def can_do(self, action: str, obj: MessageTree, actor: User) -> bool:
        if action == "retry_scoring":
            return obj.state == State.SCORING_FAILED
        if action == "resume":
            return offered_actions.may_resume(obj, actor)
        return obj.state != State.HALTED_BY_MODERATOR

    @admin.display(description="Prompt")
    def prompt(self, tree: Any) -> str:
        return plain_excerpt(tree.prompt or "", 90)

    @admin.display(description="State")
    def in_state(self, tree: MessageTree) -> str:
        return state_badge(tree.state)

    @admin.display(description="What that means")
    def meaning(self, tree: MessageTree) -> str:
        return TABLE[State(tree.state)].meaning

    @admin.display(description="Stopped while")
    def was_before(self, tree: MessageTree) -> str:
        return state_badge(tree.halted_from)

    @admin.display(description="Messages")
    def size(self, tree: Any) -> int:
        return tree.size or 0

    @admin.action(description="Stop")
    def halt(self, request: Any, chosen: QuerySet[MessageTree]) -> None:
        moderate(self, request, chosen, "stopped", moderator_actions.halt, "tree_id")

    @admin.action(description="Let go on")
    def resume(self, request: Any, chosen: QuerySet[MessageTree]) -> None:
        moderate(self, request, chosen, "goes on", moderator_actions.resume, "tree_id")

    @admin.action(description="Score again")
    def retry_scoring(self, request: Any, chosen: QuerySet[MessageTree]) -> None:
        moderate(self, request, chosen, "scored", moderator_actions.retry_scoring, "tree_id")


@admin.register(TreeTransition)
class TransitionAdmin(ReadOnlyAdmin):
    list_display = ("at", "of_tree", "left", "entered", "reason", "actor")
    list_filter = ("to_state",)
    list_select_related = ("actor",)
    search_fields = ("tree__id__exact",)
    search_help_text = "The id of a conversation"
    ordering = ("-id",)
    fields = ("at", "of_tree", "left", "entered", "reason", "actor")
    readonly_fields = ("of_tree", "left", "entered")

    @admin.display(description="Conversation")
    def of_tree(self, step: TreeTransition) -> str:
        return tree_link(step.tree_id)

    @admin.display(description="From")
    def left(self, step: TreeTransition) -> str:
        return state_badge(step.from_state)

    @admin.display(description="To")
    def entered(self, step: TreeTransition) -> str:
        return state_badge(step.to_state)
