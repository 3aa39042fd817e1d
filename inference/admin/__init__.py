"""Admin pages of the chat and of trainings. Chats are private: only a reported answer is shown, with what led to it."""

from inference.admin import battles, evaluations, presets_and_votes, reports, served_models, trainings, turns

__all__ = ["battles", "evaluations", "presets_and_votes", "reports", "served_models", "trainings", "turns"]
