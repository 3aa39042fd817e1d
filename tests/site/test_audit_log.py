"""The audit log as people see it: histories, the list, the export, one's own data, and what is erased."""

import csv
import io
import json
from datetime import timedelta
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from oasst.accounts import account_bans, account_changes, api_clients, closing
from oasst.accounts.models import User
from oasst.core.audit import chain
from oasst.core.audit.people import accounts_of
from oasst.core.audit.recording import record
from oasst.core.models import AuditEntry, AuditText
from oasst.site import merging, purging
from oasst.site.acts import EXPORT_LOG
from oasst.site.own_data import archive
from oasst.site.own_data.contents import PARTS
from tests.factories import growing_tree, new_people, new_person, new_prompt, new_reply
from tests.site.test_own_data import unpack
from trees.acts import MARK_GOLD
from trees.lifecycle.policy import TreePolicy
from trees.models import Message, MessageTree, Purge
from trees.moderation import client_actions, moderator_actions

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
LIST = "admin:core_auditentry_changelist"


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


@pytest.fixture
def ida() -> User:
    return new_person("Ida", "admin")


@pytest.fixture
def desk(ida: User) -> Client:
    return signed_in(ida)


def history_of(client: Client, row: Any) -> str:
    name = f"admin:{row._meta.app_label}_{row._meta.model_name}_history"
    return " ".join(client.get(reverse(name, args=[row.pk])).text.split())


def found(client: Client, **query: Any) -> list[int]:
    """Return the entries that the list shows."""
    page = client.get(reverse(LIST), query)
    assert page.status_code == 200
    return [entry.pk for entry in page.context["cl"].result_list]


class TestHistory:
    def test_it_says_who_what_why_and_what_changed(self, mo: User, eve: User) -> None:
        client = signed_in(mo)
        account_bans.ban(eve, actor=mo, reason="Advertising.")
        account_bans.unban(eve, actor=mo, reason="A mistake.")
        page = history_of(client, eve)
        assert page.index("lifted the suspension of a person") < page.index("suspended a person")
        assert "Advertising." in page and "A mistake." in page and "2 entries" in page
        assert "<time datetime=" in page and "just now" in page
        assert "lifted by" in page and f'<td class="desk-text" dir="auto">{mo}</td>' in page, "not the id of Mo"
        assert ">yes<" in page and ">no<" in page

    def test_what_was_undone_says_so(self, mo: User, alice: User) -> None:
        prompt = new_prompt(alice)
        moderator_actions.halt(tree_id=prompt.tree_id, actor=mo, reason="Odd.", policy=POLICY)
        entry = AuditEntry.objects.get()
        moderator_actions.undo(entry_id=entry.pk, actor=mo, reason="Not odd.", policy=POLICY)
        page = history_of(signed_in(mo), prompt.tree)
        assert "undid an act" in page and "Not odd." in page and "1 entry" in page

    def test_rows_about_a_message_show_the_history_of_the_message(self, mo: User, alice: User) -> None:
        reply = new_reply(growing_tree(alice), new_person("Bo"))
        deletion = moderator_actions.delete_message(message_id=reply.pk, actor=mo, reason="Spam.", policy=POLICY)
        assert "Spam." in history_of(signed_in(mo), deletion)

    def test_moderators_see_only_histories(self, mo: User, eve: User) -> None:
        account_bans.ban(eve, actor=mo, reason="Spam.")
        entry = AuditEntry.objects.get()
        client = signed_in(mo)
        assert "Spam." in history_of(client, eve)
        for address in (reverse(LIST), reverse("admin:core_auditentry_change", args=[entry.pk])):
            assert client.get(address).status_code == 403
        for form in ("csv", "jsonl"):
            assert client.post(reverse("admin:core_auditentry_export", args=[form])).status_code == 403
        assert AuditEntry.objects.count() == 1

    def test_texts_are_only_shown(self, mo: User, eve: User) -> None:
        account_bans.ban(eve, actor=mo, reason="<script>alert(1)</script>")
        assert "<script>alert" not in history_of(signed_in(mo), eve)

    def test_nobody_acted(self, mo: User, eve: User) -> None:
        assert "Nobody on the team has changed anything here." in history_of(signed_in(mo), eve)

    def test_a_long_history_costs_the_same(self, mo: User, eve: User) -> None:
        client = signed_in(mo)
        numbers = []
        for _ in range(2):
            for number in range(15):
                account_bans.ban(eve, actor=mo, reason=f"Spam {number}.")
            with CaptureQueriesContext(
                connection,
            ) as captured:
                history_of(client, eve)
            numbers.append(len(captured))
        assert numbers[0] == numbers[1] <= 12


