"""The whole circle with a tiny model, in less than two minutes: `scripts/bench flywheel --tiny`."""

from pathlib import Path
from typing import Any

import pytest

from inference.engine import fetching
from oasst.accounts.models import User
from tests.site.flywheel.circle import Circle, go_around

PLAN = (
    *("sft.lora=false", "sft.learning_rate=0.005", "sft.most_steps=80", "sft.max_length=256", "sft.log_every=1"),
    *("reward.lora=false", "reward.learning_rate=0.002", "reward.most_steps=12", "reward.max_length=128"),
    *("dpo.lora=false", "dpo.learning_rate=0.0005", "dpo.most_steps=12", "dpo.max_length=128"),
    *("reward.log_every=1", "dpo.log_every=1", "evaluation.prompts=6", "evaluation.answer_length=32"),
    *("evaluation.safety=false", "evaluation.most_conversations=20", "evaluation.most_rankings=5"),
)


@pytest.mark.slow  # three trainings
@pytest.mark.django_db(transaction=True)
def test_from_conversations_to_a_model_and_back(home: Path, mo: User, settings: Any) -> None:
    settings.RATE_LIMITS = False
    fetching.fetch("tiny", home / "models", lambda line: None)
    circle = Circle(home, "tiny", PLAN, staff=mo, say=print)
    go_around(circle, "Why is the sky blue?", stop=["e"])
