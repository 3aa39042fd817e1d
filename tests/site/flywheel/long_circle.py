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
    # Several rounds over few samples, so that the falling loss is not lost in the differences between them.
    *("sft.most_samples=32", "sft.epochs=4", "sft.batch_size=2", "sft.accumulation=4", "sft.learning_rate=5e-4"),
    *("reward.most_samples=16", "reward.epochs=3", "reward.batch_size=2", "reward.learning_rate=3e-4"),
    *("dpo.most_samples=12", "dpo.epochs=2", "dpo.batch_size=2", "dpo.learning_rate=2e-4"),
    *(f"{method}.{change}" for method in ("sft", "reward", "dpo") for change in ("max_length=256", "log_every=1")),
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
