"""Messages, the judgments on them, and the deletions that can be undone."""

from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html, format_html_join
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from oasst.accounts.access import require_moderator
from oasst.accounts.forms import add_domain_error
from oasst.accounts.groups import ADMINISTER, MODERATE
from oasst.accounts.models import User
from oasst.accounts.rights import may_act_in, require_language
from oasst.core.errors import Busy, DomainError, Invalid
from oasst.core.form_fields import LineField, TextField
from oasst.core.list_filters import FILTER_FORM, FormChangeList
from oasst.core.locks import timeouts_as_busy
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.read_only_admin import ReadOnlyAdmin, badge, render_message
from oasst.core.text.diff import word_diff
from oasst.core.text.languages import name_of
from trees.admin.about_message import AboutMessage
from trees.admin.conversation import shown_conversation, shown_steps
from trees.admin.filters import (
    ByLanguage,
    ByLanguageOfMessage,
    ByLooks,
    ByPrediction,
    ByReading,
    ByReview,
    ByTopic,
    SearchBy,
    chosen_language,
)
from trees.admin.message_filters import (
    ByAuthor,
    ByDeleted,
    ByEdited,
    ByFlags,
    ByHidden,
    ByKind,
    ByReports,
    ByRole,
    BySynthetic,
    ByToxicity,
    ByWithdrawn,
    MessageOrder,
    Since,
    Until,
)
from trees.admin.quality import render_predictions
from trees.admin.readings import render_readings
from trees.admin.revisions import changes_of
from trees.admin.trees import moderate, tree_link
from trees.contributing import gold, practice_texts
from trees.enrichment import embeddings
from trees.enrichment.search import in_order_of, rank_by_meaning
from trees.lifecycle.reply_scores import ScoredReplies, scores_by_rankings
from trees.models import Deletion, Message, PracticeText
from trees.moderation import moderator_actions, offered_actions, personal_data
from trees.moderation.badges import message_badge, state_badge
from trees.moderation.conversation_tree import steps_of
from trees.moderation.finding import MAX_FOUND, MOST_AT_ONCE, find_messages, find_most_flagged
from trees.moderation.queries import message_details, ranked_parents
from trees.policies.reading import current_policy
from trees.statistics.strengths import Score
from trees.word_search import find_query


class EditForm(forms.Form):
    # The service checks the text, so nothing is stripped or limited here.
    text = TextField(widget=UnfoldAdminTextareaWidget({"rows": 14}))
    reason = LineField(
        widget=UnfoldAdminTextInputWidget(), limit=500, help_text=_("Kept with the new text, for other moderators.")
    )