class TestList:
    @pytest.fixture
    def entries(self, mo: User, ida: User, eve: User, alice: User) -> dict[str, int]:
        """One by a moderator, one by an administrator, one by a program, one by the operator."""
        account_bans.ban(eve, actor=mo, reason="Advertising flour.")
        account_changes.change_account(alice, actor=ida, reason="She helps.", notes="Kind.")
        program, _ = api_clients.create_api_client(name="a bot", trusted=True)
        prompt = new_prompt(alice)
        client_actions.delete_message(prompt.pk, program, None, POLICY)
        kinds = ("account.ban", "account.change", "api_client.create", "message.delete")
        return {name: AuditEntry.objects.get(act=name).pk for name in kinds}

    def test_newest_first_with_age_and_link(self, desk: Client, entries: dict[str, int], eve: User) -> None:
        assert found(desk) == sorted(entries.values(), reverse=True)
        page = desk.get(reverse(LIST)).text
        assert "<time datetime=" in page and "Advertising flour." in page and "program a bot" in page
        assert reverse("admin:accounts_user_change", args=[eve.pk]) in page and "The operator or a job" in page

    def test_filters(self, desk: Client, entries: dict[str, int], mo: User, ida: User) -> None:
        ban, change, client, delete = entries.values()
        today = timezone.localdate()
        program = AuditEntry.objects.get(pk=delete).program_id
        for query, wanted in (
            ({"act": "account.ban"}, [ban]),
            ({"by": str(mo.pk)}, [ban]),
            ({"by": "operator"}, [client]),
            ({"by": "nobody"}, []),
            ({"program": "any"}, [delete]),
            ({"program": str(program)}, [delete]),
            ({"kind": "trees.message"}, [delete]),
            ({"kind": "accounts.user"}, [change, ban]),
            ({"since": today.isoformat(), "until": today.isoformat()}, [delete, client, change, ban]),
            ({"until": (today - timedelta(days=1)).isoformat()}, []),
            ({"since": (today + timedelta(days=1)).isoformat()}, []),
            ({"since": "yesterday", "until": "9999-12-31"}, [delete, client, change, ban]),
            ({"kind": "accounts.user", "by": str(ida.pk)}, [change]),
        ):
            assert found(desk, **query) == wanted, query

    def test_search(self, desk: Client, entries: dict[str, int], eve: User, alice: User) -> None:
        ban, change, _client, delete = entries.values()
        for words, wanted in (
            ("FLOUR", [ban]),
            (str(eve.pk), [ban]),
            (str(alice.pk), [delete, change]),
            (str(delete), [delete]),
            ("alic", [delete, change]),
            ("nothing like it", []),
            ("100%", []),
        ):
            assert found(desk, q=words) == wanted, words

    def test_one_entry(self, desk: Client, entries: dict[str, int]) -> None:
        address = reverse("admin:core_auditentry_change", args=[entries["account.change"]])
        page = " ".join(desk.get(address).text.split())
        assert "She helps." in page and "not yet" in page
        assert '<th scope="row">notes</th> <td class="desk-text" dir="auto">–</td>' in page and ">Kind.<" in page
        chain.link_new()
        assert "link 2" in desk.get(address).text

    def test_nothing_can_be_changed(self, desk: Client, entries: dict[str, int]) -> None:
        for name in ("change", "delete"):
            address: Any = reverse(f"admin:core_auditentry_{name}", args=[entries["account.ban"]])
            assert desk.post(address, {"act": "x", "post": "yes"}).status_code == 403
        assert desk.get(reverse("admin:core_auditentry_add")).status_code == 403

    def test_ten_times_the_rows_cost_the_same(self, desk: Client, mo: User) -> None:
        numbers = []
        for _ in range(2):
            for person in new_people(12):
                account_bans.ban(person, actor=mo, reason="Spam.")
            with CaptureQueriesContext(connection) as captured:
                desk.get(reverse(LIST))
            numbers.append(len(captured))
        assert numbers[0] == numbers[1] <= 12

    def test_pieces_of_reasons_are_found_by_the_index(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL enable_seqscan = off")
        assert "audit_reason_pieces" in AuditText.objects.filter(reason__icontains="flour").explain()


class TestExport:
    def export(self, client: Client, form: str, **query: str) -> str:
        address = reverse("admin:core_auditentry_export", args=[form])
        response: Any = client.post(address, query_params=query)
        assert response.status_code == 200 and response["Content-Disposition"].endswith(f'.{form}"')
        return b"".join(response.streaming_content).decode()

    def test_csv_of_what_the_filters_leave(self, desk: Client, ida: User, mo: User, eve: User, alice: User) -> None:
        account_bans.ban(eve, actor=mo, reason='=HYPERLINK("http://evil.example","x")\nMore.')
        account_changes.change_account(alice, actor=ida, reason="She helps.", notes="Kind.")
        chain.link_new()
        rows = list(csv.reader(io.StringIO(self.export(desk, "csv", act="account.ban"))))
        names, row, end = rows
        facts = dict(zip(names, row, strict=True))
        assert (facts["act"], facts["actor"], facts["target_id"]) == ("account.ban", "Mo", str(eve.pk))
        assert facts["reason"].startswith("'=HYPERLINK") and facts["reason"].endswith("\nMore.")
        assert json.loads(facts["after"])["user"][str(eve.pk)]["enabled"] is False
        assert facts["link"] == "1" and end == ["chain", str(chain.head())]
        entry = AuditEntry.objects.latest("pk")
        assert (entry.act, entry.actor) == (EXPORT_LOG.name, ida)
        assert json.loads(entry.text.after) == {"filters": {"act": "account.ban"}, "format": "csv"}

    def test_json_lines_of_all(self, desk: Client, mo: User, monkeypatch: Any) -> None:
        monkeypatch.setattr("oasst.site.audit_export.BATCH", 2)
        people = new_people(5)
        for person in people:
            account_bans.ban(person, actor=mo, reason="Spam 🙂.")
        lines = [json.loads(line) for line in self.export(desk, "jsonl").splitlines()]
        assert [line["target_id"] for line in lines[:-1]] == [str(person.pk) for person in people]
        assert lines[0]["after"]["user"][str(people[0].pk)]["ban_reason"] == lines[0]["reason"] == "Spam 🙂."
        assert lines[-1] == {"chain": str(chain.head())}

    def test_only_by_post_and_only_these_forms(self, desk: Client) -> None:
        assert desk.get(reverse("admin:core_auditentry_export", args=["csv"])).status_code == 405
        assert desk.post(reverse("admin:core_auditentry_export", args=["exe"])).status_code == 403

    def test_the_page_offers_it_with_its_filters(self, desk: Client, mo: User, eve: User) -> None:
        account_bans.ban(eve, actor=mo, reason="Spam.")
        page = desk.get(reverse(LIST), {"act": "account.ban"}).text
        assert f'action="{reverse("admin:core_auditentry_export", args=["csv"])}?act=account.ban"' in page


class TestErasing:
    def test_a_purge_erases_the_words_when_it_is_final(self, mo: User, ida: User, eve: User, alice: User) -> None:
        reply = new_reply(growing_tree(alice), eve, "Buy my flour!")
        moderator_actions.edit_message(message_id=reply.pk, actor=mo, text="Flour.", reason="Eve sells.", policy=POLICY)
        purge = purging.start_purge(user=eve, actor=mo, reason="Eve again.")
        purging.continue_purge(purge_id=purge.pk, policy=POLICY)
        Purge.objects.filter(pk=purge.pk).update(finished_at=timezone.now() - timedelta(days=31))
        purging.process_due_purges(policy=POLICY)
        assert not AuditText.objects.filter(reason__contains="Eve").exists()
        assert {*AuditEntry.objects.values_list("act", flat=True)} == {
            *("message.edit", "account.ban", "account.purge", "audit.erase", "account.erase_purged"),
        }
        page = history_of(signed_in(ida), reply)
        assert "changed the text of a message" in page and "were erased with the texts" in page
        chain.link_new()
        assert list(chain.verify()) == []

    def test_closing_an_account_erases_them(self, mo: User, eve: User, alice: User) -> None:
        account_changes.change_account(eve, actor=mo, reason="Eve is rude.", notes="Rude.")
        account_changes.change_account(alice, actor=mo, reason="Alice is kind.", notes="Kind.")
        closing.close_account(eve)
        left = {*AuditText.objects.exclude(reason="").values_list("reason", flat=True)}
        assert left == {"Alice is kind.", "The account was closed."}

    def test_merging_keeps_them_and_they_are_found_by_both(self, mo: User, ida: User, eve: User, alice: User) -> None:
        other = new_person("Eva")
        account_changes.change_account(eve, actor=mo, reason="Eve is rude.", notes="Rude.")
        program, _ = api_clients.create_api_client(name="a bot", trusted=True)
        merging.merge_users(destination_id=other.pk, source_ids=[eve.pk], program=program)
        merging.merge_users(destination_id=alice.pk, source_ids=[other.pk], program=program)
        assert AuditEntry.objects.get(act="account.change").person == eve, "entries never change"
        assert {*accounts_of(alice.pk)} == {eve.pk, other.pk, alice.pk}
        page = history_of(signed_in(ida), alice)
        assert "Eve is rude." in page and "merged an account into another one" in page
        closing.close_account(User.objects.get(pk=alice.pk))
        assert not AuditText.objects.filter(reason__contains="rude").exists()
        chain.link_new()
        assert list(chain.verify()) == []


class TestOwnData:
    def test_people_get_the_acts_about_them_and_not_by_whom(self, mo: User, alice: User) -> None:
        prompt = new_prompt(alice)
        moderator_actions.edit_message(
            message_id=prompt.pk, actor=mo, text="Other words.", reason="A typo.", policy=POLICY
        )
        with transaction.atomic():
            record(MARK_GOLD, prompt, actor=mo, person_id=alice.pk, reason="Right.")
        files = unpack(archive.archive(alice, []))
        row = files["acts_about_you.json"][0]
        assert (row["act"], row["reason"], set(row)) == ("message.edit", "A typo.", {"act", "at", "reason"})
        assert len(files["acts_about_you.json"]) == 1, "which texts are checks stays secret"
        assert files["acts_as_team.json"] == [] and {"acts_about_you", "acts_as_team"} < {part.name for part in PARTS}

    def test_moderators_get_what_they_did(self, mo: User, eve: User) -> None:
        account_bans.ban(eve, actor=mo, reason="Spam.")
        row = unpack(archive.archive(mo, []))["acts_as_team.json"][0]
        assert (row["act"], row["target_id"], row["reason"]) == ("account.ban", str(eve.pk), "Spam.")


class TestFormerLog:
    def test_it_moves_into_the_audit_log(self, mo: User, alice: User) -> None:
        prompt = new_prompt(alice)
        kinds = {model: ContentType.objects.get_for_model(model) for model in (Message, User, MessageTree)}
        at = timezone.now() - timedelta(days=400)
        for row in (prompt, alice, prompt.tree):
            LogEntry.objects.create(
                user=mo,
                content_type=kinds[type(row)],
                object_id=str(row.pk),
                object_repr=str(row),
                action_flag=2,
                action_time=at,
                change_message="stopped: Odd.",
            )
        module = import_module("oasst.site.migrations.0007_admin_log_in_the_audit_log")
        module.move(apps, None)
        entries = AuditEntry.objects.order_by("pk")
        assert [*entries.values_list("at", "act", "actor", "target_type", "person")] == [
            (at, "admin.act", mo.pk, "trees.message", alice.pk),
            (at, "admin.act", mo.pk, "accounts.user", alice.pk),
            (at, "admin.act", mo.pk, "trees.messagetree", alice.pk),
        ]
        assert not LogEntry.objects.exists()
        assert "stopped: Odd." in history_of(signed_in(mo), prompt)
        chain.link_new()
        assert list(chain.verify()) == []
