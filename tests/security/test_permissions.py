"""The table of permissions.py, asked of the site: each page, action and act, of each role. It has all of them."""

import inspect
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.models import Group, Permission
from django.db import connection
from django.template.response import SimpleTemplateResponse
from django.test import Client, RequestFactory
from django.urls import reverse
from django.utils import timezone

from inference.chats import moderation
from inference.models import ChatReport, TrainingRun
from oasst.accounts import account_changes, api_clients, appeals, warnings
from oasst.accounts.groups import GROUPS, Duty, allows
from oasst.accounts.models import AccountWarning, ApiClient, Appeal, BanProposal, MergeProposal, PurgeProposal, User
from oasst.core.errors import DomainError
from oasst.core.models import AuditEntry
from oasst.site import merge_proposals, purge_proposals, purging
from tests.factories import growing_tree, new_person, new_prompt, new_reply
from tests.paths import ROOT
from tests.security import permissions
from tests.security.permissions import ACTORS, MODELS, ON_CONVERSATIONS, PAGES, RESULTS, ROLES, actions, expected, rows
from tests.security.roles import (
    FORM,
    World,
    addresses,
    model_with_files,
    new_world,
    path_of,
    record_writes,
    rolled_back,
    staged_model,
    verdict,
)
from trees.contributing import reactions, withdrawal
from trees.enrichment import pairs
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import (
    Deletion,
    Message,
    MessageReading,
    MessageTree,
    NearDuplicate,
    PolicyRun,
    PolicyVersion,
    Proposal,
    Purge,
    Report,
)
from trees.moderation import bans, moderator_actions, personal_data

pytestmark = pytest.mark.django_db
POLICY = TreePolicy()
ENTERING = [role for role in ROLES if role not in permissions.REFUSALS]
MODEL_PAGES = ("changelist", "change", "history", "add", "delete")


def test_the_documentation_is_this_table() -> None:
    """If not: python -m tests.security.permissions"""
    text = (ROOT / "docs" / "permissions.md").read_text()
    assert text.partition("<!-- matrix -->\n")[2].partition("\n<!-- /matrix -->")[0] == permissions.table()


def test_the_groups_of_django_say_the_same_as_the_code() -> None:
    labels = {f"{one.content_type.app_label}.{one.codename}" for one in Permission.objects.select_related()}
    for group in Group.objects.filter(name__in=GROUPS):
        theirs = group.permissions.values_list("content_type__app_label", "codename")
        assert {f"{app}.{name}" for app, name in theirs} == {one for one in labels if allows(group.name, one)}
    assert Group.objects.filter(name__in=GROUPS).count() == len(GROUPS)


# --- Pages ---


def new_staff() -> dict[str, User]:
    """Return a person of each role; those who may enter have a second factor."""
    people = {
        "member": new_person("Mimi"),
        "suspended": new_person("Sam", "moderator"),
        "without second factor": new_person("Wim", "moderator"),
        "operator": new_person("Olga"),
        "auditor": new_person("Audrey"),
        "moderator": new_person("Max", "moderator"),
        "moderator elsewhere": new_person("Else", "moderator"),
        "administrator": new_person("Ada", "admin"),
    }
    changes: dict[str, dict[str, Any]] = {
        "suspended": {"enabled": False, "ban_reason": "Spam."},
        "operator": {"duties": [Duty.OPERATOR]},
        "auditor": {"duties": [Duty.AUDITOR]},
        "moderator elsewhere": {"moderated_languages": ["de"]},
    }
    for role, values in changes.items():
        User.objects.filter(pk=people[role].pk).update(**values)
    for role, person in people.items():
        if role != "without second factor":
            data = {"secret": "JBSWY3DPEHPK3PXP"}
            Authenticator.objects.create(user=person, type=Authenticator.Type.TOTP, data=data)
    return {role: User.objects.get(pk=person.pk) for role, person in people.items()}


