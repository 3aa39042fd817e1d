"""A site with a snapshot of real trees and a tiny model, on which the flywheel turns in seconds."""

from pathlib import Path
from typing import Any

import pytest

from inference.engine import fetching
from inference.registry import offer
from oasst.site.flywheel.plan import Plan, read_plan
from tests.paths import SAMPLE
from trees.interchange.importer import import_files
from trees.interchange.snapshots import filters
from trees.interchange.snapshots.freezing import freeze
from trees.interchange.snapshots.salt import snapshot_pseudonyms
from trees.policies.reading import current_policy

QUICK = (
    *("sft.most_steps=24", "sft.learning_rate=0.01", "sft.lora=false", "sft.max_length=128", "sft.log_every=1"),
    *("reward.most_steps=3", "reward.max_length=128", "dpo.most_steps=3", "dpo.max_length=128"),
    *("evaluation.prompts=3", "evaluation.answer_length=16", "evaluation.safety=false"),
    *("evaluation.most_conversations=20", "evaluation.most_rankings=5", "evaluation.max_length=128"),
)

SALT = "a long secret that nobody can guess"
"""It decides which trees are in which part. With another one each time, a twelfth of all snapshots has no test part."""


@pytest.fixture
def plan() -> Plan:
    return read_plan(None, QUICK)


@pytest.fixture
def home(settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.OASST_HOME = tmp_path
    settings.SNAPSHOT_FOLDER = tmp_path / "snapshots"
    settings.SNAPSHOT_SALT = SALT
    settings.OASST_CHAT_MODEL = "tiny"
    settings.TRAINING_LEAST_FREE_MB = 0
    monkeypatch.setattr("oasst.embedded.commands.require_site", lambda home: None)
    offer.forget()
    return tmp_path


@pytest.fixture
def site(transactional_db: None, home: Path) -> Path:
    """The home of a site with the snapshot 2026.1 and the model tiny."""
    import_files([SAMPLE], policy=current_policy(), license="Apache-2.0")
    freeze("2026.1", filters=filters.Filters(), pseudonyms=snapshot_pseudonyms())
    fetching.fetch("tiny", home / "models", lambda line: None)
    return home
