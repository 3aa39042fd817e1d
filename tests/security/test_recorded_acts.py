"""What moderators, administrators, operators and programs do to what is not theirs writes one entry of the audit log.

The tables are complete by test: a new action of the admin, operation of an API, command or service without a row fails.
"""

import ast
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib import admin
from django.core.management import call_command, get_commands
from django.db.models import Model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from inference.models import TrainingRun
from oasst.accounts import account_bans, api_clients
from oasst.accounts.models import ApiClient, Appeal, Ban, SiteSettings, User
from oasst.accounts.site_settings import changing
from oasst.core.models import AuditEntry
from tests.factories import growing_tree, new_person, new_reply
from tests.paths import ROOT
from tests.security.roles import World, model_with_files, new_world, rolled_back, staged_model
from tests.security.urls_table import every_operation
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import MessageTree, PolicyRun, PolicyVersion
from trees.moderation import bans, moderator_actions

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None, settings: Any) -> World:
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"
    settings.ROOT_TOKENS = ["s3cret"]
    return new_world()


def recorded_by(act: Callable[[], Any], prepare: Callable[[], Any] = lambda: None) -> list[AuditEntry]:
    """Return the entries that the log has because of this, and roll everything back."""
    with rolled_back():
        prepare()
        newest = AuditEntry.objects.order_by("-pk").values_list("pk", flat=True).first() or 0
        act()
        return list(AuditEntry.objects.filter(pk__gt=newest).select_related("text").order_by("pk"))


def names(entries: list[AuditEntry]) -> list[str]:
    return [entry.act for entry in entries]


# --- The admin ---


def suspended(world: World) -> None:
    person = User.objects.get(pk=world.rows["accounts.user"].pk)
    account_bans.ban(person, actor=User.objects.get(display_name="Ida"), reason="Spam.")


def proposed(world: World) -> None:
    User.objects.filter(pk=world.rows["accounts.user"].pk).update(role="admin")
    person = User.objects.get(pk=world.rows["accounts.user"].pk)
    bans.ban(person, actor=User.objects.get(display_name="Ida"), reason="Spam.")


def proposed_by_another(world: World) -> None:
    User.objects.filter(pk=world.rows["accounts.user"].pk).update(role="admin")
    person = User.objects.get(pk=world.rows["accounts.user"].pk)
    bans.ban(person, actor=new_person("Una", "admin"), reason="Spam.")


def halted(world: World) -> None:
    MessageTree.objects.filter(pk=world.rows["trees.messagetree"].pk).update(state=State.HALTED_BY_MODERATOR)


def failed(world: World) -> None:
    MessageTree.objects.filter(pk=world.rows["trees.messagetree"].pk).update(state=State.SCORING_FAILED)


def decided(world: World) -> None:
    type(world.rows["trees.message"]).objects.filter(pk=world.rows["trees.message"].pk).update(review_result=True)


def appealed(world: World) -> None:
    """Whoever was purged stays out until the purge is undone, so somebody else appeals."""
    ann = new_person("Ann")
    account_bans.ban(ann, actor=new_person("Una", "admin"), reason="Spam.")
    world.rows["accounts.appeal"] = Appeal.objects.create(user=ann, text="That was not me.")


def appealed_decision(world: World) -> None:
    reply = new_reply(growing_tree(new_person("Gro")), new_person("Ann"))
    una = new_person("Una", "moderator")
    moderator_actions.hide(message_id=reply.pk, actor=una, reason="Rude.", policy=TreePolicy())
    entry = AuditEntry.objects.latest("pk")
    world.rows["accounts.appeal"] = Appeal.objects.create(user=reply.author, text="I was not.", entry=entry)


def second_key(world: World) -> None:
    api_clients.create_api_key(world.rows["accounts.apiclient"], name="next")


def trusted(world: World) -> None:
    ApiClient.objects.filter(pk=world.rows["accounts.apiclient"].pk).update(trusted=True)


def client_off(world: World) -> None:
    ApiClient.objects.filter(pk=world.rows["accounts.apiclient"].pk).update(enabled=False)


def switched_off(world: World) -> None:
    type(world.rows["trees.webhook"]).objects.update(enabled=False)