@pytest.fixture
def world(settings: Any, monkeypatch: pytest.MonkeyPatch) -> World:
    """Pages are not rendered here, which takes longer than all decisions; other tests do."""
    settings.RATE_LIMITS = False
    settings.OASST_CHAT_MODEL = "tiny"
    world = new_world()
    settings.REQUIRE_MFA = "staff"
    clients = {"anonymous": Client(), "program": world.clients["trusted"]}
    for role, person in new_staff().items():
        clients[role] = Client()
        clients[role].force_login(person)
    world.clients = clients

    def leave_empty(response: SimpleTemplateResponse) -> SimpleTemplateResponse:
        response.content = b""
        return response

    monkeypatch.setattr(SimpleTemplateResponse, "render", leave_empty)
    return world


def ask(world: World, role: str, method: str, path: str, data: Any = None) -> tuple[str, bool]:
    """Return what the role got, and whether anything was stored. Everything is rolled back."""
    client, written = world.clients[role], list[str]()
    cookies = client.cookies.copy()
    with rolled_back(), connection.execute_wrapper(record_writes(written)):
        response: Any = client.post(path, FORM if data is None else data) if method == "POST" else client.get(path)
    client.cookies = cookies
    assert response.status_code != 500, (method, path)
    needs_factor = role == "without second factor" and response.get("Location") == reverse("mfa_index")
    found = "factor" if needs_factor else verdict(response)
    assert found == "ok" or not written, (method, path, found, written)
    return found, bool(written)


def of_models() -> set[str]:
    names = {f"{model._meta.app_label}_{model._meta.model_name}": model for model in admin.site._registry}
    old = {
        f"admin/{model._meta.app_label}/{model._meta.model_name}/<path:object_id>/" for model in admin.site._registry
    }
    return {f"{name}_{page}" for name in names for page in MODEL_PAGES} | old


def in_admin() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in addresses():
        if one.route.startswith("admin/"):
            found.setdefault(one.name, one)
    return found


def test_every_page_of_the_admin_has_a_line() -> None:
    there = {"app_list" if "app_label" in name else name for name in in_admin()}
    there.discard("login")  # which only leads to the sign-in page of the site
    assert there - of_models() == {name for name, *_ in rows(PAGES)}
    assert {model._meta.label_lower for model in admin.site._registry} == {row[0] for row in rows(MODELS)}


def test_pages(world: World) -> None:
    wrong = []
    for name, *words in rows(PAGES):
        for method, word in zip(("GET", "POST"), words, strict=True):
            for role in ROLES if word != "-" else ():
                got, _ = ask(world, role, method, path_of(in_admin()[name], world))
                want = {expected(word, role)} | ({"404", "405"} if word == "nobody" else set())
                if got not in want:
                    wrong.append((f"{method} {name}", role, f"wanted {word}", f"got {got}"))
    assert not wrong, "\n".join(map(str, wrong))


def address_of(world: World, label: str, page: str) -> str:
    row = world.rows[label]
    return reverse(f"admin:{label.replace('.', '_')}_{page}", args=[] if page in ("changelist", "add") else [row.pk])


def test_lists_and_rows(world: World) -> None:
    wrong = []
    for label, read, add, change, *_ in rows(MODELS):
        first = [("GET", "changelist", read), ("POST", "change", change)]
        others = [("GET", page, read) for page in ("change", "history")]
        others += [(method, "add", add) for method in ("GET", "POST")]
        others += [(method, "delete", "nobody") for method in ("GET", "POST")]
        for method, page, word in first + others:
            # Who may see no page of the admin is stopped by the site, before a page of a model is asked.
            for role in ROLES if (method, page, word) in first else ENTERING:
                got, _ = ask(world, role, method, address_of(world, label, page))
                if got != expected(word, role):
                    wrong.append((f"{method} {label} {page}", role, f"wanted {word}", f"got {got}"))
    assert not wrong, "\n".join(map(str, wrong))


def test_every_action_has_a_line_and_is_offered_to_these(world: World) -> None:
    request: Any = RequestFactory().get("/")
    for role in ROLES[3:]:
        request.user = User.objects.get(pk=world.clients[role].session["_auth_user_id"])
        for label, one in registered().items():
            row = next(row for row in rows(MODELS) if row[0] == label)
            wide = {"moderators-here": "moderators"}
            wanted = [name for name, word in actions(row) if expected(wide.get(word, word), role) == "ok"]
            if role != "without second factor":  # who is stopped before
                assert [*one.get_actions(request)] == wanted, (label, role)


