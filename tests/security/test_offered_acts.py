"""Acts that the admin page of a row offers to a user are accepted, and acts that would be refused are not offered."""

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db.models import Model
from django.test import Client
from django.urls import reverse

from oasst.accounts import closing
from oasst.accounts.models import User
from oasst.core.models import AuditEntry
from oasst.site import purging
from tests.factories import growing_tree, new_person, new_reply
from trees.contributing import reactions, withdrawal
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Deletion, Message, MessageTree, Proposal, Withdrawal
from trees.moderation import bans, moderator_actions

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
POLICY = TreePolicy()
WHY = {"reason": "Because.", "policy": POLICY}
ROLES = {"moderator": "moderator", "administrator": "admin"}


def of_role(role: str, *, banned: bool = False) -> Callable[[User], User]:
    def person(actor: User) -> User:
        found = new_person("Pat", role)
        User.objects.filter(pk=found.pk).update(enabled=not banned)
        return User.objects.get(pk=found.pk)

    return person


def purged(actor: User) -> User:
    person = new_person("Pat")
    purging.start_purge(user=person, actor=new_person("Una", "admin"), reason="Spam.")
    return person


def purge_of(role: str) -> Callable[[User], Model]:
    def made(actor: User) -> Model:
        person = new_person("Pat")
        found = purging.start_purge(user=person, actor=new_person("Una", "admin"), reason="Spam.")
        User.objects.filter(pk=person.pk).update(role=role)  # they were promoted afterwards, by MODERATOR_EMAILS
        return found

    return made


def by(own: bool, actor: User) -> Message:
    """A reply of the actor, or of another user."""
    return new_reply(growing_tree(new_person("Pat")), actor if own else new_person("Quin"))


def message(*, own: bool, proposed: bool = False, deleted: bool = False) -> Callable[[User], Model]:
    def made(actor: User) -> Model:
        found = by(own, actor)
        if proposed:
            propose(found)
        if deleted:
            moderator_actions.delete_message(message_id=found.pk, actor=actor, **WHY)
        return Message.objects.get(pk=found.pk)

    return made


def propose(found: Message, *, stops: bool = False) -> Proposal:
    return Proposal.objects.create(
        tree_id=found.tree_id,
        message=found,
        revision=found.revision,
        kind=Proposal.Kind.FLAGS,
        voices=4,
        hides=True,
        stops=stops,
    )


def proposal(*, own: bool) -> Callable[[User], Model]:
    return lambda actor: propose(by(own, actor))


def withdrawn(*, state: State | None = None, undone: bool = False) -> Callable[[User], Model]:
    def made(actor: User) -> Model:
        found = new_reply(growing_tree(pat := new_person("Pat")), new_person("Quin")).parent
        assert found is not None
        if state:
            MessageTree.objects.filter(pk=found.tree_id).update(state=state)
        made = withdrawal.withdraw(message_id=found.pk, author=pat, policy=POLICY)
        if undone:
            withdrawal.undo(message_id=found.pk, author=pat, policy=POLICY)
        return Withdrawal.objects.get(pk=made.pk)

    return made


def withdrawn_message(actor: User) -> Model:
    return Message.objects.get(pk=withdrawn()(actor).message_id)  # type: ignore[attr-defined]


def deletion_at_once(actor: User) -> Model:
    found = by(False, actor)
    assert found.author is not None
    withdrawal.withdraw(message_id=found.pk, author=found.author, policy=POLICY)
    return Deletion.objects.get(message=found)


def report(*, own: bool) -> Callable[[User], Model]:
    return lambda actor: reactions.report(
        message_id=by(own, actor).pk, reporter=new_person("Rae"), category="spam", text="Look."
    )


def deletion(
    *, own: bool, by_another: bool = False, reported: bool = False, parent_too: bool = False
) -> Callable[[User], Model]:
    def made(actor: User) -> Model:
        found = by(own, actor)
        if reported:
            reactions.report(message_id=found.pk, reporter=new_person("Rae"), category="spam")
        who = new_person("Una", "moderator") if by_another else actor
        made = moderator_actions.delete_message(message_id=found.pk, actor=who, **WHY)
        if parent_too:
            moderator_actions.delete_message(message_id=found.tree_id, actor=who, **WHY)
        return made

    return made


