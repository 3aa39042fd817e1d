from inference.models.chat import Chat, ChatMessage, Role
from inference.models.feedback import ChatReport, DraftChoice, Vote
from inference.models.offer import OfferedModel
from inference.models.preset import Preset
from inference.models.turn import Turn

__all__ = ["Chat", "ChatMessage", "ChatReport", "DraftChoice", "OfferedModel", "Preset", "Role", "Turn", "Vote"]