def registered() -> dict[str, Any]:
    return {model._meta.label_lower: one for model, one in admin.site._registry.items()}


def test_actions(world: World) -> None:
    wrong = []
    for row in rows(MODELS):
        label, read = row[:2]
        for action, word in actions(row):
            for role in ["member", *ENTERING]:
                with rolled_back():
                    chosen = READY.get(f"{label} {action}", lambda world: None)(world) or world.rows[label]
                    data = {"action": action, "reason": "Because.", "_selected_action": str(chosen.pk)}
                    got, stored = ask(world, role, "POST", address_of(world, label, "changelist"), data)
                acts = expected(word, role) == "ok" and f"{label} {action}" not in NOT_HERE
                want = expected(read, role), acts
                if (got, stored) != want:
                    wrong.append((label, action, role, f"wanted {want}", f"got {got}, {stored}"))
    assert not wrong, "\n".join(map(str, wrong))


# What has to be so before an action is possible; returns the row if it is not the one of the world.


def _banned(world: World) -> User:
    person = new_person("Banned")
    User.objects.filter(pk=person.pk).update(enabled=False, ban_reason="Spam.")
    return person


def _appeal(world: World) -> Appeal:
    return Appeal.objects.create(user=_banned(world), text="That was not me.")


def _appeal_against_a_decision(world: World) -> Appeal:
    message = new_reply(growing_tree(new_person("Gro")), new_person("Ann"))
    una = new_person("Una", "moderator")
    moderator_actions.hide(message_id=message.pk, actor=una, reason="Rude.", policy=POLICY)
    return Appeal.objects.create(user=message.author, text="I was not.", entry=AuditEntry.objects.latest("pk"))


def _proposed_ban(world: World) -> User:
    person = new_person("Una", "admin")
    BanProposal.objects.create(user=person, proposer=User.objects.get(display_name="Ada"), reason="Spam.")
    return person


def _ban_proposed_by_another(world: World) -> User:
    person = new_person("Una", "admin")
    BanProposal.objects.create(user=person, proposer=new_person("Ida", "admin"), reason="Spam.")
    return person


def _second_key(world: World) -> None:
    api_clients.create_api_key(world.rows["accounts.apiclient"], name="Another")


def _trusted(world: World) -> None:
    ApiClient.objects.filter(pk=world.rows["accounts.apiclient"].pk).update(trusted=True)


def _client_off(world: World) -> None:
    ApiClient.objects.filter(pk=world.rows["accounts.apiclient"].pk).update(enabled=False)


def _switched_off(world: World) -> None:
    type(world.rows["trees.webhook"]).objects.update(enabled=False)


def _accepted(world: World) -> None:
    Message.objects.filter(pk=world.rows["trees.message"].pk).update(review_result=True, hidden=False)


def _halted(world: World) -> None:
    MessageTree.objects.filter(pk=world.rows["trees.messagetree"].pk).update(state=State.HALTED_BY_MODERATOR)


def _failed(world: World) -> None:
    MessageTree.objects.filter(pk=world.rows["trees.messagetree"].pk).update(state=State.SCORING_FAILED)


def _in_force(world: World) -> None:
    PolicyVersion.objects.filter(pk=world.rows["trees.policyversion"].pk).update(number=1, in_force_at=timezone.now())


def _of_the_past(world: World) -> None:
    _in_force(world)
    PolicyVersion.objects.create(lang="eo", number=2, in_force_at=timezone.now(), rules={"goal_tree_size": 7})


def _under_way(world: World) -> None:
    PolicyRun.objects.filter(pk=world.rows["trees.policyrun"].pk).update(stage="running")


def _stopped_training(world: World) -> None:
    TrainingRun.objects.filter(pk=world.rows["inference.trainingrun"].pk).update(state="stopped")


NOT_HERE = {
    *("trees.message choose_for_review", "trees.message choose_for_ranking"),
    "leaderboard.trollstanding act_on_many",
}
"""Here only who is offered them: the first two need a finished conversation (tests/trees/contributing), the last leads
to a preview.
"""