def deletion_of_somebody_purged(actor: User) -> Model:
    found = by(False, actor)
    made = moderator_actions.delete_message(message_id=found.pk, actor=actor, **WHY)
    assert found.author is not None
    purging.start_purge(user=found.author, actor=new_person("Una", "admin"), reason="Spam.")
    return made


def tree(*, halted: bool, own_stops: bool = False, without_prompt: bool = False) -> Callable[[User], Model]:
    def made(actor: User) -> Model:
        found = by(own_stops, actor)
        if halted:
            moderator_actions.halt(tree_id=found.tree_id, actor=actor, **WHY)
        if own_stops:
            propose(found, stops=True)
        if without_prompt:
            moderator_actions.delete_message(message_id=found.tree_id, actor=actor, **WHY)
        return MessageTree.objects.get(pk=found.tree_id)

    return made


def ended_by_flags(actor: User) -> Model:
    """As it was before complaints made proposals, or as a file has it."""
    found = tree(halted=False)(actor)
    MessageTree.objects.filter(pk=found.pk).update(state=State.ABORTED_LOW_GRADE)
    return MessageTree.objects.get(pk=found.pk)


NONE: tuple[set[str], set[str]] = (set(), set())
CASES: dict[str, tuple[Callable[[User], Model], tuple[set[str], set[str]]]] = {
    # Subject → what a moderator and an administrator are offered.
    "a contributor": (of_role("general"), ({"ban", "warn"}, {"ban", "warn"})),
    "a moderator": (of_role("moderator"), (set(), {"ban", "warn"})),
    "an administrator": (of_role("admin"), (set(), {"ban"})),
    "a banned contributor": (of_role("general", banned=True), ({"unban", "warn"}, {"unban", "warn"})),
    "a banned moderator": (of_role("moderator", banned=True), (set(), {"unban", "warn"})),
    "a banned administrator": (of_role("admin", banned=True), (set(), {"unban"})),
    "somebody who is purged": (purged, ({"warn"}, {"warn"})),
    "a purge": (purge_of("general"), ({"undo"}, {"undo"})),
    "a purge of a moderator": (purge_of("moderator"), (set(), {"undo"})),
    "a message": (message(own=False), ({"delete"}, {"delete"})),
    "a deleted message": (message(own=False, deleted=True), NONE),
    "a proposal": (proposal(own=False), ({"uphold", "dismiss"}, {"uphold", "dismiss"})),
    "a proposal about what they wrote": (proposal(own=True), ({"uphold"}, {"uphold"})),
    "a withdrawal": (withdrawn(), ({"grant", "refuse"}, {"grant", "refuse"})),
    "a withdrawal from the data set": (withdrawn(state=State.READY_FOR_EXPORT), ({"grant"}, {"grant"})),
    "a withdrawal that was undone": (withdrawn(undone=True), NONE),
    "a message that its author withdrew": (withdrawn_message, ({"delete"}, {"delete"})),
    "what went at once because its author withdrew it": (deletion_at_once, NONE),
    "a report": (report(own=False), ({"uphold", "dismiss"}, {"uphold", "dismiss"})),
    "a report about what they wrote": (report(own=True), ({"uphold"}, {"uphold"})),
    "a deletion": (deletion(own=False), ({"undelete"}, {"undelete"})),
    "their deletion of what they wrote": (deletion(own=True), ({"undelete"}, {"undelete"})),
    "a deletion of what they wrote": (deletion(own=True, by_another=True), NONE),
    "their deletion of what they wrote and others reported": (deletion(own=True, reported=True), NONE),
    "a deletion below another": (deletion(own=False, parent_too=True), NONE),
    "a deletion of somebody who is purged": (deletion_of_somebody_purged, NONE),
    "a conversation": (tree(halted=False), ({"halt"}, {"halt"})),
    "a stopped conversation": (tree(halted=True), ({"resume"}, {"resume"})),
    "one that flags ended": (ended_by_flags, ({"halt", "resume"}, {"halt", "resume"})),
    "one that their message stopped": (tree(halted=True, own_stops=True), NONE),
    "one without its prompt": (tree(halted=True, without_prompt=True), NONE),
}


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def page_of(row: Model) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def offered(client: Client, row: Model) -> set[str]:
    page = client.get(page_of(row))
    assert page.status_code == 200
    form = re.search(r'<form class="desk-acts" method="post" action="([^"]+)">(.*?)</form>', page.text, re.DOTALL)
    where = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist")
    return set(re.findall(r'name="action" value="(\w+)"', form[2])) if form and form[1] == where else set()


