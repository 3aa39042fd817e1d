"""The default model. Skipped unless `manage.py fetch_model` has been run, as `.ci/run` does."""

import os
import random
from pathlib import Path

import pytest
from django.conf import settings

from inference.engine.fetching import is_fetched
from inference.engine.torch_engine import open_engine
from tests.inference.engine.asking import ask, generated, request

FOLDER = Path(os.environ.get("CHAT_MODEL_FOLDER") or settings.OASST_HOME.parent / "models" / "smollm2-135m-instruct")
PROMPTS = int(os.environ.get("CHAT_PROMPTS", "8"))


@pytest.mark.slow
@pytest.mark.skipif(not is_fetched(FOLDER), reason=f"no model in {FOLDER}: run manage.py fetch_model")
def test_the_same_text_as_generate_and_sense() -> None:
    engine = open_engine(FOLDER, name="smollm2")
    try:
        pause = random.Random(3)
        topics = ["bread", "rain", "a cat", "Paris", "prime numbers", "the sea", "a bicycle", "honey"]
        requests = [
            request(f"r{n}", f"Tell me about {topics[n % 8]} in {n + 3} words." * pause.randrange(1, 4), max_tokens=16)
            for n in range(PROMPTS)
        ]
        capital = request("capital", "What is the capital of France? Answer with one word.", max_tokens=12)
        answers = ask(engine, capital, *requests, pause=pause)
        assert "Paris" in answers.text["capital"]
        for one in requests:
            assert answers.text[one.id] == generated(engine._loaded, one)
    finally:
        engine.close()