def in_force(world: World) -> None:
    PolicyVersion.objects.filter(pk=world.rows["trees.policyversion"].pk).update(number=1, in_force_at=timezone.now())


def of_the_past(world: World) -> None:
    in_force(world)
    PolicyVersion.objects.create(lang="eo", number=2, in_force_at=timezone.now(), rules={"goal_tree_size": 7})


def running(world: World) -> None:
    PolicyRun.objects.filter(pk=world.rows["trees.policyrun"].pk).update(stage="running")


def stopped_training(world: World) -> None:
    TrainingRun.objects.filter(pk=world.rows["inference.trainingrun"].pk).update(state="stopped")


def nothing(world: World) -> None:
    pass


NOT_RECORDED_ACTIONS = {
    ("trees.webhook", "send_ping"): "it changes nothing: a test event of which the page tells",
    ("leaderboard.trollstanding", "act_on_many"): "it leads to a preview",
}
ACTIONS: dict[tuple[str, str], tuple[list[str], Callable[[World], None]]] = {
    # Model and action → the acts, and what has to be so before.
    ("accounts.user", "ban"): (["account.ban"], nothing),
    ("accounts.user", "unban"): (["account.unban"], suspended),
    ("accounts.user", "warn"): (["account.warn"], nothing),
    ("accounts.accountwarning", "withdraw"): (["account.withdraw_warning"], nothing),
    ("accounts.user", "withdraw"): (["account.withdraw_proposal"], proposed),
    ("accounts.user", "refuse"): (["account.refuse_proposal"], proposed_by_another),
    ("accounts.appeal", "grant"): (["account.unban"], appealed),
    ("accounts.appeal", "grant_only"): (["appeal.grant"], appealed_decision),
    ("accounts.appeal", "refuse"): (["appeal.refuse"], appealed),
    ("accounts.apiclient", "new_key"): (["api_key.create"], nothing),
    ("accounts.apiclient", "trust"): (["api_client.trust"], nothing),
    ("accounts.apiclient", "distrust"): (["api_client.trust"], trusted),
    ("accounts.apiclient", "switch_on"): (["api_client.switch"], client_off),
    ("accounts.apiclient", "switch_off"): (["api_client.switch"], nothing),
    ("accounts.apikey", "end_in_a_week"): (["api_key.end"], second_key),
    ("accounts.apikey", "revoke"): (["api_key.end"], second_key),
    ("trees.messagetree", "halt"): (["tree.halt"], nothing),
    ("trees.messagetree", "resume"): (["tree.resume"], halted),
    ("trees.messagetree", "retry_scoring"): (["tree.retry_scoring"], failed),
    ("trees.message", "delete"): (["message.delete"], nothing),
    ("trees.message", "mark_gold"): (["gold.mark"], decided),
    ("trees.message", "choose_for_review"): ([], nothing),  # below: it needs a finished conversation
    ("trees.message", "choose_for_ranking"): ([], nothing),
    ("trees.deletion", "undelete"): (["message.undelete"], nothing),
    ("trees.goldmessage", "end"): (["gold.end"], nothing),
    ("trees.practicetext", "explain"): (["practice.explain"], nothing),
    ("trees.practicetext", "end"): (["practice.end"], nothing),
    ("trees.proposal", "uphold"): (["proposal.uphold"], nothing),
    ("trees.proposal", "dismiss"): (["proposal.dismiss"], nothing),
    ("trees.report", "uphold"): (["report.settle"], nothing),
    ("trees.report", "dismiss"): (["report.settle"], nothing),
    ("trees.withdrawal", "grant"): (["withdrawal.grant"], nothing),
    ("trees.withdrawal", "refuse"): (["withdrawal.refuse"], nothing),
    ("trees.nearduplicate", "dismiss"): (["pair.decide"], nothing),
    ("trees.nearduplicate", "halt"): (["tree.halt"], nothing),
    ("trees.nearduplicate", "delete_newer"): (["message.delete"], nothing),
    ("trees.hardprompt", "take"): (["hard_prompt.take"], nothing),
    ("trees.hardprompt", "refuse"): (["hard_prompt.refuse"], nothing),
    ("trees.purge", "undo"): (["account.undo_purge"], nothing),
    ("trees.policyversion", "put_in_force"): (["policy.change"], nothing),
    ("trees.policyversion", "discard"): (["policy.discard"], nothing),
    ("trees.policyversion", "go_back"): (["policy.draft", "policy.preview"], of_the_past),
    ("trees.policyversion", "apply"): (["policy.apply"], in_force),
    ("trees.policyrun", "stop"): (["policy.stop"], running),
    ("trees.webhook", "renew_secret"): (["webhook.renew"], nothing),
    ("trees.webhook", "switch_on"): (["webhook.switch"], switched_off),
    ("trees.webhook", "switch_off"): (["webhook.switch"], nothing),
    ("trees.webhook", "remove"): (["webhook.delete"], nothing),
    ("inference.chatreport", "resolve"): (["chat_report.settle"], nothing),
    ("inference.trainingrun", "stop"): (["training.stop"], nothing),
    ("inference.trainingrun", "resume"): (["training.resume"], stopped_training),
    ("inference.servedmodel", "to_staff"): (["model.stage"], model_with_files),
    ("inference.servedmodel", "to_share"): (["model.stage"], model_with_files),
    ("inference.servedmodel", "to_everybody"): (["model.stage"], model_with_files),
    ("inference.servedmodel", "withdraw"): (["model.stage"], staged_model),
    ("inference.servedmodel", "roll_back"): (["model.roll_back"], staged_model),
    ("core.waitingjob", "try_now"): (["job.retry"], nothing),
    ("core.waitingjob", "give_up"): (["job.give_up"], nothing),
}
PAGES = {
    "accounts_user_purge": "of a person",
    "accounts_user_merge": "of a person",
    "accounts_user_edit": "of a person",
    "trees_message_edit": "of a message",
    "trees_message_personal_data": "of a message",
    "trees_policyversion_edit": "of the rules of a language",
    "trees_policyversion_preview": "of a draft",
    "core_auditentry_export": "of the log",
    "accounts_apiclient_add": "of a program",
    "accounts_apiclient_edit": "of a program",
    "accounts_apiclient_rotate": "of a program",
    "accounts_sitesettings_now": "of the site",
    "accounts_sitesettings_back": "of the site",
    "trees_webhook_add": "of a program",
    "job": "of a job",
}
"""Own pages of the admin that change something; tests below."""