def accepted(client: Client, row: Any, action: str) -> bool:
    """The audit log has what was done, and nothing that was refused."""
    before = AuditEntry.objects.count()
    where = reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_changelist")
    sent = {"action": action, "reason": "Because.", "_selected_action": str(row.pk), "_from_details": "1"}
    assert client.post(where, sent).status_code in (200, 302)
    return AuditEntry.objects.count() > before


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("case", CASES)
def test_what_is_offered_is_accepted_and_the_rest_refused(case: str, role: str, settings: Any) -> None:
    settings.RATE_LIMITS = False
    make, wanted = CASES[case]
    actor = new_person("Max", ROLES[role])
    client = signed_in(actor)
    row = make(actor)
    assert offered(client, row) == wanted[role == "administrator"]
    actions = {"user": ("warn", "ban", "unban"), "messagetree": ("halt", "resume")}.get(str(row._meta.model_name))
    every = actions or {"purge": ("undo",), "message": ("delete",), "deletion": ("undelete",)}.get(
        str(row._meta.model_name), ("uphold", "dismiss")
    )
    for action in every:
        again = make(actor)
        if action in wanted[role == "administrator"]:
            assert accepted(client, again, action), action
        elif action not in AGAIN:
            assert not accepted(client, again, action), action


AGAIN = {"ban", "halt"}
"""Repeating it is accepted and changes the reason; it is not offered, because it has no other effect."""


@pytest.mark.parametrize(("role", "purges"), [("general", True), ("moderator", False), ("admin", False)])
def test_purging_is_offered_to_whom_it_is(mo: User, role: str, purges: bool) -> None:
    person = new_person("Pat", role)
    page = signed_in(mo).get(page_of(person)).text
    assert ("Purge…" in page) == purges
    found = purge_of(role)(mo)
    page = signed_in(mo).get(reverse("admin:accounts_user_change", args=[found.person_id])).text  # type: ignore[attr-defined]
    assert ("Undo the purge" in page) == purges


@pytest.mark.parametrize(("role", "merges"), [("general", True), ("moderator", False), ("admin", False)])
def test_merging_is_offered_to_whom_it_is(mo: User, role: str, merges: bool) -> None:
    person = new_person("Pat", role)
    for actor in (mo, new_person("Una", "admin")):
        assert ("Merge with another account" in signed_in(actor).get(page_of(person)).text) == merges
    if merges:
        closing.close_account(person)
        assert "Merge with another account" not in signed_in(mo).get(page_of(person)).text


@pytest.mark.parametrize(("own", "proposed", "edits"), [(False, True, True), (True, False, True), (True, True, False)])
def test_editing_is_offered_to_whom_it_is(mo: User, own: bool, proposed: bool, edits: bool) -> None:
    row = message(own=own, proposed=proposed)(mo)
    client = signed_in(mo)
    assert ("Edit the text" in client.get(page_of(row)).text) == edits
    answer = client.post(reverse("admin:trees_message_edit", args=[row.pk]), {"text": "Anew.", "reason": "Because."})
    assert (answer.status_code == 302) == edits


def test_administrators_alone_refuse_and_withdraw_proposals(mo: User) -> None:
    where = reverse("admin:accounts_user_changelist")
    ada = new_person("Ada", "admin")
    for act in ("withdraw", "refuse"):
        assert f'value="{act}"' not in signed_in(mo).get(where).text
        assert f'value="{act}"' in signed_in(ada).get(where).text


def test_bans_of_administrators_are_still_proposed() -> None:
    ada, ida, una = (new_person(name, "admin") for name in ("Ada", "Ida", "Una"))
    bans.ban(una, actor=ida, reason="Spam.")
    assert "Confirm the suspension" in signed_in(ada).get(page_of(una)).text