READY: dict[str, Callable[[World], Any]] = {
    "accounts.user unban": _banned,
    "accounts.user withdraw": _proposed_ban,
    "accounts.user refuse": _ban_proposed_by_another,
    "accounts.appeal grant": _appeal,
    "accounts.appeal refuse": _appeal,
    "accounts.appeal grant_only": _appeal_against_a_decision,
    "accounts.apiclient distrust": _trusted,
    "accounts.apiclient switch_on": _client_off,
    "accounts.apikey end_in_a_week": _second_key,
    "trees.policyversion apply": _in_force,
    "trees.policyversion go_back": _of_the_past,
    "trees.policyrun stop": _under_way,
    "inference.trainingrun resume": _stopped_training,
    "inference.servedmodel to_staff": model_with_files,
    "inference.servedmodel to_share": model_with_files,
    "inference.servedmodel to_everybody": model_with_files,
    "inference.servedmodel withdraw": staged_model,
    "inference.servedmodel roll_back": staged_model,
    "trees.webhook switch_on": _switched_off,
    "accounts.apikey revoke": _second_key,
    "trees.message mark_gold": _accepted,
    "trees.messagetree resume": _halted,
    "trees.messagetree retry_scoring": _failed,
}


# --- Acts on people ---


def refusal(act: Callable[[], Any]) -> tuple[str, Any]:
    """Return the code of the refusal, or an empty string and the result."""
    try:
        return "", act()
    except DomainError as error:
        return error.code, None


def acts_with_an_actor(*modules: ModuleType) -> set[str]:
    found = set()
    for module in modules:
        for name, function in inspect.getmembers(module, inspect.isfunction):
            is_own = function.__module__ == module.__name__ and not name.startswith("_")
            if is_own and "actor" in inspect.signature(function).parameters:
                found.add(f"{module.__name__.rpartition('.')[2]}.{name}")
    return found


WHY = {"reason": "Because."}
NOT_ALONE = {
    *("appeals.grant_open", "appeals.grant_about"),  # parts of lifting a ban, and of an undo
    *("appeals.other_moderators", "appeals.require_other_moderator"),
    # What the desk and acts on many undo for those who did it (tests/site/desk/test_undoing.py).
    *("account_changes.undo_change", "appeals.undo_refusal", "bans.undo", "purging.begin_undo"),
    "moderator_actions.undo_entry",
    # A second voice for one proposal, which only administrators have (tests/accounts/test_last_administrator.py).
    *("bans.confirm_proposal", "bans.withdraw_one_proposal", "bans.refuse_proposal", "bans.refuse_one_proposal"),
    "bans.carry_over",  # part of a merge
    "pairs.close",  # part of `decide` and of acts on messages
    # These only say whether it may be.
    *("merge_proposals.require_mergeable", "merge_proposals.require_unchanged"),
    "purging.preview_purge",
    "purging.start_purge",  # part of `confirm` and `purge_alone`, and for programs
}
"""Functions with an actor that no page calls as an act of its own."""


def names_in(table: str) -> set[str]:
    return {row[0].partition(":")[0] for row in rows(table)}


def test_every_act_on_people_has_a_line() -> None:
    there = acts_with_an_actor(bans, account_changes, purge_proposals, merge_proposals, purging, appeals, warnings)
    assert there - NOT_ALONE == names_in(permissions.ON_PEOPLE)


def _appeal_of(target: User) -> int:
    User.objects.filter(pk=target.pk).update(enabled=False)
    return Appeal.objects.create(user=target, text="That was not me.").pk  # type: ignore[return-value]


def _warning_of(target: User) -> int:
    una = new_person("Una", "admin")
    return AccountWarning.objects.create(user=target, actor=una, reason="Rude.").pk


def _unban(actor: User, target: User) -> Any:
    User.objects.filter(pk=target.pk).update(enabled=False)
    return bans.unban(target, actor=actor, **WHY)


def _confirm(actor: User, target: User) -> Any:
    PurgeProposal.objects.create(user=target, proposer=new_person("Una", "admin"), reason="Spam.")
    return purge_proposals.confirm(user=target, actor=actor, name=target.display_name)