class MessageChangeList(FormChangeList):
    """A list that says why a search found nothing: a pattern that is none, or too much to search."""

    def get_queryset(self, request: Any, *args: Any, **kwargs: Any) -> QuerySet[Message]:
        try:
            return super().get_queryset(request, *args, **kwargs)
        except (Busy, Invalid) as error:
            messages.error(request, error.message)
            return self.root_queryset.none()


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    list_display = ("excerpt", "status", "role", "lang", "author", "created_at", "marks")
    change_list_template = FILTER_FORM
    list_filter = (
        *(SearchBy, MessageOrder, ByLanguage, ByKind, ByRole, ByReview, ByDeleted, ByHidden, ByWithdrawn, ByEdited),
        *(Since, Until, ByAuthor, ByFlags, ByReports, ByToxicity),
        *(ByReading, ByLooks, ByPrediction, BySynthetic, ByTopic),
    )
    search_fields = ("id",)
    search_help_text = _(
        'bread oven: both words in any form · bak*: begins so · "100% rye": exactly this · -oven: without it · '
        "/colou?r/: a pattern · or the id of a message or conversation"
    )
    ordering = MessageOrder.NEWEST_FIRST
    actions = ("delete", "mark_gold", "choose_for_review", "choose_for_ranking")
    other_permissions = dict.fromkeys(actions[1:], ADMINISTER)
    destructive = ("delete",)
    fields = (
        *(
            "text_of_now",
            ("status", "role"),
            ("conversation", "author"),
            ("lang", "looks_like_language"),
            "created_at",
            ("rank", "review_count"),
        ),
        *(("synthetic", "model_name"), "kept_at", ("api_client", "frontend_message_id"), "consent", "id"),
    )
    readonly_fields = ("text_of_now", "status", "conversation", "looks_like_language")
    list_before_template = "admin/bulk/begin.html"
    change_form_outer_after_template = "trees/admin/message.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Message]:
        rows = super().get_queryset(request).select_related("author")
        return rows.defer("search", "text_digest", "imported")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[FormChangeList]:
        return MessageChangeList

    def get_ordering(self, request: HttpRequest) -> tuple[str, ...]:
        sort = request.GET.get(MessageOrder.parameter_name)
        if is_by_prediction(request) and not sort:
            return ByPrediction.ORDER
        return MessageOrder.ORDERS.get(sort, self.ordering)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        columns = super().get_list_display(request)
        return [*columns, "prediction"] if is_by_prediction(request) else columns

    def get_search_results(
        self, request: Any, queryset: QuerySet[Message], search_term: str
    ) -> tuple[QuerySet[Message], bool]:
        """Return the first pages of what was found, so that the list sorts and pages a few rows by their ids.

        A request with `all_found` (acts on many) gets all, up to one more than such an act may have.
        """
        words = search_term.strip()
        most_flagged = request.GET.get(MessageOrder.parameter_name) == MessageOrder.FLAGGED
        if not words:
            return (
                _in_this_order(queryset, find_most_flagged(queryset, MAX_FOUND)) if most_flagged else queryset
            ), False
        lang = chosen_language(request)
        if request.GET.get(SearchBy.parameter_name) == SearchBy.MEANING:
            return self._by_meaning(request, queryset, words, lang or request.user.working_language), False
        last = min(_page_number(request) * self.list_per_page + 1, MAX_FOUND)
        if getattr(request, "all_found", False):
            last = MOST_AT_ONCE + 1
        ids = find_messages(queryset, words, lang, last, most_flagged=most_flagged)
        return (_in_this_order(queryset, ids) if most_flagged else queryset.filter(pk__in=ids)), False

    def _by_meaning(self, request: Any, queryset: QuerySet[Message], words: str, lang: str) -> QuerySet[Message]:
        if not embeddings.is_ready():
            warning = gettext("Only the words were searched. The search by meaning is off.")
            if embeddings.is_on():
                warning = gettext(
                    "Only the words were searched. The search by meaning loads its model: search again in some seconds."
                )
            messages.warning(request, warning)
        return _in_this_order(queryset, rank_by_meaning(queryset, words, lang, find_query(words, lang)))

    def get_urls(self) -> list[URLPattern]:
        edit = self.admin_site.admin_view(self.edit_view)
        personal = self.admin_site.admin_view(require_POST(self.personal_data_view))
        return [
            path("<uuid:message_id>/edit/", edit, name="trees_message_edit"),
            path("<uuid:message_id>/personal-data/", personal, name="trees_message_personal_data"),
            *super().get_urls(),
        ]

    def details(self, obj: Message) -> dict[str, Any]:
        facts = message_details(obj)
        return {
            "text_changes": changes_of(facts.revisions),
            "conversation": shown_conversation(obj.tree_id, obj),
            "steps": shown_steps(steps_of(facts.transitions)),
            "suggestion": personal_data.suggest(obj, facts.readings),
            "file": facts,
            "page_url": reverse("tree", args=[obj.pk]),
            "predictions": render_predictions(obj),
            "readings": render_readings(obj, facts.readings),
            "reviews": [(review, _answers(review.labels)) for review in facts.reviews],
            "changes": word_diff(obj.correction_of.text, obj.text) if obj.correction_of else [],
            "ranked": [_ranked(scored, obj) for scored in scores_by_rankings(ranked_parents(obj), facts.rankings)],
            "suggested": [(m, message_badge(m), word_diff(obj.text, m.text)) for m in facts.corrections],
        }

    def title_of(self, obj: Message) -> str:
        return plain_excerpt(obj.text, 70)

    def extra_context(self, obj: Message, actor: User) -> dict[str, Any]:
        may_act = actor.has_perm(MODERATE) and may_act_in(actor, obj.lang)
        may_edit = may_act and offered_actions.may_edit(obj, actor)
        return {
            "edit_url": reverse("admin:trees_message_edit", args=[obj.pk]) if may_edit else "",
            "may_settle": may_act,
        }

    def can_do(self, action: str, obj: Message, actor: User) -> bool:
        if action == "mark_gold":
            return gold.can_be_marked(obj)
        if action in ("choose_for_review", "choose_for_ranking"):
            return practice_texts.may_be_chosen(obj)
        return not obj.deleted and may_act_in(actor, obj.lang)

    def edit_view(self, request: Any, message_id: UUID) -> HttpResponse:
        message = self.get_queryset(request).filter(pk=message_id).first()
        if message is None:
            raise Http404
        require_moderator(request.user)
        require_language(request.user, message.lang)
        form = EditForm(request.POST or None, initial={"text": message.text})
        if request.method == "POST" and form.is_valid():
            try:
                with timeouts_as_busy():
                    moderator_actions.edit_message(
                        message_id=message_id, actor=request.user, policy=current_policy(), **form.cleaned_data
                    )
            except DomainError as error:
                add_domain_error(form, error)
            else:
                self.message_user(request, gettext("The new text is stored; the old one is kept."), messages.SUCCESS)
                return redirect("admin:trees_message_change", message_id)
        return self.form_page(
            request,
            form,
            original=message,
            title=gettext("Edit the text"),
            intro=gettext(
                "The text of now is kept, with everything people said of it. While reviewers can still be asked, the "
                "new text is reviewed anew."
            ),
            submit=gettext("Store the new text"),
            back_url=reverse("admin:trees_message_change", args=[message_id]),
            back_words=gettext("Back to the message"),
        )

    def personal_data_view(self, request: Any, message_id: UUID) -> HttpResponse:
        """Mask what machines found in the text, or let it stay, without asking for a reason."""
        message = self.get_queryset(request).filter(pk=message_id).first()
        if message is None:
            raise Http404
        require_moderator(request.user)
        require_language(request.user, message.lang)
        about: dict[str, Any] = {"message_id": message_id, "revision_id": request.POST.get("revision", "")}
        try:
            with timeouts_as_busy():
                if "mask" in request.POST:
                    personal_data.mask(**about, actor=request.user, policy=current_policy())
                    done = gettext("The personal data are masked.")
                else:
                    personal_data.keep(**about, actor=request.user)
                    done = gettext("The personal data stay.")
        except DomainError as error:
            self.message_user(request, error.message, messages.ERROR)
        else:
            self.message_user(request, done, messages.SUCCESS)
        return redirect("admin:trees_message_change", message_id)

    @admin.display(description=_("Text"))
    def excerpt(self, message: Message) -> str:
        return plain_excerpt(message.text, 90)

    @admin.display(description=_("Status"))
    def status(self, message: Message) -> str:
        return message_badge(message)

    @admin.display(description=_("Marks"))
    def marks(self, message: Message) -> str:
        marks = {
            _("flagged: %(number)d") % {"number": message.emojis.get("red_flag", 0)}: "red_flag" in message.emojis,
            gettext("looks like %(language)s") % {"language": name_of(message.looks_like)}: bool(message.looks_like),
            gettext("edited"): message.edited,
            gettext("by a model"): message.synthetic,
            gettext("a suggested edit"): message.correction_of_id is not None,
        }
        return format_html_join(" ", "{}", [(badge(mark),) for mark, is_so in marks.items() if is_so])

    @admin.display(description=_("Accepted?"))
    def prediction(self, message: Message) -> str:
        return f"{message.quality_score.accepted:.2f}"

    @admin.display(description=_("Looks like"))
    def looks_like_language(self, message: Message) -> str:
        return badge(name_of(message.looks_like), "warning") if message.looks_like else gettext("the same")

    @admin.display(description=_("Conversation"))
    def conversation(self, message: Message) -> str:
        return format_html("{} {}", tree_link(message.tree_id), state_badge(message.tree.state))

    @admin.display(description=_("Text"))
    def text_of_now(self, message: Message) -> str:
        return render_message(message.text)

    @admin.action(description=_("Remove, with everything below"))
    def delete(self, request: Any, chosen: QuerySet[Message]) -> None:
        moderate(self, request, chosen, gettext("removed"), moderator_actions.delete_message, "message_id")

    @admin.action(description=_("Use as gold: the decision is surely right"))
    def mark_gold(self, request: Any, chosen: QuerySet[Message]) -> None:
        def act(message: Message, reason: str) -> None:
            gold.mark(message_id=message.pk, actor=request.user, reason=reason, policy=current_policy())

        self.act_on_each(request, chosen, gettext("used as gold"), act)

    @admin.action(description=_("Use for practice: the reason is the explanation that people read"))
    def choose_for_review(self, request: Any, chosen: QuerySet[Message]) -> None:
        self._choose(request, chosen, PracticeText.Exercise.REVIEW)

    @admin.action(description=_("Use the order of its replies for practice: the reason is the explanation"))
    def choose_for_ranking(self, request: Any, chosen: QuerySet[Message]) -> None:
        self._choose(request, chosen, PracticeText.Exercise.RANKING)

    def _choose(self, request: Any, chosen: QuerySet[Message], exercise: PracticeText.Exercise) -> None:
        def act(message: Message, reason: str) -> None:
            practice_texts.choose_text(
                message_id=message.pk, exercise=exercise, actor=request.user, reason=reason, policy=current_policy()
            )

        self.act_on_each(request, chosen, gettext("used for practice"), act)


