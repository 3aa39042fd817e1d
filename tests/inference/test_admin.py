"""The admin of the chat: moderators see only reports, administrators also see turns."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from inference.chats import asking, feedback, moderation
from inference.models import ChatReport, Evaluation, Preset, ServedModel, TrainingRun, Turn
from inference.turns import status
from inference.turns.states import TurnState
from oasst.accounts.models import User
from oasst.core.errors import Conflict, Invalid, NotAllowed, NotFound
from tests.factories import new_person
from tests.inference.talking import POLICY, answered, ask

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("chat_on")]
LISTS = ("turn", "chatreport", "preset", "vote")


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def list_of(model: str) -> str:
    return reverse(f"admin:inference_{model}_changelist")


@pytest.fixture
def report(alice: User) -> ChatReport:
    first = answered(ask(alice, "The first question"), "The first answer")
    second = asking.start_turn(
        user=alice, chat_id=first.message.chat_id, text="The second question", policy=POLICY, parent_id=first.pk
    )
    answered(second, "A rude answer")
    answered(asking.answer_again(user=alice, message_id=first.message.parent_id, policy=POLICY), "Beside it")  # type: ignore[arg-type]
    answered(ask(alice, "A private question"), "A private answer")
    return feedback.report(user=alice, message_id=second.pk, kind="offensive", reason="It swears.")


class TestReports:
    def test_the_queue(self, report: ChatReport, mo: User) -> None:
        browser = signed_in(mo)
        start = browser.get(reverse("admin:index")).text
        assert "reported answer" in start and "Reported answers" in start and "Engines" not in start
        page = browser.get(f"{list_of('chatreport')}?status=open").text
        assert "It swears." in page and "A rude answer" in page

    def test_only_the_branch_is_shown(self, report: ChatReport, mo: User) -> None:
        page = signed_in(mo).get(reverse("admin:inference_chatreport_change", args=[report.pk])).text
        for text in ("It swears.", "The first question", "The first answer", "The second question", "A rude answer"):
            assert text in page
        assert "Beside it" not in page and "private question" not in page and "private answer" not in page

    def test_resolving(self, report: ChatReport, mo: User) -> None:
        data = {"action": "resolve", "reason": "Told the people who train it.", "_selected_action": [str(report.pk)]}
        page = signed_in(mo).post(list_of("chatreport"), data, follow=True)
        assert "resolved" in page.text
        report.refresh_from_db()
        assert report.resolved_at and report.resolved_by == mo and report.outcome == data["reason"]
        with pytest.raises(Conflict):
            moderation.resolve_report(report_id=report.pk, actor=mo, outcome="Again")
        assert signed_in(mo).get(f"{list_of('chatreport')}?status=open").text.count("It swears.") == 0

    def test_refused(self, report: ChatReport, alice: User, mo: User) -> None:
        for actor, number, outcome, error in (
            (alice, report.pk, "Fine", NotAllowed),
            (mo, report.pk, " ", Invalid),
            (mo, report.pk + 1, "Fine", NotFound),
        ):
            with pytest.raises(error):
                moderation.resolve_report(report_id=number, actor=actor, outcome=outcome)
        report.refresh_from_db()
        assert report.resolved_at is None and report.outcome == ""


class TestWhoSees:
    @pytest.mark.parametrize("name", ["turn", "preset", "vote"])
    def test_the_rest_is_for_administrators(self, mo: User, name: str) -> None:
        assert signed_in(mo).get(list_of(name)).status_code == 403

    def test_the_engines_too(self, mo: User) -> None:
        assert signed_in(mo).get(reverse("admin:inference_engine")).status_code == 403

    def test_nobody_changes_anything_and_no_text_is_shown(self, report: ChatReport, alice: User) -> None:
        Preset.objects.create(user=alice, name="Mine", sampling={"temperature": 0.5})
        feedback.vote(user=alice, message_id=report.message_id, score=1)
        turn = Turn.objects.get(pk=report.message_id)
        browser = signed_in(new_person("Ada", role="admin"))
        pages = [browser.get(list_of(name)) for name in LISTS]
        pages += [browser.get(reverse("admin:inference_turn_change", args=[turn.pk]))]
        assert {one.status_code for one in pages} == {200}
        for page in (*pages[:1], *pages[2:]):
            text = page.text.replace("Hard questions", "")  # in the menu
            assert "A rude answer" not in text and "question" not in text
        assert "up</" in pages[3].text.replace("\n", "").replace(" ", "") or "up" in pages[3].text
        assert browser.post(reverse("admin:inference_turn_delete", args=[turn.pk])).status_code == 403

    @pytest.mark.parametrize("name", LISTS)
    def test_lists_cost_the_same_at_ten_times_the_rows(
        self, report: ChatReport, name: str, django_assert_max_num_queries: Any
    ) -> None:
        browser = signed_in(new_person("Ada", role="admin"))
        for number in range(10):
            person = new_person(f"P{number}")
            turn = answered(ask(person))
            feedback.vote(user=person, message_id=turn.pk, score=1)
            feedback.report(user=person, message_id=turn.pk, kind="spam", reason="x")
            Preset.objects.create(user=person, name="Mine")
        browser.get(list_of(name))
        with django_assert_max_num_queries(6):
            browser.get(list_of(name))


class TestEngines:
    def test_nobody_answers(self, alice: User) -> None:
        ask(alice)
        page = signed_in(new_person("Ada", role="admin")).get(reverse("admin:inference_engine")).text
        assert "No engine gave a sign of life" in page
        assert "waiting, of 200 at most" in page and "1 person" in page

    def test_what_failed(self, alice: User) -> None:
        turn = ask(alice)
        Turn.objects.filter(pk=turn.pk).update(
            state=TurnState.FAILED, ended_at=turn.queued_at, error_code="too_long", error="Too long."
        )
        page = signed_in(new_person("Ada", role="admin")).get(reverse("admin:inference_engine")).text
        assert "too_long" in page
        assert [(one["error_code"], one["number"]) for one in status.recent_errors()] == [("too_long", 1)]


class TestModels:
    @pytest.fixture
    def better(self, tmp_path: Path, settings: Any) -> ServedModel:
        """A model that was trained here from one that was fetched, with files and an evaluation."""
        settings.OASST_HOME = tmp_path
        for name in ("base", "better"):
            (tmp_path / "models" / name).mkdir(parents=True)
            (tmp_path / "models" / name / "config.json").write_text("{}")
        base = ServedModel.objects.create(name="base", origin="fetched", license="mit")
        known = {"key": "k", "snapshot": "2026.1", "snapshot_digest": "s" * 64}
        run = TrainingRun.objects.create(**known, method="dpo", base="base", base_digest="b" * 64, state="done")
        model = ServedModel.objects.create(name="better", origin="trained", parent=base, run=run, license="mit")
        Evaluation.objects.create(**known, model=model, against=base, passed=True, reasons=["Better in German."])
        return model

    def change(self, browser: Client, action: str, reason: str = "It reads well.") -> str:
        data = {"action": action, "reason": reason, "_selected_action": ["better"], "_from_details": "1"}
        return browser.post(list_of("servedmodel"), data, follow=True).text

    def test_an_administrator_offers_and_takes_back(self, better: ServedModel) -> None:
        browser = signed_in(new_person("Ada", role="admin"))
        shown = browser.get(list_of("servedmodel")).text
        assert "fetch_model --list" in shown and "better" in shown and "passed" in shown
        card = browser.get(reverse("admin:inference_servedmodel_change", args=["better"])).text
        for words in ("base", "dpo", "snapshot 2026.1", "Better in German.", "Offer to staff", "Nobody has changed"):
            assert words in card
        assert "Take the last change back" not in card
        assert "Say why" in self.change(browser, "to_everybody", "") or "say why" in self.change(
            browser, "to_everybody", ""
        )
        card = self.change(browser, "to_everybody")
        assert "offered to everybody" in card and "Take the last change back" in card and "Ada" in card
        assert "It reads well." in card
        better.refresh_from_db()
        assert better.stage == "all"
        self.change(browser, "roll_back")
        better.refresh_from_db()
        assert better.stage == "nobody"

    def test_the_gate_refuses_here_too(self, better: ServedModel) -> None:
        Evaluation.objects.update(passed=False)
        browser = signed_in(new_person("Ada", role="admin"))
        assert "did not pass its gate: Better in German." in self.change(browser, "to_staff")
        better.refresh_from_db()
        assert better.stage == "nobody"

    def test_others_change_nothing(self, better: ServedModel, alice: User, mo: User) -> None:
        for person in (alice, mo):
            signed_in(person).post(
                list_of("servedmodel"), {"action": "to_staff", "reason": "I.", "_selected_action": ["better"]}
            )
            assert signed_in(person).get(list_of("servedmodel")).status_code in (302, 403)
        better.refresh_from_db()
        assert better.stage == "nobody"
