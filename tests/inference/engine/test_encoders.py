"""Encoders: results do not depend on the batch, models are loaded once, and failures have a clear message."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from inference.engine import encoders, tiny
from inference.engine.base import EngineError

TEXTS = [
    "How do I bake bread without yeast?",
    " ",
    "Wie wird das Wetter?",
    "今日は天気がいいですね",
    "🍞" * 30,
    "bread " * 3_000,
    *(f"Question number {n}, " * n for n in range(1, 40, 2)),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "tiny-encoder"
    tiny.make_encoder(made)
    return made


def test_vectors_have_length_one_and_do_not_depend_on_the_batch(folder: Path) -> None:
    embedder = encoders.load_embedder(folder)
    together = embedder.embed(TEXTS)
    assert together.shape == (len(TEXTS), embedder.dimensions) and together.dtype == np.float32
    assert np.allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    alone = np.concatenate([embedder.embed([text]) for text in TEXTS])
    assert np.allclose(together, alone, atol=1e-5)
    assert embedder.embed([]).shape == (0, embedder.dimensions)


def test_similar_texts_have_similar_vectors(folder: Path) -> None:
    bread, same, other = encoders.load_embedder(folder).embed(
        ["How do I bake bread?", "How can I bake bread?", "Why is the sky blue in summer?"]
    )
    assert bread @ same > 0.7 > bread @ other


def test_a_model_is_loaded_once_for_all_threads(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(encoders.load_embedder, [folder] * 8))
        vectors = list(pool.map(lambda one: one.embed(TEXTS[:9]), loaded))
    assert all(one is loaded[0] for one in loaded)
    assert all(np.array_equal(one, vectors[0]) for one in vectors)
    assert encoders.embedder_if_loaded(folder) is loaded[0]


def test_who_does_not_wait_gets_the_model_later(folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "another"
    tiny.make_encoder(copy)
    assert encoders.embedder_if_loaded(copy) is None
    encoders.load_embedder(copy)
    assert encoders.embedder_if_loaded(copy) is not None


def test_the_name_changes_with_the_weights(folder: Path, tmp_path: Path) -> None:
    tiny.make_encoder(tmp_path / "tiny-encoder", labels=("toxicity",))
    other = encoders.load_embedder(tmp_path / "tiny-encoder")
    assert other.name.startswith("tiny-encoder@") and other.name != encoders.load_embedder(folder).name


def test_e5_reads_its_prefix(folder: Path, tmp_path: Path) -> None:
    e5, plain = tmp_path / "intfloat--multilingual-e5-small", encoders.load_embedder(folder)
    tiny.make_encoder(e5)
    assert np.allclose(encoders.load_embedder(e5).embed(["bread"]), plain.embed(["query: bread"]), atol=1e-5)


def test_the_window_of_the_folder_counts(folder: Path, tmp_path: Path) -> None:
    short = tmp_path / "short"
    tiny.make_encoder(short)
    (short / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": 4}))
    first, second = encoders.load_embedder(short).embed(["abcdefgh", "abcdefgh, and what only others read"])
    assert np.allclose(first, second, atol=1e-5)


def test_a_classifier_scores_each_label(tmp_path: Path) -> None:
    tiny.make_encoder(tmp_path, labels=("toxicity", "insult"))
    classify = encoders.load_classifier(tmp_path)
    scores = classify(TEXTS)
    assert len(scores) == len(TEXTS)
    assert all(set(one) == {"toxicity", "insult"} and all(0 <= score <= 1 for score in one.values()) for one in scores)
    assert scores[2]["insult"] == pytest.approx(classify([TEXTS[2]])[0]["insult"], abs=1e-5)


@pytest.mark.parametrize("broken", ["empty", "config", "pickle"])
def test_folders_without_a_model_are_refused_and_tried_again(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if broken == "config":
        (tmp_path / "config.json").write_text("{}")
    if broken == "pickle":
        tiny.make_encoder(tmp_path)
        (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    for load in (encoders.load_embedder, encoders.load_classifier):
        with pytest.raises(EngineError, match=str(tmp_path)):
            load(tmp_path)
    tiny.make_encoder(tmp_path)
    monkeypatch.setattr(encoders, "FAILURE_SECONDS", 0)
    assert encoders.load_embedder(tmp_path).dimensions == 384


def test_a_broken_folder_is_left_alone_for_some_minutes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config.json").write_text("{}")
    loads: list[Path] = []

    class Broken(encoders.Embedder):
        def __init__(self, folder: Path, threads: int) -> None:
            loads.append(folder)
            super().__init__(folder, threads)

    monkeypatch.setattr(encoders, "Embedder", Broken)
    for load in (encoders.load_embedder, encoders.embedder_if_loaded, encoders.load_embedder):
        with pytest.raises(EngineError, match=str(tmp_path)):
            load(tmp_path)
    assert loads == [tmp_path]
    tiny.make_encoder(tmp_path)
    monkeypatch.setattr(encoders, "FAILURE_SECONDS", 0)
    assert encoders.load_embedder(tmp_path).dimensions == 384
    assert loads == [tmp_path] * 2
