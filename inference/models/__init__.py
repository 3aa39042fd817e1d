from inference.models.battle import Battle, BattleBoard
from inference.models.chat import Chat, ChatMessage, Role
from inference.models.feedback import ChatReport, DraftChoice, Vote
from inference.models.preset import Preset
from inference.models.training import Evaluation, ServedModel, TrainingPoint, TrainingRun
from inference.models.turn import Turn

__all__ = [
    "Battle",
    "BattleBoard",
    "Chat",
    "ChatMessage",
    "ChatReport",
    "DraftChoice",
    "Evaluation",
    "Preset",
    "Role",
    "ServedModel",
    "TrainingPoint",
    "TrainingRun",
    "Turn",
    "Vote",
]
