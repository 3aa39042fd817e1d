"""Administrators stage models; a gate stands before; the last change is taken back by one command."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from inference.chats.asking import start_turn
from inference.folders import folder_of
from inference.models import Chat, Evaluation, ServedModel, TrainingRun, Turn
from inference.registry import offer
from inference.registry.models import register_fetched, register_trained
from inference.registry.stages import roll_back, set_stage
from oasst.accounts.models import User
from oasst.core.errors import Conflict, DomainError, Invalid, NotAllowed, NotFound
from oasst.core.models import AuditEntry
from tests.concurrency.together import at_once
from tests.factories import new_person
from tests.inference.registry.conftest import NewModel
from tests.inference.talking import POLICY

pytestmark = pytest.mark.django_db


def test_a_fetched_model_that_a_gate_refused_needs_force(db: None, new_model: NewModel) -> None:
    evaluated(new_model("better"), False)
    with pytest.raises(Conflict) as error:
        set_stage("better", "all", by=None)
    assert error.value.code == "gate_not_passed"
    assert set_stage("better", "staff", by=None, reason="To look at it.", force=True).stage == "staff"


@pytest.fixture
def ida(db: None) -> User:
    return new_person("Ida", "admin")


def stages() -> dict[str, str]:
    return dict(ServedModel.objects.values_list("name", "stage"))


def evaluated(model: ServedModel, passed: bool) -> None:
    known = {"key": "k", "snapshot": "2026.1", "snapshot_digest": "s" * 64, "reasons": ["Worse in German."]}
    Evaluation.objects.create(model=model, passed=passed, **known)


class TestStages:
    def test_each_change_is_recorded(self, ida: User, new_model: NewModel) -> None:
        new_model("better")
        set_stage("better", "staff", by=ida)
        set_stage("better", "share", by=ida, share=10, reason="It reads well.")
        set_stage("better", "share", by=ida, share=10)  # nothing
        set_stage("better", "all", by=None)
        entries = list(AuditEntry.objects.filter(act="model.stage").order_by("pk"))
        assert [(one.actor, one.target_id) for one in entries] == [(ida, "better"), (ida, "better"), (None, "better")]
        assert entries[1].text.reason == "It reads well." and '"share": 10' in entries[1].text.after
        row = ServedModel.objects.get()
        assert (row.stage, row.previous_stage, row.previous_share) == ("all", "share", 10)

    @pytest.mark.parametrize(
        ("name", "stage", "more", "code"),
        [
            ("nothing", "staff", {}, "unknown_model"),
            ("better", "friends", {}, "stage"),
            ("better", "share", {"share": 0}, "share"),
            ("better", "share", {"share": 101}, "share"),
            ("better", "staff", {"reason": "x" * 501}, "too_long"),
            ("gone", "staff", {}, "model_missing"),
            ("tiny", "staff", {}, "model_of_settings"),
        ],
    )
    def test_refused(self, ida: User, new_model: NewModel, name: str, stage: str, more: Any, code: str) -> None:
        new_model("better")
        new_model("tiny")
        ServedModel.objects.create(name="gone", origin="fetched")
        with pytest.raises(DomainError) as refused:
            set_stage(name, stage, by=ida, **more)
        assert refused.value.code == code and set(stages().values()) == {"nobody"}
        assert not AuditEntry.objects.filter(act="model.stage").exists()

    def test_only_administrators(self, alice: User, mo: User, new_model: NewModel) -> None:
        new_model("better")
        for person in (alice, mo):
            with pytest.raises(NotAllowed):
                set_stage("better", "all", by=person)
            with pytest.raises(NotAllowed):
                roll_back(person)
        assert stages() == {"better": "nobody"}

    def test_what_was_fetched_without_the_database(self, ida: User, new_model: NewModel) -> None:
        new_model("better")
        ServedModel.objects.all().delete()
        set_stage("better", "staff", by=ida)
        assert ServedModel.objects.get().origin == "fetched" and stages() == {"better": "staff"}


class TestTheGate:
    def test_a_trained_model_needs_it(self, ida: User, new_run: Callable[..., TrainingRun]) -> None:
        model = register_trained(new_run())
        with pytest.raises(Conflict) as refused:
            set_stage(model.name, "staff", by=ida, reason="I like it.")
        assert refused.value.code == "not_evaluated" and "--force" in refused.value.message
        evaluated(model, passed=False)
        with pytest.raises(Conflict, match="Worse in German"):
            set_stage(model.name, "staff", by=ida)
        with pytest.raises(Invalid):
            set_stage(model.name, "staff", by=ida, force=True, reason=" ")
        assert stages()[model.name] == "nobody"
        evaluated(model, passed=True)
        set_stage(model.name, "staff", by=ida)
        evaluated(model, passed=False)
        with pytest.raises(Conflict):
            set_stage(model.name, "all", by=ida)
        set_stage(model.name, "all", by=ida, force=True, reason="German is rare here.")
        entry = AuditEntry.objects.filter(act="model.stage").latest("pk")
        assert '"gate": "forced"' in entry.text.after and entry.text.reason == "German is rare here."
        set_stage(model.name, "nobody", by=ida)


class TestRollBack:
    def test_the_last_change_and_only_that(self, ida: User, new_model: NewModel) -> None:
        for name in ("better", "best"):
            new_model(name)
            set_stage(name, "share", by=ida, share=7)
            set_stage(name, "all", by=ida)
        assert offer.default_model() == "best"
        row = roll_back(ida, "It swears.")
        offer.forget()
        assert (row.name, row.stage, row.share) == ("best", "share", 7) and offer.default_model() == "better"
        with pytest.raises(Conflict, match="no change to take back"):
            roll_back(ida)
        assert stages() == {"better": "all", "best": "share"}
        assert AuditEntry.objects.get(act="model.roll_back").text.reason == "It swears."

    def test_a_withdrawal_taken_back_restores_the_order(self, ida: User, new_model: NewModel) -> None:
        for name in ("better", "best"):
            new_model(name)
            set_stage(name, "all", by=ida)
        set_stage("better", "nobody", by=ida)
        roll_back(None)
        offer.forget()
        assert offer.models_for(None) == ["best", "better", "tiny"]

    def test_nothing_yet(self, ida: User, new_model: NewModel) -> None:
        with pytest.raises(Conflict):
            roll_back(ida)

    @pytest.mark.django_db(transaction=True)
    def test_two_at_once(self, new_model: NewModel) -> None:
        for name in ("better", "best"):
            new_model(name)
            set_stage(name, "all", by=None)
        outcomes = at_once([lambda: roll_back(None).name] * 2)
        assert sorted(map(str, outcomes))[-1] == "best" and stages() == {"better": "all", "best": "nobody"}

    @pytest.mark.django_db(transaction=True)
    def test_eight_who_offer_another_model_each(self, new_model: NewModel) -> None:
        """Whatever the order: all are offered, one is the default, and the last change is one."""
        names = [f"model-{number}" for number in range(8)]
        for name in names:
            new_model(name)
        outcomes = at_once([partial(set_stage, name, "all", by=None) for name in names])
        assert [str(one) for one in outcomes] == names and set(stages().values()) == {"all"}
        last = ServedModel.objects.latest("staged_at").name
        assert offer.default_model() == last == roll_back(None).name
        assert stages()[last] == "nobody"

    @pytest.mark.django_db(transaction=True)
    def test_withdrawn_while_eight_ask(self, new_model: NewModel, settings: Any, people: Any) -> None:
        """Each has a question that waits for it, or is told that there is no such model."""
        settings.RATE_LIMITS = False
        new_model("better")
        set_stage("better", "all", by=None)
        askers = [people("Dora") for _ in range(8)]

        def ask(person: User) -> str:
            chat = Chat.objects.create(user=person)
            try:
                turn = start_turn(user=person, chat_id=chat.pk, text="Why?", policy=POLICY, model="better")
            except Invalid as error:
                return error.code
            return turn.model

        acts: list[Callable[[], Any]] = [partial(ask, person) for person in askers]
        *answers, withdrawn = at_once([*acts, partial(set_stage, "better", "nobody", by=None)])
        assert isinstance(withdrawn, ServedModel) and set(answers) <= {"better", "unknown_model"}
        assert Turn.objects.filter(model="better", state="pending").count() == answers.count("better")


class TestRegistering:
    def test_a_trained_model(self, new_run: Callable[..., TrainingRun], home: Any) -> None:
        run = new_run()
        model = register_trained(run)
        assert model.name == "smollm2-135m-2026.1-sft" and model.stage == "nobody" and model.digest == "m" * 64
        assert model.parent_id == run.base and folder_of(model.name) == home / run.folder
        assert register_trained(run) == register_trained(run, "other") == model
        assert register_trained(new_run()).name == "smollm2-135m-2026.1-sft-2"
        assert register_trained(new_run(), "mine").name == "mine"
        assert AuditEntry.objects.filter(act="model.register").count() == 3

    def test_refused(self, new_run: Callable[..., TrainingRun], home: Any) -> None:
        gone = new_run()
        (home / gone.folder / "config.json").unlink()
        for run, name, code in (
            (new_run(state="failed"), None, "run_not_done"),
            (new_run(method="reward"), None, "no_chat_model"),
            (gone, None, "model_missing"),
            (new_run(), "../etc", "bad_name"),
        ):
            with pytest.raises(Conflict) as refused:
                register_trained(run, name)
            assert refused.value.code == code
        assert not ServedModel.objects.filter(origin="trained").exists()

    def test_a_fetched_model(self, new_model: NewModel) -> None:
        new_model("qwen2.5-0.5b-instruct")
        ServedModel.objects.all().delete()
        first = register_fetched("qwen2.5-0.5b-instruct")
        assert (first.origin, first.license, first.digest) == ("fetched", "apache-2.0", "")
        assert register_fetched("qwen2.5-0.5b-instruct", digest="d").digest == "d"
        with pytest.raises(NotFound):
            register_fetched("missing")
        assert ServedModel.objects.count() == 1