def test_every_action_of_the_admin_has_a_row() -> None:
    there = {
        (model._meta.label_lower, str(action))
        for model, page in admin.site._registry.items()
        for action in page.actions
    }
    assert there == {*ACTIONS, *NOT_RECORDED_ACTIONS}


def press(client: Client, row: Model, action: str) -> None:
    where = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist")
    client.post(where, {"action": action, "reason": "Because.", "_selected_action": str(row.pk)})


def test_actions_of_the_admin(world: World) -> None:
    wrong = []
    for (label, action), (acts, prepare) in ACTIONS.items():
        rows = dict(world.rows)
        by = world.clients["moderator" if (label, action) in BY_MODERATORS else "administrator"]
        found = recorded_by(lambda: press(by, world.rows[label], action), lambda: prepare(world))  # noqa: B023
        if names(found) != acts:
            wrong.append((label, action, acts, names(found)))
        elif any(entry.actor is None or not entry.text.reason for entry in found):
            wrong.append((label, action, acts, ["without an actor, or a reason"]))
        world.rows = rows
    assert wrong == []


BY_MODERATORS: set[tuple[str, str]] = set()


def test_other_pages_of_the_admin(world: World) -> None:
    ida = world.clients["administrator"]
    message, person = world.rows["trees.message"], world.rows["accounts.user"]
    own = world.ids["own_message_id"]
    revision = type(message).objects.get(pk=own).revision_id
    job = "leaderboard.schedules.refresh_statistics"

    def post(name: str, /, *args: Any, **data: Any) -> Callable[[], Any]:
        return lambda: ida.post(reverse(f"admin:{name}", args=args), data)

    edit = {"initial-display_name": "Somebody", "initial-role": "general", "initial-notes": "", "role": "moderator"}
    shown = {"initial-show_on_leaderboard": "True", "show_on_leaderboard": "on"}
    cases = {
        "account.change": post(
            "accounts_user_edit", person.pk, **edit, **shown, display_name="Somebody", notes="", reason="They help."
        ),
        "message.edit": post("trees_message_edit", message.pk, text="Other words.", reason="A typo."),
        "message.mask": post("trees_message_personal_data", own, mask="1", revision=str(revision)),
        "personal_data.keep": post("trees_message_personal_data", own, keep="1", revision=str(revision)),
        "policy.preview": post("trees_policyversion_preview", world.rows["trees.policyversion"].pk),
        "audit.export": post("core_auditentry_export", "csv"),
        "settings.change": post(
            "accounts_sitesettings_now", part="announcement", announcement="We move.", reason="A move."
        ),
        "api_client.create": post("accounts_apiclient_add", name="A bot", reason="For the forum."),
        "api_client.change": post(
            "accounts_apiclient_edit", world.ids["client_id"], name="Another name", reason="It was renamed."
        ),
        "api_key.rotate": post("accounts_apiclient_rotate", world.ids["client_id"], ends="week", reason="Yearly."),
        "webhook.create": post(
            "trees_webhook_add", api_client=world.rows["accounts.apiclient"].pk, url="https://example.org/other"
        ),
        "schedule.change": post("job", job, do="times", pattern="hourly", minute="20", reason="At night."),
        "job.run": post("job", job, do="run"),
    }
    assert {name: names(recorded_by(act)) for name, act in cases.items()} == {name: [name] for name in cases}
    merge = post("accounts_user_merge", person.pk, step="propose", reason="The same.", **{"with": new_person("Pia").pk})
    assert names(recorded_by(merge)) == ["merge.propose"]
    purge = post("accounts_user_purge", person.pk, step="propose", reason="Spam.")
    assert names(recorded_by(purge)) == ["purge.propose"]
    switched = changing.change(actor=User.objects.get(display_name="Ida"), chat=False, reason="A test.")
    row = SiteSettings.objects.latest("pk")
    back = post("accounts_sitesettings_back", row.pk, reason="It is over.")
    assert switched and names(recorded_by(back)) == ["settings.change"]
    draft = post("trees_policyversion_edit", goal_tree_size="20")
    assert names(recorded_by(draft)) == ["policy.draft", "policy.preview"]


