"""What was given of a chat, for the pages of the chat, whose views cannot know the data set: `{% load donations %}`."""

from django import template

from inference.models import Chat
from trees import donations
from trees.models import Donation

register = template.Library()


@register.simple_tag
def given_of(chat: Chat) -> list[Donation]:
    """Return the donations of this chat, oldest first. One statement."""
    return donations.donations_of(chat)
