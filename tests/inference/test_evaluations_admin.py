"""Staff see what was measured and what the gate said, and read the report where it can do nothing."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from inference.evaluating.report import Figure, Measure, ModelFacts, Report
from inference.models import Evaluation, ServedModel
from oasst.accounts.models import User
from tests.factories import new_person

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def row(db: None, settings: Any, tmp_path: Path) -> Evaluation:
    settings.OASST_HOME = tmp_path
    loss = Measure(title="Loss", better="lower", model=Figure(value=2.0, low=1.9, high=2.1, number=3))
    facts = ModelFacts(name="better", digest="d" * 64, template="t" * 64)
    report = Report(date="now", model=facts, snapshot="s", settings={}, measures={"held_out.loss": loss})
    row = Evaluation(
        key="k" * 64,
        model=ServedModel.objects.create(name="better"),
        snapshot="2026.1",
        snapshot_digest="s" * 64,
        report=report.short(),
        passed=False,
        reasons=[f"Loss: 2. Refused: {HOSTILE}."],
    )
    row.page = f"training/evaluations/{row.pk}/report.html"
    (tmp_path / row.page).parent.mkdir(parents=True)
    (tmp_path / row.page).write_text(f"<!doctype html><title>x</title>{HOSTILE}")
    row.save()
    return row


@pytest.fixture
def browser(db: None) -> Client:
    client = Client()
    client.force_login(new_person("Ada", role="admin"))
    return client


def test_list_and_page(row: Evaluation, browser: Client) -> None:
    listed = browser.get(reverse("admin:inference_evaluation_changelist")).content.decode()
    assert "better" in listed and "refused" in listed
    for verdict, is_there in (("refused", True), ("passed", False), ("none", False), ("x", True)):
        shown = browser.get(reverse("admin:inference_evaluation_changelist"), {"gate": verdict}).content.decode()
        assert (str(row.pk) in shown) is is_there, verdict
    shown = browser.get(reverse("admin:inference_evaluation_change", args=[row.pk])).content.decode()
    assert "Refused" in shown and "1.9 to 2.1" in shown and HOSTILE not in shown
    assert reverse("admin:inference_evaluation_report", args=[row.pk]) in shown


def test_the_report_can_do_nothing(row: Evaluation, browser: Client) -> None:
    response = browser.get(reverse("admin:inference_evaluation_report", args=[row.pk]))
    assert response.text.endswith(HOSTILE)
    assert response["Content-Type"] == "text/html; charset=utf-8"
    policy = response["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "sandbox" in policy and "script" not in policy


def test_a_report_that_is_gone_is_said(row: Evaluation, browser: Client, tmp_path: Path) -> None:
    (tmp_path / row.page).unlink()
    address = reverse("admin:inference_evaluation_report", args=[row.pk])
    gone = browser.get(address)
    assert gone.status_code == 410 and "not on this machine" in gone.content.decode()
    page = browser.get(reverse("admin:inference_evaluation_change", args=[row.pk])).content.decode()
    assert address not in page and "The report is not on this machine." in page
    Evaluation.objects.filter(pk=row.pk).update(page="/etc/hostname")
    assert browser.get(address).status_code == 410
    row.delete()
    assert browser.get(address).status_code == 404


def test_strangers_do_not_see_it(row: Evaluation, client: Client, eve: User, mo: User) -> None:
    address = reverse("admin:inference_evaluation_report", args=[row.pk])
    assert client.get(address).status_code == 302
    for person in (eve, mo):
        client.force_login(person)
        assert client.get(address).status_code in (302, 403), person
