"""Toxicity: a ladder of scorers, whatever the server does, and never a score that nobody computed."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import redis
from django.core.cache import cache
from pytest_django import Settings

from inference.engine import encoders
from inference.engine.base import EngineError
from inference.scoring import remote, toxicity
from inference.scoring.base import NotScorable, Unavailable
from inference.scoring.scores import WrongAnswer
from inference.scoring.toxicity import Ladder, Question, Scores, ladder
from tests.fake_classifier import SCORE, FakeClassifier, perspective

HELLO = Question("Hello there, how are you?", "en")


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeClassifier]:
    server = FakeClassifier()
    settings.TOXICITY_URL = server.url
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.001)
    yield server
    server.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from transformers import BertConfig, BertForSequenceClassification, BertTokenizerFast

    folder = tmp_path_factory.mktemp("classifier")
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz"]
    (folder / "vocab.txt").write_text("\n".join(words))
    names = dict(enumerate(["toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"]))
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    config = BertConfig(
        vocab_size=len(words),
        id2label=names,
        label2id={name: index for index, name in enumerate(names.values())},
        problem_type="multi_label_classification",
        **sizes,
    )
    BertForSequenceClassification(config).save_pretrained(folder)
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


def score(question: Question = HELLO) -> Scores | Exception:
    (outcome,) = ladder().score([question])
    return outcome


def end_pause() -> None:
    """Let the pause of the open breaker be over."""
    cache.delete("breaker:toxicity:open")


class TestServer:
    def test_hugging_face(self, server: FakeClassifier, settings: Settings) -> None:
        settings.TOXICITY_KEY = "k"
        outcome = score()
        assert isinstance(outcome, Scores)
        assert set(outcome.values) == set(toxicity.SCORES)
        assert (outcome.values["toxicity"], outcome.version) == (SCORE, "huggingface")
        assert server.headers["authorization"] == "Bearer k"

    def test_the_path_of_the_url_is_a_secret(self, server: FakeClassifier, settings: Settings) -> None:
        settings.TOXICITY_URL = f"{server.url}/a-token"
        outcome = score()
        assert isinstance(outcome, Scores) and outcome.model == "127.0.0.1"

    def test_perspective(self, server: FakeClassifier, settings: Settings) -> None:
        settings.TOXICITY_FORM, settings.TOXICITY_KEY, server.answer = "perspective", "k", perspective
        outcome = score()
        assert isinstance(outcome, Scores) and set(outcome.values) == set(toxicity.SCORES)
        assert server.headers["x-goog-api-key"] == "k"
        german = score(Question("Guten Tag", "de"))
        assert isinstance(german, Scores) and len(german.values) == 6

    def test_many_texts_keep_their_order(self, server: FakeClassifier) -> None:
        outcomes = ladder().score([Question("a toxic text" if n % 3 == 0 else f"text {n}", "en") for n in range(12)])
        assert [isinstance(one, Scores) and one.values["toxicity"] > 0.5 for one in outcomes] == [
            True,
            False,
            False,
        ] * 4

    def test_without_any_scorer_it_is_unknown(self, settings: Settings) -> None:
        settings.TOXICITY_URL = ""
        assert not ladder().is_configured()
        assert isinstance(score(), NotScorable)


class TestTroubles:
    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            b"<html>",
            b"{}",
            b"[]",
            b"[[]]",
            b"null",
            b'[[{"label": "toxicity"}]]',
            b'[[{"label": "toxicity", "score": "high"}]]',
            b'[[{"label": "toxicity", "score": true}]]',
            b'[[{"label": "toxicity", "score": NaN}]]',
            b'[[{"label": "toxicity", "score": 1.5}]]',
            b'[[{"label": "neutral", "score": 0.5}]]',
            b'[[{"label": "toxicity", "score": 0.5}], [{"label": "toxicity", "score": 0.9}]]',
            b"[[" + b'{"label": "toxicity", "score": 0.5},' * 20_000,
            b"[" * 190_000,
            b'[[{"label": "toxicity", "score": 1' + b"0" * 400 + b"}]]",
        ],
        ids=lambda answer: answer[:40].decode(),
    )
    def test_a_wrong_answer_is_no_score(self, server: FakeClassifier, answer: bytes) -> None:
        server.answer = lambda body: answer
        assert not isinstance(score(), Scores)
        assert server.texts == [HELLO.text] * remote.ATTEMPTS + [remote.HARMLESS.text]
        assert not remote.BREAKER.ask().was_healthy, "it counts as a failure"

    def test_it_is_tried_again(self, server: FakeClassifier) -> None:
        server.refuses = lambda text: 503 if len(server.texts) < 3 else None
        assert isinstance(score(), Scores)
        assert len(server.texts) == 3

    def test_a_text_that_the_server_refuses_is_not_scorable(self, server: FakeClassifier) -> None:
        server.status = 400
        assert isinstance(score(), NotScorable)
        assert len(server.texts) == 1
        assert remote.BREAKER.state() == "closed"

    def test_a_text_that_breaks_a_healthy_server_is_to_blame(self, server: FakeClassifier) -> None:
        server.refuses = lambda text: 500 if "poison" in text else None
        assert isinstance(score(), Scores)
        outcome = score(Question("poison", "en"))
        assert isinstance(outcome, Exception) and not isinstance(outcome, Unavailable)
        assert isinstance(score(), Scores)

    def test_two_such_texts_do_not_open_the_breaker(self, server: FakeClassifier) -> None:
        server.refuses = lambda text: 500 if "poison" in text else None
        for name in ("poison", "more poison"):
            assert not isinstance(score(Question(name, "en")), Scores)
        assert len(server.texts) > remote.BREAKER.failures
        assert remote.BREAKER.state() == "closed"
        assert isinstance(score(), Scores)

    @pytest.mark.parametrize("attempts", [1, remote.ATTEMPTS], ids=["of the API", "of a job"])
    def test_a_text_that_returns_alone_on_a_quiet_site_never_opens_the_breaker(
        self, server: FakeClassifier, attempts: int
    ) -> None:
        server.refuses = lambda text: 500 if "poison" in text else None
        for _ in range(2 * remote.BREAKER.failures):
            (outcome,) = ladder(attempts=attempts).score([Question("poison", "en")])
            assert isinstance(outcome, Exception) and not isinstance(outcome, Unavailable), "it is to blame each time"
        assert remote.BREAKER.state() == "closed"

    def test_a_bad_text_that_comes_as_the_probe_closes_the_breaker(self, server: FakeClassifier) -> None:
        server.refuses = lambda text: 500 if "poison" in text else None
        remote.BREAKER.open()
        end_pause()
        outcome = score(Question("poison", "en"))
        assert not isinstance(outcome, Scores | Unavailable)
        assert remote.BREAKER.state() == "closed"

    def test_a_pause_that_the_server_asks_for_meanwhile_is_kept(self, server: FakeClassifier) -> None:
        server.refuses = lambda text: 429 if text == remote.HARMLESS.text else 500
        outcome = score()
        assert isinstance(outcome, Unavailable) and outcome.retry_after == remote.BREAKER.pause
        assert remote.BREAKER.state() == "open"

    def test_while_the_server_is_down_no_text_is_to_blame(self, server: FakeClassifier, settings: Settings) -> None:
        server.status = 500
        assert isinstance(score(), Unavailable)

    def test_nothing_listens(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        settings.TOXICITY_URL = "http://127.0.0.1:9/"
        monkeypatch.setattr(remote, "FIRST_PAUSE", 0.001)
        assert isinstance(score(), Unavailable)

    def test_a_server_that_says_nothing_is_left_after_a_while(
        self, server: FakeClassifier, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("oasst.core.http.outgoing.TOTAL_SECONDS", 0.05)
        server.hold.clear()
        assert not isinstance(score(), Scores)


class TestBreaker:
    def test_it_opens_probes_and_closes(self, server: FakeClassifier) -> None:
        server.status = 500
        while remote.BREAKER.state() == "closed":
            score()
        asked = remote.BREAKER.failures * (remote.ATTEMPTS + 1)
        assert len(server.texts) == asked
        outcome = score()
        assert isinstance(outcome, Unavailable) and 1 <= outcome.retry_after <= 40
        assert len(server.texts) == asked, "nobody asks while it is open"
        end_pause()
        assert remote.BREAKER.state() == "half_open"
        score()
        assert len(server.texts) == asked + 2, "one probe, and whether it is to blame"
        assert remote.BREAKER.state() == "open"
        assert cache.ttl("breaker:toxicity:open") > 50, "twice as long"  # type: ignore[attr-defined]
        end_pause()
        server.status = 200
        assert isinstance(score(), Scores)
        assert remote.BREAKER.state() == "closed"

    def test_only_one_probes(self, server: FakeClassifier) -> None:
        remote.BREAKER.open()
        end_pause()
        probe = remote.BREAKER.ask()
        assert probe.is_probe
        assert isinstance(score(), Unavailable) and not server.texts
        probe.succeeded()
        assert isinstance(score(), Scores)

    def test_a_flushed_redis_closes_it_and_failures_open_it_again(
        self, server: FakeClassifier, redis_server: "redis.Redis"
    ) -> None:
        server.status = 500
        for _ in range(2):
            while remote.BREAKER.state() == "closed":
                score()
            redis_server.flushdb()
            assert remote.BREAKER.state() == "closed"
        assert len(server.texts) == 2 * remote.BREAKER.failures * (remote.ATTEMPTS + 1)

    def test_without_redis_it_is_closed(self, server: FakeClassifier, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cache, "get_many", lambda keys: {})
        for name in ("add", "get", "incr", "set", "delete"):
            monkeypatch.setattr(cache, name, lambda *args, **kwargs: None)
        assert isinstance(score(), Scores)
        server.status = 500
        assert not isinstance(score(), Scores)

    def test_retry_after_is_obeyed(self, server: FakeClassifier) -> None:
        server.status, server.retry_after = 429, "120"
        outcome = score()
        assert isinstance(outcome, Unavailable) and outcome.retry_after == 120
        assert len(server.texts) == 1
        assert 110 < cache.ttl("breaker:toxicity:open") <= 151  # type: ignore[attr-defined]
        assert isinstance(score(), Unavailable) and len(server.texts) == 1

    def test_retry_after_as_a_date(self, server: FakeClassifier) -> None:
        server.status, server.retry_after = (
            503,
            format_datetime(datetime.now(UTC) + timedelta(seconds=300), usegmt=True),
        )
        outcome = score()
        assert isinstance(outcome, Unavailable) and 290 < outcome.retry_after <= 300

    @pytest.mark.parametrize(
        "header",
        ["31536000", "999999999999", "9" * 400, "Fri, 01 Jan 9999 00:00:00 GMT"],
        ids=lambda header: header[:40],
    )
    def test_retry_after_has_a_limit(self, server: FakeClassifier, header: str) -> None:
        server.status, server.retry_after = 503, header
        outcome = score()
        assert isinstance(outcome, Unavailable) and outcome.retry_after == remote.BREAKER.longest

    def test_a_late_success_from_before_does_not_close_it(self, server: FakeClassifier) -> None:
        early = remote.BREAKER.ask()
        remote.BREAKER.open()
        early.succeeded()
        assert remote.BREAKER.state() == "open"


class OneLabel:
    """A loaded classifier with one label."""

    name, version = "one-label", "1"

    def __init__(self, label: str, *scores: float) -> None:
        self.labels, self.scores = [label], scores

    def __call__(self, texts: Sequence[str]) -> list[dict[str, float]]:
        return [{self.labels[0]: score} for score in self.scores[: len(texts)]]


class Failing:
    def __init__(self, error: Exception) -> None:
        self.error = error

    def is_configured(self) -> bool:
        return True

    def score(self, questions: Sequence[Question]) -> list[Scores | Exception]:
        return [self.error for _ in questions]


class TestLadder:
    """The second step is a fake classifier."""

    @pytest.fixture
    def threads(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Let the local classifier be `self.loaded`, and list with how many threads it was loaded."""
        settings.TOXICITY_URL, settings.OASST_TOXICITY_MODEL, settings.ENGINE_THREADS = "", "folder", 3
        asked: list[int] = []

        def load(folder: Path, *, threads: int = 1) -> OneLabel:
            asked.append(threads)
            return self.loaded

        monkeypatch.setattr(encoders, "load_classifier", load)
        return asked

    def test_torch_keeps_the_threads_of_the_site(self, threads: list[int]) -> None:
        self.loaded = OneLabel("toxic", 0.5)
        assert isinstance(score(), Scores)
        assert threads == [3]

    def test_unknown_labels_are_the_fault_of_the_folder(self, threads: list[int]) -> None:
        self.loaded = OneLabel("LABEL_0", 0.5)
        outcome = score()
        assert isinstance(outcome, Unavailable) and "no label called toxicity" in str(outcome)

    def test_a_wrong_score_is_the_error_of_one_text(self, threads: list[int]) -> None:
        self.loaded = OneLabel("toxic", float("nan"), 0.5)
        first, second = ladder().score([HELLO, HELLO])
        assert isinstance(first, WrongAnswer) and isinstance(second, Scores)

    @pytest.mark.parametrize(
        ("of_server", "of_folder", "better"),
        [
            (Unavailable("down"), WrongAnswer("no"), "down"),
            (Unavailable("down"), Unavailable("no folder"), "down"),
            (WrongAnswer("no"), Unavailable("no folder"), "no folder"),
            (NotScorable("refused"), WrongAnswer("no"), "no"),
        ],
        ids=str,
    )
    def test_a_passing_reason_counts(self, of_server: Exception, of_folder: Exception, better: str) -> None:
        assert str(Ladder([Failing(of_server), Failing(of_folder)]).score([HELLO])[0]) == better