def test_no_view_of_the_admin_is_forgotten() -> None:
    """Views that a class of ours adds to those of Django, besides those that only show something."""
    only_shown = {"inference_engine", "inference_evaluation_report", "trees_policyversion_rules"}
    known = {"changelist", "history", "delete", "change", "add"}
    added = set()
    for model, page in admin.site._registry.items():
        prefix = f"{model._meta.app_label}_{model._meta.model_name}_"
        added |= {
            one.name for one in page.get_urls() if one.name and one.name.removeprefix(prefix) not in known
        } - only_shown
    changeable = {"accounts_apiclient_add", "trees_webhook_add", "job"}
    assert added | changeable == set(PAGES)


# --- The APIs ---

OWN = """
POST /api/v1/tasks/
POST /api/v1/tasks/availability
POST /api/v1/tasks/<task_id>/ack
POST /api/v1/tasks/<task_id>/nack
POST /api/v1/tasks/interaction
POST /api/v1/tasks/close
POST /api/v1/text_labels/
POST /api/v1/messages/<message_id>/emoji
POST /api/v1/frontend_users/
POST /api/v1/leaderboards/update
POST /api/v1/leaderboards/update/<time_frame>
POST /api/v1/stats/cached/update
POST /api/v1/webhooks/<webhook_id>/ping
POST /inference/auth/trusted
POST /inference/auth/logout
DELETE /inference/account/
POST /inference/chats
POST /inference/chats/batch
POST /inference/chats/batch_delete
PUT /inference/chats/hide_all
PUT /inference/chats/<chat_id>
DELETE /inference/chats/<chat_id>
POST /inference/chats/<chat_id>/prompter_message
POST /inference/chats/<chat_id>/assistant_message
POST /inference/chats/<chat_id>/messages/<message_id>/stop
POST /inference/chats/<chat_id>/messages/<message_id>/votes
POST /inference/chats/<chat_id>/messages/<message_id>/message_evals
POST /inference/chats/<chat_id>/messages/<message_id>/reports
"""
"""Contributions, upserts, what people do with what is theirs, and figures that are computed anew."""
RECORDED = {
    "DELETE /api/v1/messages/<message_id>": ["message.delete"],
    "PUT /api/v1/messages/<message_id>/tree/state": ["tree.halt"],
    "POST /api/v1/messages/<message_id>/edit": ["message.edit"],
    "PUT /api/v1/messages/<message_id>/undelete": ["message.undelete"],
    "PUT /api/v1/users/<user_id>": ["account.change", "account.ban"],
    "DELETE /api/v1/users/<user_id>": ["account.close"],
    "DELETE /api/v1/users/<user_id>/messages": ["message.delete_some"],
    "DELETE /api/v1/frontend_users/<auth_method>/<username>/messages": ["message.delete_some"],
    "POST /api/v1/admin/flagged_messages/<message_id>/processed": ["report.settle"],
    "POST /api/v1/webhooks": ["webhook.create"],
    "PUT /api/v1/webhooks/<webhook_id>": ["webhook.switch"],
    "DELETE /api/v1/webhooks/<webhook_id>": ["webhook.delete"],
    "POST /api/v1/webhooks/<webhook_id>/secret": ["webhook.renew"],
    "POST /api/v1/keys": ["api_key.create"],
    "PUT /api/v1/keys/<key_id>": ["api_key.end"],
    "DELETE /api/v1/keys/<key_id>": ["api_key.end"],
    "POST /api/v1/admin/api_client": ["api_client.create"],
    "POST /api/v1/admin/purge_user/<user_id>": ["message.delete_some", "account.delete_messages", "account.ban"],
    "POST /api/v1/admin/purge_user/<user_id>/messages": ["message.delete_some", "account.delete_messages"],
    "POST /api/v1/admin/merge_users": ["account.merge"],
    "DELETE /inference/admin/refresh_tokens/<user_id>": ["account.end_sessions"],
    "DELETE /inference/admin/users/<user_id>": ["account.close"],
}