def _confirm_merge(actor: User, target: User) -> Any:
    sources = [new_person("Twin").pk]
    una = new_person("Una", "admin")
    proposal = MergeProposal.objects.create(destination=target, sources=sources, proposer=una, **WHY)
    return merge_proposals.confirm(proposal_id=proposal.pk, actor=actor, name=target.display_name)


def _refuse(actor: User, target: User) -> Any:
    una = new_person("Una", "admin")
    proposal = PurgeProposal.objects.create(user=target, proposer=una, reason="Spam.")
    return purge_proposals.refuse(proposal_id=proposal.pk, actor=actor, **WHY)


def _refuse_merge(actor: User, target: User) -> Any:
    una, sources = new_person("Una", "admin"), [new_person("Twin").pk]
    proposal = MergeProposal.objects.create(destination=target, sources=sources, proposer=una, **WHY)
    return merge_proposals.refuse(proposal_id=proposal.pk, actor=actor, **WHY)


def _undo_purge(actor: User, target: User) -> Any:
    done = {"stage": Purge.Stage.DONE, "finished_at": timezone.now()}
    purge = Purge.objects.create(person=target, actor=new_person("Una", "admin"), reason="Spam.", **done)
    return purging.undo_purge(purge_id=purge.pk, actor=actor, **WHY)


ON_PEOPLE: dict[str, Callable[[User, User], Any]] = {
    "bans.ban": lambda actor, target: bans.ban(target, actor=actor, **WHY),
    "bans.unban": _unban,
    "bans.withdraw_proposal": lambda actor, target: bans.withdraw_proposal(target, actor=actor),
    "account_changes.change_account": lambda actor, target: account_changes.change_account(
        target, actor=actor, notes="Careful.", **WHY
    ),
    "account_changes.change_account:rights": lambda actor, target: account_changes.change_account(
        target, actor=actor, moderated_languages=["eo"], **WHY
    ),
    "purge_proposals.propose": lambda actor, target: purge_proposals.propose(user=target, actor=actor, **WHY),
    "purge_proposals.confirm": _confirm,
    "purge_proposals.refuse": _refuse,
    "purge_proposals.purge_alone": lambda actor, target: purge_proposals.purge_alone(
        user=target, actor=actor, name=target.display_name, **WHY
    ),
    "merge_proposals.propose": lambda actor, target: merge_proposals.propose(
        destination=target, sources=[new_person("Twin")], actor=actor, **WHY
    ),
    "merge_proposals.confirm": _confirm_merge,
    "merge_proposals.refuse": _refuse_merge,
    "merge_proposals.merge_alone": lambda actor, target: merge_proposals.merge_alone(
        destination=target, sources=[new_person("Twin")], actor=actor, name=target.display_name, **WHY
    ),
    "merge_proposals.withdraw": lambda actor, target: merge_proposals.withdraw(proposal_id=0, actor=actor),
    "purge_proposals.withdraw": lambda actor, target: purge_proposals.withdraw(user=target, actor=actor),
    "purging.undo_purge": _undo_purge,
    "appeals.refuse": lambda actor, target: appeals.refuse(_appeal_of(target), actor=actor, answer="No."),
    "bans.grant_appeal": lambda actor, target: bans.grant_appeal(_appeal_of(target), actor=actor, answer="Yes."),
    "warnings.warn": lambda actor, target: warnings.warn(user=target, actor=actor, **WHY),
    "warnings.withdraw_warning": lambda actor, target: warnings.withdraw_warning(_warning_of(target), actor, "Not so."),
}


def test_acts_on_people(settings: Any) -> None:
    settings.RATE_LIMITS = False
    staff = new_staff()
    targets = {
        "member": new_person("Tom"),
        "auditor": staff["auditor"],
        "moderator": new_person("Tim", "moderator"),
        "administrator": new_person("Tess", "admin"),
    }
    table, wrong = permissions.on_people(), []
    for act, function in ON_PEOPLE.items():
        for role in ACTORS:
            for about in permissions.TARGETS:
                target = User.objects.get(pk=targets.get(about, staff[role]).pk)
                word = table.get(role, {}).get(act, {}).get(about) or (
                    "own" if act.endswith(("withdraw", "withdraw_proposal")) else ""
                )
                with rolled_back():
                    actor = User.objects.get(pk=staff[role].pk)
                    code, result = refusal(lambda: function(actor, target))  # noqa: B023
                want = RESULTS[word][0] if word else "moderators_only"
                if code != want or (result is False) != (word == "second"):
                    wrong.append((act, role, about, f"wanted {want}", f"got {code}", result))
    assert not wrong, "\n".join(map(str, wrong))


