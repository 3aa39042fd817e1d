"""Admin pages of the chat. Chats are private: only a reported answer is shown, with the messages before it."""

from inference.admin import presets_and_votes, reports, turns

__all__ = ["presets_and_votes", "reports", "turns"]
