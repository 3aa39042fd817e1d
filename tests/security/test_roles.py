"""Every role at every URL: who gets in by which means, and that refused requests change nothing.

The tables below are complete by test: a URL or a WebSocket without a row fails. A new page needs one line; ACCESS
defines its word, in the order of ROLES. For the data API the table is docs/wire.md, checked by
tests/wire/test_permissions.py; for the admin it is docs/permissions.md, checked by tests/security/test_permissions.py.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.test import Client

from inference.api_urls import OPERATIONS as CHAT_OPERATIONS
from inference.consumers import NOT_FOUND, REFUSED
from inference.routing import websocket_urlpatterns as chat_sockets
from oasst.accounts import consent
from oasst.accounts.documents import TERMS
from oasst.accounts.models import Consent, User
from oasst.api.operations import Access
from oasst.api.views import OperationView
from oasst.core.http.api_paths import is_api_path
from oasst.site.api_urls import OPERATIONS as DATA_OPERATIONS
from oasst.site.notices.routing import websocket_urlpatterns as bell_sockets
from tests.inference.talking import ask
from tests.inference.test_consumers import Socket, run
from tests.security.roles import ROLES, Address, World, addresses, new_world, outcome, path_of, rolled_back
from tests.site.notices.test_live import BellSocket

# What a user gets, by role; keys and tokens open no page. `suspended`: redirected to the page with the reason.
ACCESS = {
    #              anonymous  owner contributor suspended moderator administrator  untrusted trusted token
    "open":        "ok        ok    ok          ok        ok        ok             ok        ok      ok   ",
    "browse":      "ok        ok    ok          suspended ok        ok             ok        ok      ok   ",
    "account":     "login     ok    ok          ok        ok        ok             login     login   login",
    "contributor": "login     ok    ok          suspended ok        ok             login     login   login",
    "own":         "login     ok    404         suspended 404       404            login     login   login",
    "own-thing":   "login     ok    404         404       404       404            login     login   login",
    # After a wrong proof with a security key, the sign-in page follows, which redirects signed-in users back.
    "wrong-key":   "login     login ok          ok        ok        ok             login     login   login",
    "staff-only":  "404       404   404         suspended ok        ok             404       404     404  ",
    "suspended":   "login     ok    ok          403       ok        ok             login     login   login",
    "staff":       "login     403   403         403       ok        ok             login     login   login",
    "admin":       "login     403   403         403       403       ok             login     login   login",
    "out":         "login     login login       login     login     login          login     login   login",
    # On the chat API and at /v1.
    "token":       "401       401   401         401       401       401            401       401     ok   ",
    "person":      "403       ok    ok          403       ok        ok             401       401     ok   ",
    "own chat":    "403       ok    404         403       404       404            401       401     ok   ",
}  # fmt: skip
# `-`: not a method of this URL. `none`: nobody gets anything.
NEVER = {"-": {"405", "404", "login", "suspended", "403"}, "none": {"401", "403", "404", "405", "login", "suspended"}}

PAGES = """
# name                                    GET          POST
landing                                   browse       -
dashboard                                 contributor  -
dashboard_work                            contributor  -
leaving                                   browse       -
terms                                     open         -
terms_accept                              account      account
privacy                                   open         -
about                                     open         -
team                                      open         -
report_fault                              open         -
project_ended                             none         -
announcement_dismiss                      -            open
suspended                                 suspended    -
appeal                                    -            account
warning                                   contributor  -
warning_confirm                           -            own
decision                                  own-thing    -
decision_appeal                           -            own-thing
own_data                                  account      -
own_data_file                             account      -
profile                                   contributor  contributor
present                                   contributor  -
acknowledgement                           contributor  contributor
thanks                                    browse       -
reports                                   contributor  -
languages                                 -            contributor
daily_goal                                -            contributor
work_language                             -            contributor
time_zone                                 -            contributor
profile_delete                            account      account
tokens                                    contributor  contributor
token_revoke                              -            own
programs_leave                            -            contributor
sign_in_again                             account      out
sessions                                  contributor  -
sessions_end_others                       -            contributor
session_end                               -            contributor
sign_in_link                              open         open
mailed_sign_in                            open         open
account_login                             open         open
account_request_login_code                open         open
account_confirm_login_code                account      account
account_signup                            out          out
account_logout                            open         open
account_inactive                          open         -
account_reauthenticate                    account      account
account_reauthenticate_code               account      account
mfa_index                                 account      -
mfa_authenticate                          account      account
mfa_reauthenticate                        account      account
mfa_reauthenticate_webauthn               account      wrong-key
mfa_activate_totp                         account      account
mfa_deactivate_totp                       own-thing    own-thing
mfa_list_webauthn                         account      -
mfa_add_webauthn                          account      account
mfa_edit_webauthn                         own-thing    own-thing
mfa_remove_webauthn                       own-thing    own-thing
mfa_view_recovery_codes                   own-thing    -
mfa_generate_recovery_codes               account      account
mfa_download_recovery_codes               own-thing    -
account_email                             contributor  contributor
account_email_verification_sent           open         -
account_change_password                   account      account
account_set_password                      account      account
account_reset_password                    open         open
account_confirm_email                     open         none
account_reset_password_from_key_done      open         -
account_reset_password_from_key           open         open
account_reset_password_done               open         -
socialaccount_login_cancelled             open         -
socialaccount_login_error                 none         -
socialaccount_signup                      out          out
socialaccount_connections                 contributor  contributor
accounts/social/login/cancelled/          open         open
accounts/social/login/error/              open         open
accounts/social/signup/                   open         open
accounts/social/connections/              open         open
task_next                                 -            contributor
task_nothing                              contributor  -
task_preview                              -            contributor
task                                      own          own
task_similar                              -            own
task_give_back                            -            own
task_skip                                 -            own
task_draft                                -            own
task_lease                                -            own
task_undo                                 -            own
review_change                             own          own
explore                                   browse       -
snapshots                                 browse       -
snapshot                                  browse       -
snapshot_file                             browse       -
contributions                             contributor  -
tree                                      contributor  -
message_text                              contributor  -
message_markdown                          contributor  -
message_label                             contributor  contributor
message_react                             -            contributor
message_report                            -            contributor
message_suggest                           contributor  contributor
message_personal_data                     own          own
message_withdraw                          own          own
message_withdraw_undo                     -            own
chats                                     contributor  -
chat_list                                 contributor  -
chat_begin                                -            contributor
chat_choose_new                           -            contributor
chat_preset_new                           -            own
chat_preset_delete                        -            own
chat_again                                -            own
chat_stop                                 -            own
chat_look                                 -            own
chat_vote                                 -            own
chat_report                               -            own
battles                                   contributor  -
battle_begin                              -            contributor
battle_board                              contributor  -
battle                                    own          -
battle_decide                             -            own
battle_give_up                            -            own
chat                                      own          -
chat_ask                                  -            own
chat_rename                               -            own
chat_hide                                 -            own
chat_delete                               -            own
chat_undelete                             -            own
chat_settings                             own          -
chat_give                                 own          own
chat_choose                               -            own
chat_preset                               -            own
leaderboard                               contributor  -
points                                    contributor  -
own_statistics                            contributor  -
notices                                   contributor  -
notices_read                              -            contributor
notices_settings                          -            contributor
notices_stop                              open         open
guidelines                                browse       -
guidelines_topic                          browse       -
practice                                  browse       -
practice_item                             browse       browse
practice_ranking                          browse       browse
practice_verdict                          browse       browse
onboarding                                contributor  contributor
statistics                                browse       -
statistics_csv                            browse       -
robots                                    browse       -
sitemap                                   browse       -
sitemap_part                              browse       -
api-docs                                  browse       -
api-docs-chat                             browse       -
api-docs-openai                           browse       -
styleguide                                staff-only   staff-only
styleguide_page                           staff-only   staff-only
healthz                                   open         -
readyz                                    open         -
metrics                                   none         -
"""
OPENAI = """
# name                                    GET          POST
openai-chat/completions                   -            token
openai-models                             token        -
openai-models/<name>                      none         -
openai-openapi.json                       open         -
v1/                                       none         none
"""
SOCKETS = {
    "ws/chat/<uuid:message_id>/": f"{REFUSED} ok {NOT_FOUND} {REFUSED} {NOT_FOUND} {NOT_FOUND}",
    "ws/bell/": f"{REFUSED} ok ok {REFUSED} ok ok",
}


def rows(table: str) -> dict[str, list[str]]:
    lines = [line.split() for line in table.splitlines() if line and not line.startswith("#")]
    found = {line[0]: line[1:] for line in lines}
    assert len(found) == len(lines), "a row stands there twice"
    return found


@pytest.fixture
def world(db: None, settings: Any) -> World:
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"
    return new_world()


def below(*prefixes: str) -> dict[str, Address]:
    """By name; of several URLs with one name, the first one matches."""
    found: dict[str, Address] = {}
    for one in addresses():
        if one.route.startswith(prefixes):
            found.setdefault(one.name, one)
    return found


def pages() -> dict[str, Address]:
    found = below("").items()
    return {name: one for name, one in found if not (is_api_path(one.route) or one.route.startswith("admin/"))}


def differences(
    world: World, clients: Any, address: Address, access: list[str], **more: Any
) -> list[tuple[str, str, str, str]]:
    found = []
    for method, word in zip(("GET", "POST"), access, strict=True):
        for role in ROLES:
            got = outcome(clients[role], method, path_of(address, world), **more)
            want = {*NEVER[word]} if word in NEVER else {expected(word, role)}
            if got not in want:
                found.append((f"{method} {address.name}", role, f"wanted {word}", f"got {got}"))
    return found


def expected(word: str, role: str) -> str:
    return dict(zip(ROLES, ACCESS[word].split(), strict=True))[role]


def test_every_page_has_a_row() -> None:
    assert set(pages()) == set(rows(PAGES))
    assert set(below("v1/")) == set(rows(OPENAI))


def test_pages(world: World) -> None:
    wrong = []
    for name, access in rows(PAGES).items():
        wrong += differences(world, world.clients, pages()[name], access)
    assert wrong == []


def test_every_operation_of_the_data_is_in_the_other_matrix() -> None:
    """tests/wire/test_permissions.py covers each of DATA_OPERATIONS; here: nothing else is below /api/v1/."""
    views = [one.view for one in below("api/").values()]
    asked = {(one.method, one.path) for one in DATA_OPERATIONS}
    there = set()
    for view in views:
        kind = getattr(view, "view_class", None)
        if kind is None:
            assert view.__name__ == "unknown_path"
            continue
        assert issubclass(kind, OperationView)
        there |= {(one.method, one.path) for one in kind.operations.values()}
    assert there == asked


def test_operations_of_the_chat(world: World) -> None:
    assert {f"inference/{one.path}" for one in CHAT_OPERATIONS} | {"inference/"} == {
        one.route for one in below("inference/").values()
    }
    body = {
        "parent_id": str(world.ids["parent_id"]),
        "content": "Hello",
        "model_config_name": "tiny",
        "sampling_parameters": {},
        "score": 1,
        "report_type": "spam",
        "reason": "Spam",
        "inferior_message_ids": [],
        "title": "New",
        "chats": [{}],
        "chat_ids": [str(world.ids["chat_id"])],
    }
    wrong = []
    for one in CHAT_OPERATIONS:
        address = Address(one.path, f"inference/{one.path}", None)
        sent = {} if one.method == "GET" else {"data": json.dumps(body), "content_type": "application/json"}
        for role in ROLES:
            got = outcome(world.callers[role], one.method, path_of(address, world), **sent)
            word = CHAT_ACCESS[one.access]
            if word == "person" and ("<chat_id>" in one.path or one.path == "chats/batch_delete"):
                word = "own chat"
            want = {expected(word, role)} if word in ACCESS else {"401", "403", "404"}
            if one.path == "account/" and got == "403":
                want.add("403")  # a token is no recent sign-in
            if one.access == Access.OPEN and one.path.startswith("auth/"):
                want |= {"403", "404"}  # it is part of signing in, and the request has nothing that leads there
            if got not in want:
                wrong.append((f"{one.method} {one.path}", role, f"wanted {want}", f"got {got}"))
    assert wrong == []


# A trusted client needs a header of its own (tests/inference/api/test_sign_in.py), besides its key.
CHAT_ACCESS = {
    Access.OPEN: "open",
    Access.MEMBER: "person",
    Access.PERSON: "person",
    Access.TRUSTED: "none",
    Access.ROOT: "none",
}


def test_the_wire_of_openai(world: World) -> None:
    wrong = []
    sent = {"data": json.dumps({"messages": [{"role": "user", "content": "Hello"}], "stream": 7})}
    for name, access in rows(OPENAI).items():
        wrong += differences(world, world.callers, below("v1/")[name], access, content_type="application/json", **sent)
    assert wrong == []


def test_the_wire_of_openai_in_its_other_spellings(world: World) -> None:
    """With a slash at the end, as some programs send it, and the one model by its name."""
    wrong = []
    others = {
        f"{one.route}/": access for name, access in rows(OPENAI).items() if (one := below("v1/")[name]).name != "v1/"
    }
    others |= {"v1/models/tiny": ["token", "-"], "v1/models/tiny/": ["token", "-"]}
    sent = {"data": json.dumps({"messages": [{"role": "user", "content": "Hello"}], "stream": 7})}
    for route, access in others.items():
        address = Address(route, route, None)
        wrong += differences(world, world.callers, address, access, content_type="application/json", **sent)
    assert wrong == []


# --- Accepting the terms ---


class TestAgreeing:
    """Whose consent a request records: that of the user who sends it, or nobody's. All have withdrawn before."""

    @pytest.fixture
    def persons(self, world: World) -> dict[str, User]:
        names = {"owner": "Owner", "contributor": "Contributor", "suspended": "Suspended"}
        names |= {"moderator": "Mo", "administrator": "Ida", "token": "Owner"}
        found = {role: User.objects.get(display_name=name) for role, name in names.items()}
        for person in User.objects.all():
            consent.withdraw_terms(person)
        return found

    def recorded(self, send: Callable[[], Any]) -> tuple[int, set[User]]:
        """Return the status, and who has accepted now."""
        with rolled_back():
            status = send().status_code
            return status, {one.user for one in Consent.objects.filter(withdrawn_at=None)}

    def test_on_the_page(self, world: World, persons: dict[str, User]) -> None:
        form = {"version": TERMS.version, "decision": "accept"}
        for role in ROLES:
            found = self.recorded(partial(world.clients[role].post, "/terms/accept/", form))
            is_signed_in = role in persons and role != "token"
            assert found == (302, {persons[role]} if is_signed_in else set()), role

    @pytest.mark.parametrize("is_own", [True, False])
    def test_by_programs(self, world: World, persons: dict[str, User], is_own: bool) -> None:
        """Cookies and tokens of chat clients accept nothing; a user's own token accepts for nobody else."""
        body = {"display_name": "X", "auth_method": "local", "tos_acceptance": True, "tos_version": TERMS.version}
        body["id"] = "me" if is_own else str(persons["contributor"].pk)
        for client, role in self.everybody(world):
            send = partial(client.post, "/api/v1/frontend_users/", body, content_type="application/json")
            status, agreed = self.recorded(send)
            if role in ("untrusted", "trusted"):
                assert status == 200 and not agreed & {*persons.values()}, role
            elif role == "token" and is_own:
                assert (status, agreed) == (200, {persons["owner"]})
            else:
                assert (status, agreed) == (403, set()), role

    def test_for_somebody_by_their_id(self, world: World, persons: dict[str, User]) -> None:
        path = f"/api/v1/users/{persons['contributor'].pk}?tos_acceptance=true&tos_version={TERMS.version}"
        for client, role in self.everybody(world):
            assert self.recorded(partial(client.put, path)) == (403, set()), role

    def everybody(self, world: World) -> Iterator[tuple[Client, str]]:
        """By cookie, and by token of a chat client."""
        for role in ROLES:
            yield world.clients[role], role
            yield world.callers[role], role


# --- WebSockets ---


@pytest.mark.django_db(transaction=True)
def test_sockets(alice: User, bob: User, carol: User, mo: User, people: Any, settings: Any) -> None:
    settings.OASST_CHAT_MODEL = "tiny"
    assert {str(one.pattern) for one in (*chat_sockets, *bell_sockets)} == set(SOCKETS)
    turn = ask(alice)
    persons = [None, alice, bob, carol, mo, people("Ida", "admin")]
    sockets = [Socket(turn, person) for person in persons]
    bells = [BellSocket(person) for person in persons]
    User.objects.filter(pk=carol.pk).update(enabled=False)

    async def first_words(socket: Socket | BellSocket) -> str:
        await socket.connect(60)
        heard = await socket.hear()
        await socket.disconnect()
        return str(heard["code"]) if heard.get("type") == "closed" else "ok"

    for route, ours in (("ws/chat/<uuid:message_id>/", sockets), ("ws/bell/", bells)):
        got = [run(lambda socket=socket: first_words(socket)) for socket in ours]  # type: ignore[misc, attr-defined]
        assert " ".join(got) == SOCKETS[route]
