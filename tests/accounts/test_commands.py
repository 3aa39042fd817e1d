"""Management commands of operators."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command, get_commands, load_command_class
from pytest_django import Settings

from oasst.accounts.management.commands import create_user
from oasst.accounts.models import ApiClient, Role, Secret, Token, User

pytestmark = pytest.mark.django_db


def run(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command(*arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def output_of(*arguments: str) -> list[str]:
    """Run create_user with the servers of the tests, and return its lines."""
    out = StringIO()
    create_user.Command(stdout=out).handle(
        **{"display_name": "", "role": Role.GENERAL, "password": None, "token": False, "accept_terms": False}
        | {"email": arguments[0]}
        | dict(zip([one.strip("-") for one in arguments[1::2]], arguments[2::2], strict=True))
    )
    return out.getvalue().splitlines()


class TestCreateUser:
    def test_it_works(self) -> None:
        run(
            "create_user", "ada@example.org", "--display-name", "Ada", "--role", "moderator", "--password", "some words"
        )
        ada = User.objects.get()
        assert (ada.email, ada.display_name, ada.role) == ("ada@example.org", "Ada", Role.MODERATOR)
        assert ada.check_password("some words")

    def test_the_help_promises_no_code_where_none_is_sent(self) -> None:
        text = load_command_class("oasst.accounts", "create_user").help
        assert "where the site sends mail" in text and "sign_in_link EMAIL" in text

    def test_the_token_is_the_last_line(self) -> None:
        out, _ = run("create_user", "ada@example.org", "--token")
        secret = out.strip().splitlines()[-1]
        assert Token.objects.get(digest=Secret.digest_of(secret)).user == User.objects.get()

    def test_where_no_mail_is_sent_it_ends_with_the_command_that_makes_a_link(self, settings: Settings) -> None:
        settings.SENDS_MAIL, settings.OASST_HOME = False, settings.BASE_DIR / "var"
        assert output_of("o'ada@example.org")[-1] == "  ./manage.py sign_in_link 'o'\"'\"'ada@example.org'"
        assert not any("sign_in_link" in line for line in output_of("bob@example.org", "--password", "some long words"))
        settings.SENDS_MAIL = True
        assert not any("sign_in_link" in line for line in output_of("eve@example.org"))

    @pytest.mark.parametrize("arguments", [("nonsense",), ("a@example.org", "--display-name", "admin")])
    def test_a_refusal_is_a_sentence(self, arguments: tuple[str, ...]) -> None:
        with pytest.raises(CommandError):
            run("create_user", *arguments)
        assert not User.objects.exists()

    def test_an_address_that_is_taken(self, alice: User) -> None:
        with pytest.raises(CommandError, match="already has an account"):
            run("create_user", str(alice.email), "--token")
        assert User.objects.count() == 1 and not Token.objects.exists()


class TestCreateApiClient:
    def test_the_key_is_the_last_line(self) -> None:
        out, err = run("create_api_client", "bot", "--trusted")
        client = ApiClient.objects.get(keys__digest=Secret.digest_of(out.strip().splitlines()[-1]))
        assert (client.name, client.trusted, err) == ("bot", True, "")

    def test_a_given_key(self) -> None:
        out, err = run("create_api_client", "bot", "--key", "1234")
        assert out.strip().splitlines()[-1] == "1234"
        assert not ApiClient.objects.get().trusted
        assert "OFFICIAL_WEB_API_KEY=1234 switches it on" in err

    def test_a_short_key(self) -> None:
        assert "guessed" in run("create_api_client", "bot", "--key", "12345")[1]

    def test_a_key_that_is_taken(self) -> None:
        run("create_api_client", "bot", "--key", "k" * 20)
        with pytest.raises(CommandError, match="already in use"):
            run("create_api_client", "other", "--key", "k" * 20)
        assert ApiClient.objects.count() == 1


@pytest.mark.parametrize("name", ["create_user", "create_api_client", "sign_in_link"])
def test_help_teaches(name: str, capsys: Any) -> None:
    command = load_command_class(get_commands()[name], name)
    assert isinstance(command.help, str) and f"\n  {name} " in command.help
