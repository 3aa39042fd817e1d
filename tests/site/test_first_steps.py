"""A site without conversations shows each user what they can do first."""

import re
from pathlib import Path

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from pytest_django import Settings

from oasst.accounts.models import User
from tasks.models import Task
from tests.factories import growing_tree, new_person, new_prompt
from trees.lifecycle.policy import TreePolicy

pytestmark = pytest.mark.django_db
FOR_OPERATORS = ("import_trees FILE", "create_user EMAIL", "sign_in_link EMAIL")


@pytest.fixture(autouse=True)
def without_mail(settings: Settings) -> None:
    settings.SENDS_MAIL = False


@pytest.fixture
def ada(db: None) -> User:
    return new_person("Ada", role="admin")


def told(person: User, page: str = "dashboard") -> str:
    """Return the section on this page, empty if there is none."""
    client = Client()
    client.force_login(person)
    response = client.get(reverse(page))
    assert response.status_code == 200
    found = re.search(r'<section class="first-steps".*?</section>', response.text, re.S)
    return found[0] if found else ""


def press_the_button_in(section: str, person: User) -> str:
    client = Client()
    client.force_login(person)
    action = re.search(r'<form method="post" action="([^"]+)"', section)
    assert action
    fields = dict(re.findall(r'<input type="hidden" name="(kind|lang|idempotency_key)" value="([^"]*)"', section))
    return client.post(action[1], fields, follow=True).text


@pytest.mark.parametrize("page", ["dashboard", "admin:index"])
class TestAdministrators:
    def test_they_import_invite_and_write(self, ada: User, page: str) -> None:
        section = told(ada, page)
        assert all(command in section for command in FOR_OPERATORS)
        assert "Start a conversation" in press_the_button_in(section, ada)
        assert Task.objects.get().kind == "initial_prompt"

    def test_where_mail_is_sent_people_sign_up_by_themselves(self, ada: User, page: str, settings: Settings) -> None:
        settings.SENDS_MAIL, settings.PUBLIC_URL = True, "https://oasst.example.org"
        section = told(ada, page)
        assert "create_user" not in section and ">https://oasst.example.org<" in section

    def test_the_first_account_that_they_make_ends_no_step(self, ada: User, alice: User, page: str) -> None:
        """The link comes after it, and one user is not several."""
        assert all(command in told(ada, page) for command in FOR_OPERATORS)

    def test_commands_name_the_home_that_is_not_the_usual_one(self, ada: User, page: str, settings: Settings) -> None:
        """In a second terminal they would work on another site without notice."""
        settings.OASST_HOME = Path("/srv/a site")
        section = told(ada, page)
        for command in ("import_trees FILE", "create_user EMAIL", "sign_in_link EMAIL"):
            assert f">OASST_HOME=&#x27;/srv/a site&#x27; ./manage.py {command}<" in section
        settings.OASST_HOME = settings.BASE_DIR / "var"
        assert ">./manage.py import_trees FILE<" in told(ada, page)

    def test_a_look_at_the_demo_is_a_site_of_its_own(self, ada: User, page: str, settings: Settings) -> None:
        settings.PORT = 8000
        assert ">OASST_HOME=/tmp/oasst-demo PORT=8001 scripts/up --demo<" in told(ada, page)

    @pytest.mark.parametrize("mail", [False, True])
    def test_an_address_that_is_this_machines_is_called_so(
        self, ada: User, page: str, mail: bool, settings: Settings
    ) -> None:
        settings.SENDS_MAIL, settings.PUBLIC_URL = mail, "http://localhost:8000"
        assert "reach this site only once <code>PUBLIC_URL</code>" in told(ada, page)
        settings.PUBLIC_URL = "https://oasst.example.org"
        assert "reach this site only once" not in told(ada, page)

    def test_no_work_is_said_to_wait(self, ada: User, page: str) -> None:
        """There is room for many prompts, and nobody waits for them."""
        client = Client()
        client.force_login(ada)
        text = client.get(reverse("dashboard")).text
        assert "waiting." not in text and not re.search(r"\d+ open<", text)
        assert re.search(r"\d+ wanted<", text)

    def test_it_ends_with_the_first_conversation(self, ada: User, alice: User, page: str) -> None:
        new_prompt(alice)
        assert told(ada, page) == ""

    def test_whoever_wrote_it_alone_is_still_told_how_to_invite(self, ada: User, page: str) -> None:
        """Users cannot review their own prompt: without others it waits forever."""
        new_prompt(ada)
        section = told(ada, page)
        assert "wait for other people" in section
        assert "create_user EMAIL" in section and "sign_in_link EMAIL" in section
        assert "import_trees" not in section and "Write the first prompt" not in section

    def test_an_account_whose_link_was_never_used_is_nobody_yet(self, ada: User, alice: User, page: str) -> None:
        new_prompt(ada)
        assert "sign_in_link EMAIL" in told(ada, page)
        told(alice)
        assert told(ada, page) == ""


class TestOthers:
    def test_contributors_are_asked_for_the_first_prompt_and_told_no_commands(self, alice: User) -> None:
        section = told(alice)
        assert "Nobody has written here yet" in section and "manage.py" not in section
        assert "Start a conversation" in press_the_button_in(section, alice)

    def test_moderators_too(self, mo: User) -> None:
        section = told(mo, "admin:index")
        assert "Nobody has written here yet" in section and "manage.py" not in section

    def test_it_costs_a_busy_site_nothing(self, alice: User, bob: User) -> None:
        growing_tree(alice, TreePolicy())
        client = Client()
        client.force_login(bob)
        client.get(reverse("dashboard"))
        with CaptureQueriesContext(connection) as captured:
            assert 'class="first-steps"' not in client.get(reverse("dashboard")).text
        assert len(captured) <= 12
        assert not [one["sql"] for one in captured if '"trees_messagetree" LIMIT 1' in one["sql"]]
