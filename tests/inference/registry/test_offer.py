"""Who is offered which model, on the pages, by the APIs, and as the default."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from inference.chats import asking, changes
from inference.models import Chat, ServedModel, Turn
from inference.registry import offer
from oasst.accounts.models import User
from oasst.accounts.tokens import new_token
from oasst.core.errors import Invalid
from tests.factories import new_person
from tests.inference.registry.conftest import NewModel
from tests.inference.talking import POLICY, ask

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def no_limits(settings: Any) -> Iterator[None]:
    settings.RATE_LIMITS = False
    yield
    offer.forget()


def stage(model: ServedModel, stage: str, share: int = 5, at: str = "2026-01-01T00:00:00Z") -> None:
    ServedModel.objects.filter(pk=model.pk).update(stage=stage, share=share, staged_at=at)
    offer.forget()


def shown_models(person: User) -> list[str]:
    """The models that all doors show this person; they must agree."""
    browser = Client()
    browser.force_login(person)
    chat = Chat.objects.filter(user=person).first() or Chat.objects.create(user=person)
    page = browser.get(reverse("chat_settings", args=[chat.pk]))
    by_page = [value for value, _ in page.context["settings_form"].fields["model"].choices]
    token = {"Authorization": f"Bearer {new_token(person)[1]}"}
    by_openai = [one["id"] for one in Client(headers=token).get("/v1/models").json()["data"]]
    assert by_page == by_openai
    return by_page


def test_where_nothing_is_staged(alice: User, new_model: NewModel, settings: Any) -> None:
    new_model("better")
    assert shown_models(alice) == ["tiny"]
    settings.OASST_CHAT_MODEL = "none"
    assert offer.models_for(alice) == [] and offer.default_model() == "" and not offer.offered_to_anybody()


def test_for_staff(alice: User, mo: User, new_model: NewModel) -> None:
    stage(new_model("better"), "staff")
    admin, suspended = new_person("Ada", "admin"), new_person("Sue", "moderator")
    suspended.enabled = False
    assert offer.models_for(alice) == offer.models_for(suspended) == offer.models_for(None) == ["tiny"]
    assert offer.models_for(mo) == offer.models_for(admin) == ["tiny", "better"]
    assert shown_models(mo) == ["tiny", "better"] and shown_models(alice) == ["tiny"]
    assert offer.offered_to_anybody() == ["tiny", "better"]


def test_for_a_share(new_model: NewModel) -> None:
    """Always the same people, others for another model, and more of them when the share grows."""
    people = [User(pk=uuid4()) for _ in range(1000)]
    first, second = new_model("better"), new_model("best")
    stage(first, "share")
    stage(second, "share")

    def chosen(name: str) -> set[User]:
        return {person for person in people if name in offer.models_for(person)}

    few, others = chosen("better"), chosen("best")
    assert 25 <= len(few) <= 80 and 25 <= len(others) <= 80 and few != others
    assert chosen("better") == few
    stage(first, "share", share=20)
    assert few < chosen("better") and 140 <= len(chosen("better")) <= 260
    stage(first, "share", share=100)
    assert len(chosen("better")) == 1000


def test_the_newest_for_everybody_is_the_default(alice: User, new_model: NewModel) -> None:
    stage(new_model("better"), "all")
    chat = Chat.objects.create(user=alice)
    assert shown_models(alice) == ["better", "tiny"] and offer.default_model() == "better"
    assert ask(alice).model == "better"
    stage(new_model("best"), "all", at="2026-02-01T00:00:00Z")
    assert shown_models(alice) == ["best", "better", "tiny"]
    assert ask(alice).model == "best"
    values: Any = {"chosen": {}, "allow_data_use": True, "policy": POLICY}
    changes.save_settings(user=alice, chat_id=chat.pk, model="best", **values)
    assert Chat.objects.get(pk=chat.pk).model == "", "who keeps the default follows it"
    changes.save_settings(user=alice, chat_id=chat.pk, model="tiny", **values)
    chat.refresh_from_db()
    asked = asking.start_turn(user=alice, chat_id=chat.pk, text="Hi", policy=POLICY, **asking.turn_options(alice, chat))
    assert asked.model == "tiny", "who chose another one keeps it"


def test_strangers_cannot_choose_a_staged_model_by_its_name(
    alice: User, mo: User, new_model: NewModel, settings: Any
) -> None:
    stage(new_model("better"), "staff")
    chat = Chat.objects.create(user=alice)
    known: Any = {"user": alice, "chat_id": chat.pk, "policy": POLICY}
    for act in (
        lambda: asking.start_turn(**known, text="Hi", model="better"),
        lambda: changes.save_settings(**known, model="better", chosen={}, allow_data_use=True),
        lambda: asking.complete(
            user=alice, messages=[{"role": "user", "content": "Hi"}], policy=POLICY, model="better"
        ),
    ):
        with pytest.raises(Invalid) as refused:
            act()
        assert refused.value.code == "unknown_model"
    caller = Client(headers={"Authorization": f"Bearer {new_token(alice)[1]}"})
    body = {"model": "better", "messages": [{"role": "user", "content": "Hi"}]}
    staged = caller.post("/v1/chat/completions", body, content_type="application/json")
    missing = caller.post("/v1/chat/completions", {**body, "model": "nobody"}, content_type="application/json")
    assert staged.status_code == missing.status_code
    assert staged.text.replace("better", "nobody") == missing.text, "nobody learns that it exists"
    assert caller.get("/v1/models/better").status_code == caller.get("/v1/models/nobody").status_code
    assert not Turn.objects.exists() and Chat.objects.get(pk=chat.pk).model == ""


def test_a_chat_whose_model_is_withdrawn_gets_the_default(mo: User, new_model: NewModel) -> None:
    better = new_model("better")
    stage(better, "staff")
    chat = Chat.objects.create(user=mo, model="better")
    assert asking.turn_options(mo, chat)["model"] == "better"
    stage(better, "nobody")
    assert asking.turn_options(mo, chat)["model"] == "" and ask(mo).model == "tiny"


def test_it_costs_no_statement(mo: User, new_model: NewModel, django_assert_num_queries: Any) -> None:
    for number in range(20):
        stage(new_model(f"model-{number}"), "staff")
    with django_assert_num_queries(1):
        assert len(offer.models_for(mo)) == 21
    with django_assert_num_queries(0):
        assert len(offer.models_for(mo)) == 21 and offer.still_offered(mo, "model-3") == "model-3"