def is_by_prediction(request: HttpRequest) -> bool:
    return request.GET.get(ByPrediction.parameter_name) in (ByPrediction.REJECTED, ByPrediction.LOWEST)


def _in_this_order(queryset: QuerySet[Message], ids: list[UUID]) -> QuerySet[Message]:
    return queryset.filter(pk__in=ids).order_by(in_order_of(ids))


def _page_number(request: HttpRequest) -> int:
    page = request.GET.get("p", "")
    return int(page) if page.isdecimal() and len(page) < 6 else 1


def _answers(labels: dict[str, float | None]) -> list[tuple[str, float]]:
    """Return the labels that were answered."""
    return [(name.replace("_", " "), value) for name, value in labels.items() if value is not None]


def _ranked(scored: ScoredReplies, message: Message) -> dict[str, Any]:
    """Return what the template shows of the ranked replies to one message."""
    w = scored.concordance
    return {
        "about": scored,
        "is_own": scored.parent_id == message.pk,
        "rows": [
            (reply, plain_excerpt(reply.message.text, 70), _score(reply.score), reply.message.pk == message.pk)
            for reply in scored.replies
        ],
        "same_order": f"{scored.pairs.agreed} of {scored.pairs.compared}" if scored.pairs.compared else "",
        "w": f"{w.w:.2f}" if w else "",
    }