def test_every_operation_that_writes_has_a_row() -> None:
    there = {f"{one.method} {prefix}{one.path}" for prefix, one in every_operation() if one.method != "GET"}
    assert there == {*OWN.split("\n")} - {""} | set(RECORDED)


def test_operations_of_programs(world: World) -> None:
    program = ApiClient.objects.get(name="a trusted one")
    _, key = api_clients.create_api_key(program, name="another")
    http = Client(headers={"X-API-Key": key, "Authorization": "Bearer s3cret"})
    ada = {"id": "ada", "auth_method": "local", "display_name": "Ada"}
    http.post("/api/v1/frontend_users/", {**ada, "tos_acceptance": True}, content_type="application/json")
    person = User.objects.get(display_name="Ada")
    prompt = growing_tree(new_person("Pat"))
    reply = new_reply(prompt, person)
    type(reply).objects.filter(pk=reply.pk).update(api_client=program)
    reported = world.rows["trees.message"]
    spam = world.rows["trees.deletion"].message_id
    other = User.objects.get(display_name="Contributor")
    hook = http.post(
        "/api/v1/webhooks", json.dumps({"url": "https://example.org/a"}), content_type="application/json"
    ).json()["id"]
    values = {
        "message_id": prompt.pk,
        "user_id": person.pk,
        "webhook_id": hook,
        "key_id": api_clients.valid_keys(program).exclude(name="another").get().pk,
        "auth_method": "local",
        "username": "ada",
    }
    at = (timezone.now() + timedelta(days=2)).isoformat()
    queries: dict[str, dict[str, Any]] = {
        "PUT /api/v1/messages/<message_id>/tree/state": {"halt": "true"},
        "PUT /api/v1/users/<user_id>": {"notes": "Rude.", "enabled": "false"},
        "PUT /api/v1/webhooks/<webhook_id>": {"enabled": "false"},
        "PUT /api/v1/keys/<key_id>": {"expires_date": at},
        "POST /api/v1/admin/purge_user/<user_id>": {"preview": "false"},
        "POST /api/v1/admin/purge_user/<user_id>/messages": {"preview": "false", "purge_initial_prompts": "true"},
    }
    bodies: dict[str, dict[str, Any]] = {
        "POST /api/v1/messages/<message_id>/edit": {"user": ada, "new_content": "Other words."},
        "POST /api/v1/webhooks": {"url": "https://example.org/b"},
        "POST /api/v1/admin/api_client": {"description": "New", "frontend_type": "bot"},
        "POST /api/v1/admin/merge_users": {"destination_user_id": str(person.pk), "source_user_ids": [str(other.pk)]},
        "POST /api/v1/keys": {"name": "x"},
    }
    targets = {
        "PUT /api/v1/messages/<message_id>/undelete": spam,
        "POST /api/v1/admin/flagged_messages/<message_id>/processed": reported.pk,
    }
    wrong = {}
    for name, acts in RECORDED.items():
        method, _, path = name.partition(" ")
        found_values = values | ({"message_id": targets[name]} if name in targets else {})
        for part, value in found_values.items():
            path = path.replace(f"<{part}>", str(value))
        if name == "POST /api/v1/keys":
            continue  # the program has two keys already; below

        def send(method: str = method, path: str = path, name: str = name) -> None:
            response: Any = http.generic(
                method,
                path,
                json.dumps(bodies.get(name, {})) if name in bodies else "",
                content_type="application/json",
                query_params=queries.get(name),
            )
            assert response.status_code < 300, (name, response.status_code, response.content[:300])

        if (found := names(recorded_by(send))) != acts:
            wrong[name] = (acts, found)
    assert wrong == {}


