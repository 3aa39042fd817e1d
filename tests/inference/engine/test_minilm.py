"""The default embedding model. Skipped unless `manage.py fetch_model` has been run, as `.ci/run` does."""

import os
from pathlib import Path

import pytest
from django.conf import settings

from inference.engine import encoders
from inference.engine.fetching import is_fetched
from oasst.simulation.measuring.similarity import read_pairs
from tests.paths import ROOT
from trees.enrichment.embeddings import least_cosine

FOLDER = Path(os.environ.get("EMBEDDING_FOLDER") or settings.OASST_HOME.parent / "models" / "all-minilm-l6-v2")


@pytest.mark.slow
@pytest.mark.skipif(not is_fetched(FOLDER), reason=f"no model in {FOLDER}: run manage.py fetch_model")
def test_prompts_that_ask_the_same_are_found_and_few_others() -> None:
    embedder = encoders.load_embedder(FOLDER)
    assert embedder.name == "all-minilm-l6-v2@53aa51172d14"
    pairs = read_pairs(ROOT / "tests/data/labelled/prompt_pairs_en.tsv")
    first, second = embedder.embed([pair.first for pair in pairs]), embedder.embed([pair.second for pair in pairs])
    hits = (first * second).sum(axis=1) >= least_cosine(embedder.name)
    found = sum(bool(hit) for hit, pair in zip(hits, pairs, strict=True) if pair.ask_the_same)
    assert found >= 28 and hits.sum() - found <= 1