def _score(score: Score | None) -> str:
    if score is None:
        return ""
    # Adding 0 turns -0.0 into 0.0.
    return f"{round(score.value, 2) + 0:+.2f} ± {score.error:.2f}".replace("-", "−")


@admin.register(Deletion)
class DeletionAdmin(AboutMessage, ReadOnlyAdmin):
    excerpt_length = 90
    list_display = ("excerpt", "messages_taken", "reason", "actor", "created_at", "undone_at", "undone_by")
    list_filter = (("undone_at", admin.EmptyFieldListFilter), ByLanguageOfMessage)
    search_fields = ("tree__id__exact", "message__id__exact")
    search_help_text = _("The id of a conversation or of the message that was deleted first")
    ordering = ("-id",)
    actions = ("undelete",)
    fields = (
        "message_text",
        "answered",
        ("author_of_message", "conversation"),
        ("reason", "actor"),
        ("messages_taken", "created_at"),
        ("undone_at", "undone_by"),
        ("undo_reason", "purge"),
    )
    readonly_fields = ("message_text", "answered", "author_of_message", "conversation", "messages_taken")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deletion]:
        rows = super().get_queryset(request).select_related("message", "actor", "undone_by")
        return rows.defer("message__search")

    def title_of(self, obj: Deletion) -> str:
        return gettext("Removal of: %(text)s") % {"text": plain_excerpt(obj.message.text, 60)}

    def can_do(self, action: str, obj: Deletion, actor: User) -> bool:
        return may_act_in(actor, obj.message.lang) and offered_actions.may_undelete(obj, actor)

    @admin.display(description=_("Messages"))
    def messages_taken(self, deletion: Deletion) -> int:
        return len(deletion.message_ids)

    @admin.display(description=_("Conversation"))
    def conversation(self, deletion: Deletion) -> str:
        return tree_link(deletion.tree_id)

    @admin.action(description=_("Bring back"))
    def undelete(self, request: Any, chosen: QuerySet[Deletion]) -> None:
        moderate(self, request, chosen, gettext("brought back"), moderator_actions.undelete, "deletion_id")
