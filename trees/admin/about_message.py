"""The message that an admin row is about, with what a moderator needs for a decision."""

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from oasst.core.audit.reading import Target
from oasst.core.markdown.rendering import plain_excerpt
from oasst.core.read_only_admin import render_message, render_person, render_plain_text
from trees.admin.trees import tree_link
from trees.models import Message
from trees.moderation.badges import message_badge, state_badge

EXCERPT = 300  # characters of the parent message: enough to see what was answered


class AboutMessage:
    """Columns for rows with a `message`: its text with a link, its author, parent, state, and conversation."""

    excerpt_length = 60

    def history_targets(self, obj: Any) -> list[Target]:
        """The history of the row is that of the message: acts are about it."""
        return [(Message._meta.label_lower, str(obj.message_id))]

    def title_of(self, obj: Any) -> str:
        return plain_excerpt(obj.message.text, 70)

    @admin.display(description=_("Message"))
    def excerpt(self, row: Any) -> str:
        return plain_excerpt(row.message.text, self.excerpt_length)

    @admin.display(description=_("Message is"))
    def state_of_message(self, row: Any) -> str:
        return message_badge(row.message)

    @admin.display(description=_("Conversation"))
    def conversation(self, row: Any) -> str:
        link = tree_link(row.tree_id, gettext("Open the conversation"))
        return format_html("{} {}", link, state_badge(row.tree.state))

    @admin.display(description=_("Message"))
    def message_text(self, row: Any) -> str:
        address = reverse("admin:trees_message_change", args=[row.message_id])
        link = format_html('<a class="text-link" href="{}">{}</a>', address, gettext("Open the message"))
        return format_html("{}{}", render_message(row.message.text), link)

    @admin.display(description=_("Written by"))
    def author_of_message(self, row: Any) -> str:
        author = row.message.author
        if author is None:
            return gettext("nobody known")
        address = reverse("admin:accounts_user_change", args=[author.pk])
        return render_person(author, address)

    @admin.display(description=_("It answers"))
    def answered(self, row: Any) -> str:
        above = row.message.parent
        if above is None:
            return gettext("nothing: it is a first prompt")
        return render_plain_text(plain_excerpt(above.text, EXCERPT))
