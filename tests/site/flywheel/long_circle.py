"""The whole circle with SmolLM2-135M by adapters, on two cores: `scripts/bench flywheel`.

Not part of the suite: pytest collects it only by name.
"""

import os
import time
from pathlib import Path
from typing import Any

import pytest

from oasst.accounts.models import User
from tests.site.flywheel.circle import Circle, go_around

NAME = "smollm2-135m-instruct"
PLAN = (
    *("sft.most_steps=30", "sft.max_length=256", "sft.batch_size=2", "sft.accumulation=2", "sft.learning_rate=5e-4"),
    *("reward.most_steps=24", "reward.max_length=256", "reward.batch_size=2", "reward.learning_rate=3e-4"),
    *("dpo.most_steps=12", "dpo.max_length=256", "dpo.batch_size=2", "dpo.learning_rate=1e-4"),
    *("sft.log_every=1", "reward.log_every=1", "dpo.log_every=1"),
    *("evaluation.prompts=6", "evaluation.answer_length=64", "evaluation.safety_length=24"),
    *("evaluation.most_conversations=30", "evaluation.most_rankings=20", "evaluation.max_length=256"),
)


@pytest.mark.django_db(transaction=True)
def test_from_conversations_to_a_model_and_back(
    home: Path, mo: User, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = NAME
    (home / "models").mkdir()
    (home / "models" / NAME).symlink_to(os.environ["CIRCLE_MODEL"])
    begun = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - begun:5.0f} s  {text}", flush=True)  # noqa: T201

    with capsys.disabled():
        go_around(Circle(home, NAME, PLAN, staff=mo, say=say), "Why is the sky blue?")
        say("The circle is closed.")