def test_programs_are_named_and_previews_leave_nothing(world: World) -> None:
    http, pat = world.clients["trusted"], new_person("Pat")
    reply = new_reply(growing_tree(new_person("Quin")), pat)
    http.post(f"/api/v1/admin/purge_user/{pat.pk}", query_params={"preview": "true"})
    before = AuditEntry.objects.count()
    assert http.delete(f"/api/v1/messages/{reply.pk}").status_code == 204
    assert http.delete(f"/api/v1/messages/{reply.pk}").status_code == 204
    assert AuditEntry.objects.count() == before + 1, "neither the preview nor the repeat"
    entry = AuditEntry.objects.latest("pk")
    assert entry.program is not None and (entry.program.name, entry.person) == ("a trusted one", pat)


# --- Commands ---

COMMANDS = {
    "ban_user": "account.ban",
    "unban_user": "account.unban",
    "purge_user": "account.purge",
    "create_user": "account.create",
    "create_api_client": "api_client.create",
    "remove_second_factor": "account.remove_second_factor",
    "sign_in_link": "account.sign_in_link",
    "site_settings": "settings.change",
    "maintenance": "settings.change",
    "check_invariants": "data.repair",
    "apply_policy": "policy.apply",
    "rerank_trees": "tree.rerank",
    "retry_scoring": "tree.retry_scoring",
    "import_trees": "data.import",
    "snapshot_create": "snapshot.freeze",
    "snapshot_publish": "snapshot.publish",
    "snapshot_unpublish": "snapshot.unpublish",
    "snapshot_retract": "snapshot.retract",
    "train": "training.ask",
    "flywheel": "training.ask",
    "models": "model.stage",
    "evaluate": "model.evaluate",
}
HARMLESS = {
    *("audit_verify", "snapshot_diff", "snapshot_list", "snapshot_verify", "snapshot_push", "push_model"),
    *("export_messages", "export_trees", "oasst_data", "fetch_model", "run_engine", "run_trainer", "pg", "serve", "up"),
    *("setup_schedules", "learn_quality", "read_messages", "rebuild_scores", "judge_chats", "best_of"),
}
"""They read, they run the site, or they compute anew what follows from the rest."""
OURS = ("oasst.accounts", "oasst.site", "trees", "inference", "leaderboard", "tasks")


