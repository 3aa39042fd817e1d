"""The page of a report shows what was found, and runs nothing that a model wrote."""

from pathlib import Path

import pytest

from inference.evaluating.gate import decide, read_gate
from inference.evaluating.page import page, write_page
from inference.evaluating.report import Report

HOSTILE = "</div></style><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}{% raw %}"


def test_the_verdict_comes_first_then_figures_then_answers(report: Report) -> None:
    shown = page(report, decide(report, read_gate()))
    order = [shown.index(part) for part in ("The gate lets it pass", "Held-out conversations", "Answers to 4 prompts")]
    assert order == sorted(order)
    assert "Is blue number 25 fine?" in shown and "Yes, it is fine." in shown and report.model.digest in shown
    assert "▼" in shown and 'meaning--better">better' in shown
    assert "<script" not in shown and "http" not in shown.replace("http://localhost", "")


def test_without_a_gate_or_another_model(report: Report) -> None:
    alone = report.model_copy(update={"against": None, "sampling": report.sampling[:1]})
    assert "No gate was asked" in page(alone)


def test_hostile_texts_are_shown_as_they_are(report: Report) -> None:
    hostile = report.model_copy(deep=True)
    hostile.model.name = hostile.sampling[0]["model_name"] = HOSTILE
    prompt = hostile.sampling[0]["prompts"][0]
    prompt["messages"][0]["content"] = prompt["lang"] = prompt["kind"] = HOSTILE
    prompt["results"][0]["outputs"][0] = HOSTILE
    hostile.settings["judge_model"] = HOSTILE
    shown = page(hostile, decide(hostile, read_gate()))
    assert "<script" not in shown and "<img" not in shown
    assert shown.count("&lt;script&gt;alert(1)") >= 5 and "{{ 7*7 }}" in shown
    assert shown.count("</style>") == 1


def test_it_appears_complete_or_not_at_all(report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.html"
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        with pytest.raises(OSError, match="No space"):
            write_page(report, file)
    assert not file.exists()
    broken = report.model_copy(deep=True)
    broken.sampling[0]["prompts"][0]["results"][0]["outputs"][0] = "half a character \ud83d"
    write_page(broken, file)
    assert "half a character ?" in file.read_text("utf-8")