@pytest.mark.slow
class TestLocalClassifier:
    """Loads torch."""

    def test_it_scores_where_there_is_no_server(self, folder: Path, settings: Settings) -> None:
        settings.TOXICITY_URL, settings.OASST_TOXICITY_MODEL = "", str(folder)
        outcomes = ladder().score([HELLO, Question("x" * 5000, "de")])
        assert all(isinstance(one, Scores) and len(one.values) == 6 for one in outcomes)
        assert isinstance(outcomes[0], Scores)
        assert outcomes[0].model == folder.name and len(outcomes[0].version) == 12

    def test_it_scores_what_the_server_does_not(self, folder: Path, settings: Settings, server: FakeClassifier) -> None:
        settings.OASST_TOXICITY_MODEL = str(folder)
        server.refuses = lambda text: 400 if "Zulu" in text else None
        first, second = ladder().score([HELLO, Question("Zulu", "zu")])
        assert isinstance(first, Scores) and first.version == "huggingface"
        assert isinstance(second, Scores) and second.model == folder.name

    def test_an_empty_folder_makes_it_unavailable(self, tmp_path: Path, settings: Settings) -> None:
        settings.TOXICITY_URL, settings.OASST_TOXICITY_MODEL = "", str(tmp_path)
        outcome = score()
        assert isinstance(outcome, Unavailable) and "no config.json" in str(outcome)
        with pytest.raises(EngineError):
            encoders.load_classifier(tmp_path)
