"""Personal data is found by rules, and what only looks like it is left alone."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inference.scoring.personal_data import MASKS, Finding, find, mask
from inference.scoring.personal_data.numbers import is_iban, luhn
from oasst.simulation.measuring.labelled import FOLDER, read_marked
from oasst.simulation.measuring.reading import figures_of_findings

SAMPLES = read_marked(FOLDER / "personal_data.tsv")
UNSEEN = read_marked(FOLDER / "personal_data_unseen.tsv")
REAL_TEXTS = (Path("tests/data/trees_en_50.jsonl"), Path("tests/data/prompts_en_125.jsonl"))


class TestSamples:
    def test_there_are_enough_of_both(self) -> None:
        assert sum(len(sample.spans) for sample in SAMPLES) >= 150
        assert sum(not sample.spans for sample in SAMPLES) >= 150
        assert {kind for sample in SAMPLES for *_, kind in sample.spans} == set(MASKS) - {"name"}

    def test_every_sample_is_read_as_labelled(self) -> None:
        """The rules were written with these samples in view."""
        total = figures_of_findings(SAMPLES)["all"]
        assert total.faults == []

    def test_precision_and_recall_on_samples_that_the_rules_were_not_fitted_to(self) -> None:
        figures = figures_of_findings(UNSEEN)
        report = "\n".join(f"{kind}: {one}" for kind, one in sorted(figures.items()))
        total = figures["all"]
        assert total.precision >= 0.9 and total.recall >= 0.85, "\n".join([report, *total.faults])

    def test_seven_hundred_real_texts_have_no_false_alarm(self) -> None:
        texts = [text for path in REAL_TEXTS for line in path.open() for text in _texts(json.loads(line))]
        assert len(texts) == 700
        assert [text for text in texts if find(text, "en")] == []


def _texts(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
        return
    message = node.get("prompt", node)
    yield message["text"]
    for reply in message.get("replies") or ():
        yield from _texts({"prompt": reply})


class TestMask:
    def test_each_finding_is_replaced(self) -> None:
        text = "Mail jo.berg@posteo.net or call +49 1512 7734901, please."
        assert mask(text, find(text, "de")) == "Mail [e-mail address] or call [phone number], please."

    def test_a_masked_text_has_no_findings(self) -> None:
        for sample in SAMPLES:
            assert find(mask(sample.text, find(sample.text, sample.lang)), sample.lang) == []

    def test_findings_do_not_overlap(self) -> None:
        """The password in a URL looks like the beginning of an e-mail address."""
        text = "postgres://shop:q8Rt-vv3Lm@db.shop.net:5432/shop"
        assert find(text, "en") == [Finding(16, 26, "secret")]
        assert mask(text, find(text, "en")) == "postgres://shop:[secret]@db.shop.net:5432/shop"


class TestRules:
    def test_a_national_number_is_one_where_the_language_is_spoken(self) -> None:
        assert [finding.kind for finding in find("Tel. 030 4423871", "de")] == ["phone"]
        assert find("Tel. 030 4423871", "ja") == []

    def test_check_digits(self) -> None:
        assert luhn("4434546157682949") and not luhn("4434546157682948")
        assert is_iban("NL37INGB5360754115") and not is_iban("NL37INGB5360754116")

    @pytest.mark.parametrize(
        "piece",
        ["1", "1 ", "a@", "a.", "a(at)", "A ", "Abc ", "a:", "DE12 ", "http://a:", "a.b-", "eyJaaaaaaaa.", "1 rue "],
    )
    def test_no_text_takes_long(self, piece: str) -> None:
        """Patterns that try again and again would take minutes; the limit of the test run would end them."""
        assert find(piece * 20_000, "en") == []

    def test_an_empty_text_and_one_of_surrogates(self) -> None:
        assert find("", "en") == [] == find("\ud83d 12", "xx")