def test_every_command_has_a_row() -> None:
    there = {name for name, app in get_commands().items() if app in OURS}
    assert there == {*COMMANDS, *HARMLESS}


def test_commands_name_themselves(world: World, mo: User, capsys: Any) -> None:
    person = new_person("Pat")
    commands: dict[str, list[Any]] = {
        "ban_user": [person.email, "--reason", "Spam."],
        "create_user": ["new@example.org"],
        "create_api_client": ["a bot"],
        "sign_in_link": [person.email],
        "site_settings": ["chat=off", "--reason", "A test."],
        "maintenance": ["on"],
    }
    for name, arguments in commands.items():
        before = AuditEntry.objects.count()
        call_command(name, *arguments)
        entry = AuditEntry.objects.latest("pk")
        assert (AuditEntry.objects.count(), entry.act) == (before + 1, COMMANDS[name]), name
        assert entry.actor is None and entry.program is None and entry.text.reason.startswith(f"By command {name}."), (
            name
        )
    assert Ban.objects.filter(user=person).exists()


# --- Services ---

INNER = {
    # What only services call, inside their transaction and their entry.
    *("oasst.accounts.administrator_bans.needs_confirmation", "oasst.accounts.roles.require_higher_rank"),
    *("trees.moderation.appealing.may_answer", "oasst.accounts.rights.require_language"),
    "oasst.site.bulk.running.may_go_on",
    *(f"oasst.accounts.second_person.{name}" for name in ("is_alone", "refuse_again", "require_foreign", "settle")),
    *(f"oasst.accounts.second_person.{name}" for name in ("find_own", "refuse")),
    "oasst.accounts.administrator_bans.shown_at_start",
    *(f"oasst.site.merge_proposals.{name}" for name in ("require_mergeable", "require_unchanged")),
    "oasst.site.waiting_decisions.cards_for",
    *("oasst.accounts.appeals.other_moderators", "oasst.accounts.appeals.require_other_moderator"),
    *("oasst.accounts.appeals.undo_refusal", "oasst.accounts.account_changes.undo_change"),  # of the desk's undo
    *("oasst.accounts.roles.has_higher_rank", "oasst.site.purging.preview_purge", "trees.enrichment.pairs.close"),
    *("trees.outbox.publishing.publish_about", "trees.moderation.proposals.close_after_edit"),
    *(f"trees.moderation.offered_actions.{name}" for name in ("is_own", "may_edit", "may_undelete", "may_resume")),
    *(f"trees.contributing.withdrawal_effects.{name}" for name in ("hide", "refuse_restored")),
    *("trees.contributing.corrections.replace_text", "trees.moderation.removal.restore"),
}
_RECORDERS = {"record", "recorded", "recorded_rows", "record_merging", "record_export"}


def services() -> dict[str, tuple[ast.FunctionDef, set[str]]]:
    """Return the functions of our packages by name, with the names that each calls."""
    found = {}
    for package in ("oasst/accounts", "oasst/site", "trees", "inference"):
        for path in sorted((ROOT / package).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            if ".migrations." in module:
                continue
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef):
                    calls = [one.func for one in ast.walk(node) if isinstance(one, ast.Call)]
                    called = {one.id if isinstance(one, ast.Name) else getattr(one, "attr", "") for one in calls}
                    found[f"{module}.{node.name}"] = (node, called)
    return found


def test_services_that_take_an_actor_record_what_they_do() -> None:
    """Directly, or by a function of the same package that they call."""
    known = services()
    recording = {name for name, (_, calls) in known.items() if calls & _RECORDERS}
    while True:
        last = {name.rpartition(".")[2] for name in recording}
        more = {name for name, (_, calls) in known.items() if calls & last} | recording
        if more == recording:
            break
        recording = more
    acting = {
        name
        for name, (node, _) in known.items()
        if not node.name.startswith("_")
        and any(one.arg == "actor" and ast.unparse(one.annotation or one) == "User" for one in _arguments(node))
    }
    assert acting - recording - INNER == set(), "record it, see oasst/core/audit/recording.py"


def _arguments(node: ast.FunctionDef) -> list[ast.arg]:
    return [*node.args.args, *node.args.kwonlyargs]