# --- Acts on conversations ---


def test_every_act_on_conversations_has_a_line() -> None:
    there = acts_with_an_actor(moderator_actions, personal_data, pairs, moderation)
    assert there - NOT_ALONE == names_in(ON_CONVERSATIONS)


class Scene:
    """A reply of the author in a growing English conversation, in which Una, an administrator, has acted before."""

    def __init__(self, author: User, una: User, prompt: Message) -> None:
        self.author, self.una, self.message = author, una, new_reply(prompt, author)
        self.given = {"reason": "Because.", "policy": POLICY}

    def proposal(self, *, stops: bool = False) -> Proposal:
        message = self.message
        about = {"tree_id": message.tree_id, "message": message, "revision": message.revision}
        return Proposal.objects.create(**about, kind=Proposal.Kind.FLAGS, voices=4, hides=True, stops=stops)

    def report(self) -> Report:
        return reactions.report(message_id=self.message.pk, reporter=self.una, category="spam", text="Look.")

    def deletion(self) -> Deletion:
        return moderator_actions.delete_message(message_id=self.message.pk, actor=self.una, **self.given)

    def withdrawal(self) -> Any:
        prompt = growing_tree(self.author)
        new_reply(prompt, self.una)
        return withdrawal.withdraw(message_id=prompt.pk, author=self.author, policy=POLICY)

    def state(self, state: State) -> None:
        MessageTree.objects.filter(pk=self.message.tree_id).update(state=state)

    def reading(self) -> dict[str, Any]:
        found = {"kind": "personal_data", "result": {"spans": [[0, 3, "phone"]]}, "flagged": True}
        MessageReading.objects.create(revision_id=self.message.revision_id, due_at=None, **found)
        return {"message_id": self.message.pk, "revision_id": str(self.message.revision_id)}

    def entry(self, actor: User) -> int:
        """Return an act of the actor, before they were given languages."""
        everywhere = User.objects.get(pk=actor.pk)
        everywhere.moderated_languages = []
        if everywhere.is_moderator:
            moderator_actions.halt(tree_id=self.message.tree_id, actor=everywhere, **self.given)
        else:
            moderator_actions.halt(tree_id=self.message.tree_id, actor=self.una, **self.given)
        return AuditEntry.objects.latest("pk").pk


def _resume(scene: Scene, actor: User) -> Any:
    scene.state(State.HALTED_BY_MODERATOR)
    if scene.author == actor:
        scene.proposal(stops=True)
    return moderator_actions.resume(tree_id=scene.message.tree_id, actor=actor, **scene.given)


def _retry(scene: Scene, actor: User) -> Any:
    scene.state(State.SCORING_FAILED)
    return moderator_actions.retry_scoring(tree_id=scene.message.tree_id, actor=actor, **scene.given)


def _edit(scene: Scene, actor: User) -> Any:
    scene.proposal()
    return moderator_actions.edit_message(message_id=scene.message.pk, actor=actor, text="Anew.", **scene.given)


def _keep(scene: Scene, actor: User) -> Any:
    scene.proposal()
    return moderator_actions.keep(message_id=scene.message.pk, actor=actor, **scene.given)


def _settle(status: str) -> Callable[[Scene, User], Any]:
    return lambda scene, actor: moderator_actions.settle_report(
        report_id=scene.report().pk, actor=actor, status=status, outcome="Seen.", policy=POLICY
    )


def _decide(scene: Scene, actor: User) -> Any:
    other = new_prompt(scene.una)
    first, second = sorted((scene.message, other), key=lambda one: one.pk)
    pair = NearDuplicate.objects.create(first=first, second=second)
    return pairs.decide(pair_id=pair.pk, actor=actor, reason="Because.", status=NearDuplicate.Status.DISMISSED)


