"""Maintenance, the end of the project, and parts that are switched off."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from inference.chats import asking
from inference.models import ChatMessage, Turn
from inference.policy import ChatPolicy
from inference.turns.states import TurnState
from oasst.accounts import registration
from oasst.accounts.authentication import sign_in_links
from oasst.accounts.models import User
from oasst.accounts.site_settings import changing, reading
from oasst.accounts.site_settings.sockets import OpenSiteOnly
from oasst.core.errors import Conflict, NotAllowed
from tests.factories import decide, new_prompt
from tests.tasks.test_pages import signed_in
from trees.models import Message

pytestmark = pytest.mark.django_db
SCRIPT = {"X-Requested-With": "fetch"}


def set_site(**changes: Any) -> None:
    changing.change(actor=None, **changes)
    reading.forget()


class TestMaintenance:
    @pytest.fixture(autouse=True)
    def _maintenance(self) -> None:
        set_site(maintenance=True, maintenance_message="We move to a larger machine.")

    @pytest.mark.parametrize("path", ["/", "/terms/", "/statistics/", "/data/", "/docs/", "/about/", "/dashboard/"])
    def test_pages(self, alice: User, path: str) -> None:
        for client in (Client(), signed_in(alice)):
            response = client.get(path)
            assert (response.status_code, response["Retry-After"]) == (503, "60")
            assert "We move to a larger machine." in response.content.decode()

    def test_the_expected_end_is_told(self) -> None:
        set_site(maintenance_until=timezone.now() + timedelta(minutes=30))
        response = Client().get("/")
        assert 1700 < int(response["Retry-After"]) <= 1800
        assert "Until: <time" in response.content.decode()

    @pytest.mark.parametrize(
        ("path", "message"),
        [
            ("/api/v1/messages/", lambda body: body["message"]),
            ("/inference/configs/model_configs", lambda body: body["message"]),
            ("/v1/models", lambda body: body["error"]["message"]),
        ],
    )
    def test_apis_in_their_own_form(self, path: str, message: Any) -> None:
        response = Client().get(path)
        assert (response.status_code, response["Retry-After"]) == (503, "60")
        assert message(response.json()) == "We move to a larger machine."

    @pytest.mark.parametrize("path", ["/healthz", "/readyz"])
    def test_health_checks_answer(self, path: str) -> None:
        assert Client().get(path).status_code == 200

    def test_scripts_learn_that_it_is_maintenance(self, alice: User) -> None:
        response = signed_in(alice).get("/me/present/", headers=SCRIPT)
        assert (response.status_code, response.json()["code"]) == (503, "maintenance")

    def test_staff_signs_in_and_works_and_is_reminded(self, mo: User) -> None:
        client = Client()
        assert "The site is being looked after." in client.get("/accounts/login/").content.decode()
        assert client.get("/admin/")["Location"].startswith("/accounts/login/")
        link = sign_in_links.make_link(mo, minutes=5)
        key = link.partition("key=")[2]
        client.post("/accounts/link/", {"key": key})
        page = client.get("/dashboard/")
        assert page.status_code == 200 and "Maintenance is on" in page.content.decode()

    def test_others_who_sign_in_see_the_page_and_may_leave(self, alice: User) -> None:
        client = signed_in(alice)
        assert client.get("/accounts/email/").status_code == 503
        assert client.post("/accounts/logout/").status_code == 302

    def test_a_form_that_was_on_its_way_keeps_its_text(self, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        decide(prompt)
        client, action = signed_in(bob), f"/messages/{prompt.pk}/report/"
        words = "This is about somebody else."
        answer = client.post(
            action,
            {"category": "spam", "text": words},
            headers={"Referer": f"http://testserver/messages/{prompt.pk}/"},
        )
        assert answer.status_code == 503 and words in answer.content.decode()
        set_site(maintenance=False)
        assert words in client.get(f"/messages/{prompt.pk}/").content.decode()

    def test_nobody_signs_up(self) -> None:
        with pytest.raises(NotAllowed, match="no new people"):
            registration.get_or_create_by_email("new@example.org")

    def test_unknown_addresses(self, alice: User, mo: User) -> None:
        """Nobody is told that something is not there while the site does not look."""
        for path in ("/nothing/", "/messages/x/", "/api/v1/nothing", "/docs/nothing/"):
            assert Client().get(path, follow=True).status_code == 503, path
            assert signed_in(alice).get(path, follow=True).status_code == 503, path
        assert signed_in(mo).get("/nothing/").status_code == 404
        assert Client().get("/static/nothing.css").status_code == 404
        set_site(maintenance=False)
        assert Client().get("/nothing/").status_code == 404

    def test_sockets(self, alice: User, mo: User) -> None:
        passed: list[Any] = []
        sent: list[Any] = []

        async def inner(scope: Any, receive: Any, send: Any) -> None:
            passed.append(scope["user"])

        async def send(event: Any) -> None:
            sent.append(event)

        reading.remember(reading.read(), seconds=60)  # so that the loop's thread needs no database
        for user in (alice, mo):
            asyncio.run(OpenSiteOnly(inner)({"path": "/ws/chat/x/", "user": user}, None, send))
        assert passed == [mo] and sent == [{"type": "websocket.close"}]


class TestEnd:
    @pytest.fixture(autouse=True)
    def _ended(self) -> None:
        set_site(ended=True, ended_message="Two years, 161,443 messages. Thank you.")

    @pytest.mark.parametrize("path", ["/", "/dashboard/", "/tasks/nothing/"])
    def test_work_leads_to_the_closing_page(self, alice: User, path: str) -> None:
        for client in (Client(), signed_in(alice)):
            page = client.get(path, follow=True)
            assert page.redirect_chain == [("/ended/", 302)]
            assert "161,443 messages" in page.content.decode()

    def test_staff_is_reminded(self, mo: User) -> None:
        page = signed_in(mo).get("/dashboard/", follow=True).content.decode()
        assert 'data-testid="staff-notice"' in page

    def test_data_and_account_stay(self, alice: User) -> None:
        client = signed_in(alice)
        for path in ("/data/", "/me/", "/me/contributions/", "/statistics/", "/about/"):
            assert client.get(path).status_code == 200

    def test_no_task_is_given_out(self, alice: User) -> None:
        response = signed_in(alice).post("/tasks/next/", {"kind": "random", "idempotency_key": str(uuid4())})
        assert response.status_code == 410
        api = Client().post("/api/v1/tasks/", {"type": "random"}, content_type="application/json")
        assert (api.status_code, api.json()["message"]) == (410, "The project has ended and takes no more work.")
        assert not Message.objects.exists()

    def test_before_the_end_there_is_no_such_page(self) -> None:
        set_site(ended=False)
        assert Client().get("/ended/").status_code == 404


class TestSwitches:
    def test_sign_up(self, alice: User) -> None:
        assert "New accounts cannot be made" not in Client().get("/accounts/login/").content.decode()
        set_site(sign_up=False)
        with pytest.raises(NotAllowed, match="no new people"):
            registration.get_or_create_by_email("new@example.org")
        assert registration.get_or_create_by_email(alice.email or "") == alice
        assert "New accounts cannot be made" in Client().get("/accounts/login/").content.decode()

    def test_mailed_codes(self, settings: Any) -> None:
        settings.SENDS_MAIL = True
        page = Client().get("/accounts/login/").content.decode()
        assert "switched off" not in page and 'data-testid="signin-email-button"' in page
        set_site(email_codes=False)
        response = Client().post("/accounts/login/code/", {"email": "ada@example.org"})
        assert response.status_code == 403 and not mail.outbox
        page = Client().get("/accounts/login/").content.decode()
        assert "switched off" in page and 'data-testid="signin-email-button"' not in page

    def test_proof_of_work(self, settings: Any) -> None:
        settings.SENDS_MAIL, settings.SIGN_IN_PROOF, settings.RATE_LIMITS = True, "always", False
        form = {"email": "ada@example.org"}
        assert Client().post("/accounts/login/code/", form).status_code == 429 and not mail.outbox
        assert "proof.js" in Client().get("/accounts/login/").content.decode()
        set_site(sign_in_proof=False)
        assert "proof.js" not in Client().get("/accounts/login/").content.decode()
        assert Client().post("/accounts/login/code/", form).status_code == 302 and len(mail.outbox) == 1

    def test_several_answers_to_a_question(self, alice: User, settings: Any) -> None:
        settings.OASST_CHAT_MODEL = "tiny"
        turn = asking.start_chat(user=alice, text="Why do tides come twice a day?", policy=ChatPolicy())
        question = turn.message.parent_id
        assert question is not None
        client, again = signed_in(alice), reverse("chat_again", args=[question])
        Turn.objects.filter(pk=turn.pk).update(state=TurnState.COMPLETE, ended_at=timezone.now())
        ChatMessage.objects.filter(pk=turn.message_id).update(content="Because the moon pulls on both sides.")
        page = reverse("chat", args=[turn.message.chat_id])
        assert again in client.get(page).content.decode()
        set_site(chat_drafts=False)
        assert again not in client.get(page).content.decode()
        assert "Each question is answered once" in client.post(again).content.decode()
        with pytest.raises(Conflict, match="answered once"):
            asking.answer_again(user=alice, message_id=question, policy=ChatPolicy())
        Turn.objects.filter(pk=turn.pk).update(state=TurnState.FAILED)
        assert client.post(again).status_code == 302, "a question without an answer may be asked again"
        set_site(chat_drafts=True)

    def test_chat(self, alice: User, settings: Any) -> None:
        settings.OASST_CHAT_MODEL = "tiny"
        client = signed_in(alice)
        assert client.get("/chat/").status_code == 200
        assert 'href="/chat/"' in client.get("/dashboard/").content.decode()
        set_site(chat=False)
        assert client.get("/chat/").status_code == 404
        assert 'href="/chat/"' not in client.get("/dashboard/").content.decode()
        assert Client().get("/v1/models").json()["error"]["code"] == "chat_off"
        assert Client().get("/inference/configs/model_configs").status_code == 404