def _resolve(scene: Scene, actor: User) -> Any:
    return moderation.resolve_report(report_id=ChatReport.objects.latest("pk").pk, actor=actor, outcome="Seen.")


ON_TREES: dict[str, Callable[[Scene, User], Any]] = {
    "moderator_actions.halt": lambda scene, actor: moderator_actions.halt(
        tree_id=scene.message.tree_id, actor=actor, **scene.given
    ),
    "moderator_actions.resume": _resume,
    "moderator_actions.retry_scoring": _retry,
    "moderator_actions.delete_message": lambda scene, actor: moderator_actions.delete_message(
        message_id=scene.message.pk, actor=actor, **scene.given
    ),
    "moderator_actions.undelete": lambda scene, actor: moderator_actions.undelete(
        deletion_id=scene.deletion().pk, actor=actor, **scene.given
    ),
    "moderator_actions.edit_message": _edit,
    "moderator_actions.keep": _keep,
    "moderator_actions.hide": lambda scene, actor: moderator_actions.hide(
        message_id=scene.message.pk, actor=actor, **scene.given
    ),
    "moderator_actions.move_to_language": lambda scene, actor: moderator_actions.move_to_language(
        tree_id=scene.message.tree_id,
        lang="fr" if actor.moderated_languages == ["de"] else "de",
        actor=actor,
        **scene.given,
    ),
    "moderator_actions.uphold": lambda scene, actor: moderator_actions.uphold(
        proposal_id=scene.proposal().pk, actor=actor, **scene.given
    ),
    "moderator_actions.dismiss": lambda scene, actor: moderator_actions.dismiss(
        proposal_id=scene.proposal().pk, actor=actor, **scene.given
    ),
    "moderator_actions.grant_withdrawal": lambda scene, actor: moderator_actions.grant_withdrawal(
        withdrawal_id=scene.withdrawal().pk, actor=actor, **scene.given
    ),
    "moderator_actions.refuse_withdrawal": lambda scene, actor: moderator_actions.refuse_withdrawal(
        withdrawal_id=scene.withdrawal().pk, actor=actor, **scene.given
    ),
    "moderator_actions.settle_report:upheld": _settle("upheld"),
    "moderator_actions.settle_report:dismissed": _settle("dismissed"),
    "moderator_actions.undo": lambda scene, actor: moderator_actions.undo(
        entry_id=scene.entry(actor), actor=actor, **scene.given
    ),
    "personal_data.mask": lambda scene, actor: personal_data.mask(**scene.reading(), actor=actor, policy=POLICY),
    "personal_data.keep": lambda scene, actor: personal_data.keep(**scene.reading(), actor=actor),
    "pairs.decide": _decide,
    "moderation.resolve_report": _resolve,
}
EVEN_SO = {"moderator_actions.retry_scoring": "failed_again"}
"""Refusals that come after the act: nothing about it was forbidden."""


def test_acts_on_conversations(world: World, settings: Any) -> None:
    settings.REQUIRE_MFA = "off"
    people = {role: User.objects.get(pk=world.clients[role].session["_auth_user_id"]) for role in ROLES[3:]}
    people["member"] = new_person("Mia")
    quin, una = new_person("Quin"), new_person("Una", "admin")
    prompt = growing_tree(new_person("Pat"))
    wrong = []
    for act, theirs, elsewhere, own in rows(ON_CONVERSATIONS):
        words = {"moderator": theirs, "administrator": theirs, "moderator elsewhere": elsewhere, "own": own}
        for role in ("member", "suspended", "operator", "auditor", *words):
            actor = people["moderator" if role == "own" else role]
            with rolled_back():
                scene = Scene(actor if role == "own" else quin, una, prompt)
                code, _ = refusal(lambda: ON_TREES[act](scene, actor))  # noqa: B023
            word = words.get(role, "moderators_only")
            want = "" if word == "yes" else word
            if code not in (want, EVEN_SO.get(act, want) if word == "yes" else want):
                wrong.append((act, role, f"wanted {word}", f"got {code}"))
    assert not wrong, "\n".join(map(str, wrong))
