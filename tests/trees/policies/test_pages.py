"""The pages of the parameters: what is in force, a draft and its preview, putting it in force, the way back."""

import html
import re
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from oasst.accounts.groups import Duty
from oasst.accounts.models import User
from oasst.core.models import AuditEntry
from tests.factories import new_person, new_prompt, review
from trees.models import MessageTree, PolicyRun, PolicyVersion
from trees.policies import changing, reading, runs
from trees.policies.reading import current_policy

pytestmark = pytest.mark.django_db
RULES = "/admin/trees/policyversion/parameters/"
EDIT = f"{RULES}edit/"
MOST_STATEMENTS = 12


@pytest.fixture
def ida(db: None) -> User:
    return new_person("Ida", role="admin")


@pytest.fixture
def page(ida: User) -> Client:
    return signed_in(ida)


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def operator() -> User:
    olga = new_person("Olga")
    User.objects.filter(pk=olga.pk).update(duties=[Duty.OPERATOR])
    return User.objects.get(pk=olga.pk)


def words(response: Any) -> str:
    return html.unescape(" ".join(re.sub(r"<[^>]+>", " ", response.text).split()))


def address(row: PolicyVersion | PolicyRun) -> str:
    return reverse(f"admin:trees_{row._meta.model_name}_change", args=[row.pk])


def press(client: Client, row: PolicyVersion | PolicyRun, action: str, reason: str = "A test.") -> str:
    where = reverse(f"admin:trees_{row._meta.model_name}_changelist")
    sent = {"action": action, "reason": reason, "_selected_action": row.pk, "_from_details": "1"}
    found = words(client.post(where, sent, follow=True))
    reading.forget()  # the tests' transaction does not commit
    return found


def drafted(client: Client, lang: str = "", **changes: str) -> PolicyVersion:
    response = client.post(f"{EDIT}?lang={lang}", changes)
    assert response.status_code == 302, words(response)
    version = PolicyVersion.objects.latest("pk")
    assert response["Location"] == address(version)
    return version


class TestRules:
    def test_a_language_has_rules_before_anybody_writes_in_it(self, page: Client) -> None:
        assert '<option value="eu">Basque</option>' in page.get(RULES).text
        draft = drafted(page, "eu", goal_tree_size="8")
        runs.continue_run(run_id=PolicyRun.objects.get().pk)
        assert "Preview Done No conversation was running." in words(page.get(address(draft)))
        assert "just now" in words(page.get(RULES, {"lang": "eu"}))
        press(page, draft, "put_in_force")
        assert "Version 1, put in force just now" in words(page.get(RULES, {"lang": "eu"}))

    def test_what_is_in_force_by_language(self, page: Client, ida: User) -> None:
        german = changing.draft(lang="de", changes={"num_reviews_reply": 2}, actor=ida)
        changing.put_in_force(version_id=german.pk, actor=ida, reason="Few people.")
        shown = words(page.get(RULES))
        assert "Parameters: Every language" in shown and "German (own rules)" in shown
        assert "Reviews of an answer or follow-up So many people review it before it is decided. 3 3" in shown
        assert "Chance that a review is a check" in shown
        shown = words(page.get(RULES, {"lang": "de"}))
        assert "Reviews of an answer or follow-up So many people review it before it is decided. 2 differs 3" in shown
        assert "Version 1" in shown and "Chance that a review is a check" not in shown

    def test_secrets_are_masked(self, page: Client, settings: Any) -> None:
        settings.ROOT_TOKENS, settings.ENGINE_KEY, settings.HF_TOKEN = ["s3cret-root"], "s3cret-engine", ""
        shown = words(page.get(RULES))
        assert "s3cret" not in shown and settings.SECRET_KEY not in shown
        assert "ROOT_TOKENS **********" in shown and "ENGINE_KEY **********" in shown and "HF_TOKEN not set" in shown

    def test_moderators_read_the_rules_and_change_nothing(self, mo: User, ida: User) -> None:
        draft = changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida)
        for client in (signed_in(mo), signed_in(operator())):
            shown = words(client.get(RULES))
            assert "Size of a conversation" in shown and "Change these" not in shown
            assert client.get(EDIT).status_code == client.post(EDIT, {"goal_tree_size": "5"}).status_code == 403
            preview = reverse("admin:trees_policyversion_preview", args=[draft.pk])
            assert client.post(preview).status_code == 403
            assert "Put in force" not in words(client.get(address(draft)))
            press(client, draft, "put_in_force")
        assert "SECRET_KEY" not in words(signed_in(mo).get(RULES))
        assert PolicyVersion.objects.get().is_draft and not PolicyRun.objects.exists()

    def test_looking_writes_nothing(self, page: Client, ida: User) -> None:
        draft = changing.draft(lang="de", changes={"goal_tree_size": 20}, actor=ida)
        run = runs.start_preview(version_id=draft.pk, actor=ida)
        before = AuditEntry.objects.count()
        paths = (RULES, f"{RULES}?lang=de", EDIT, f"{EDIT}?lang=de&draft={draft.pk}", address(draft), address(run))
        with CaptureQueriesContext(connection) as statements:
            for path in paths:
                assert page.get(path).status_code == 200
        written = [one["sql"] for one in statements if re.match(r"(INSERT|UPDATE|DELETE)", one["sql"])]
        assert [sql for sql in written if "trees_" in sql] == [] and AuditEntry.objects.count() == before

    def test_ten_times_the_rows_cost_the_same(self, page: Client, ida: User) -> None:
        def count() -> list[int]:
            found = []
            for path in (RULES, EDIT, address(draft), address(run), *lists):
                with CaptureQueriesContext(connection) as statements:
                    assert page.get(path).status_code == 200
                found.append(len(statements))
            return found

        lists = [reverse(f"admin:trees_{model}_changelist") for model in ("policyversion", "policyrun")]
        draft = changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida)
        run = runs.start_preview(version_id=draft.pk, actor=ida)
        count()
        few = count()
        alice = new_person("Alice")
        for number in range(11):
            new_prompt(alice, lang=("de", "fr", "es")[number % 3])
            more = changing.draft(lang="de", changes={"goal_tree_size": 20 + number}, actor=ida)
            changing.put_in_force(version_id=more.pk, actor=ida, reason="A test.")
            other = changing.draft(lang="", changes={"goal_tree_size": 30 + number}, actor=ida)
            runs.continue_run(run_id=runs.start_preview(version_id=other.pk, actor=ida).pk)
        assert count() == few and max(few) <= MOST_STATEMENTS

    @pytest.mark.parametrize("query", ["lang=d%20e", "lang=de&draft=x", "draft=999999", "lang=%00"])
    def test_odd_addresses(self, page: Client, query: str) -> None:
        assert page.get(f"{EDIT}?{query}").status_code in (400, 404)


class TestChange:
    def test_from_the_form_to_running_conversations(self, page: Client, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        review(prompt, bob)
        draft = drafted(page, num_reviews_initial_prompt="1", goal_tree_size="20")
        preview = PolicyRun.objects.get()
        assert f'data-refresh="{address(draft)}"' in page.get(address(draft)).text
        runs.continue_run(run_id=preview.pk)
        shown = words(page.get(address(draft)))
        assert "Size of a conversation 12 (the default) 20" in shown and "Put in force" in shown
        assert "Preview Done 1 of 1 conversations" in shown
        assert "English 1 1 1 1 0 0 0 1 Together 1 1 1 1 0 0 0 1" in shown
        shown = press(page, draft, "put_in_force", "One is enough.")
        assert "Version 1" in shown and "in force" in shown and "One is enough." in shown
        assert current_policy().goal_tree_size == 20 and MessageTree.objects.get().goal_tree_size == 12
        shown = press(page, draft, "apply", "Now the running ones.")
        assert "Application Under way 0 of 1 conversations" in shown
        run = runs.continue_run(run_id=PolicyRun.objects.latest("pk").pk)
        assert run.stage == PolicyRun.Stage.DONE and MessageTree.objects.get().goal_tree_size == 20
        shown = words(page.get(address(draft)))
        assert "Application Done 1 of 1 conversations" in shown and "they were applied to those that ran then" in shown
        history = words(page.get(reverse("admin:trees_policyversion_history", args=[draft.pk])))
        assert "put other parameters in force" in history and "Ida" in history

    def test_what_is_wrong_is_named_and_what_was_typed_is_kept(self, page: Client) -> None:
        typed = {
            "goal_tree_size": "many",
            "max_tree_depth": "0",
            "max_children_count": "9" * 400,
            "labels_initial_prompt": "spam, nice",
            "check_share": "0.01",
        }
        response = page.post(EDIT, typed)
        assert response.status_code == 422 and not PolicyVersion.objects.exists()
        shown = words(response)
        assert "Please look at these again." in shown and "There is no label “nice”." in shown
        assert "This must be from 1 to 100." in shown
        for name in ("goal_tree_size", "max_tree_depth", "labels_initial_prompt"):
            assert f'href="#id_{name}"' in response.text
        for value in ('value="many"', 'value="spam, nice"', 'value="0.01"'):
            assert value in response.text

    def test_rules_that_do_not_go_together(self, page: Client) -> None:
        response = page.post(EDIT, {"mandatory_labels": "spam, political_content"})
        assert response.status_code == 422 and "lacks political_content, which is mandatory" in words(response)
        assert not PolicyVersion.objects.exists()

    def test_nothing_different(self, page: Client) -> None:
        response = page.post(EDIT, {"goal_tree_size": "12"})
        assert response.status_code == 422 and "Nothing is different from what is in force." in words(response)

    def test_a_draft_is_changed_further(self, page: Client) -> None:
        first = drafted(page, "de", goal_tree_size="20", rank_prompter_replies="on")
        form = page.get(EDIT, {"lang": "de", "draft": first.pk}).text
        assert 'name="goal_tree_size" value="20"' in form and '<option value="on" selected>' in form
        sent = {"goal_tree_size": "21", "rank_prompter_replies": "", "initial-rank_prompter_replies": "on"}
        response = page.post(f"{EDIT}?lang=de&draft={first.pk}", sent)
        second = PolicyVersion.objects.latest("pk")
        assert response["Location"] == address(second) and second.changes == {"goal_tree_size": 21}
        assert "discarded" in words(page.get(address(first)))

    def test_what_a_draft_had_and_nobody_touched_stays_in_it(self, page: Client) -> None:
        first = drafted(page, "de", goal_tree_size="20", num_reviews_reply="2")
        sent = {"goal_tree_size": "21", "num_reviews_reply": "2"}
        initial = {"initial-goal_tree_size": "20", "initial-num_reviews_reply": "2"}
        page.post(f"{EDIT}?lang=de&draft={first.pk}", {**sent, **initial})
        assert PolicyVersion.objects.latest("pk").changes == {"goal_tree_size": 21, "num_reviews_reply": 2}

    def test_a_form_takes_back_nothing_that_others_put_in_force_meanwhile(self, page: Client, ida: User) -> None:
        form = page.get(EDIT).text
        assert '<input type="hidden" name="initial-goal_tree_size"' in form
        other = changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida)
        changing.put_in_force(version_id=other.pk, actor=ida, reason="A test.")
        version = drafted(page, **{"max_tree_depth": "5", "goal_tree_size": "", "initial-goal_tree_size": ""})
        assert version.changes == {"max_tree_depth": 5}

    def test_back_to_an_earlier_version(self, page: Client) -> None:
        first = drafted(page, goal_tree_size="20")
        press(page, first, "put_in_force")
        second = drafted(page, goal_tree_size="9")
        press(page, second, "put_in_force")
        shown = press(page, first, "go_back", "It was better.")
        assert "nothing is changed yet" in shown and "Size of a conversation 9 20" in shown
        assert current_policy().goal_tree_size == 9
        third = PolicyVersion.objects.latest("pk")
        press(page, third, "put_in_force")
        assert current_policy().goal_tree_size == 20
        assert "earlier" in words(page.get(address(second)))

    def test_the_list_by_state(self, page: Client) -> None:
        first, second = (drafted(page, goal_tree_size=size) for size in ("20", "9"))
        press(page, first, "put_in_force")
        press(page, second, "discard")
        where = reverse("admin:trees_policyversion_changelist")
        for state, shown in (("in_force", first), ("discarded", second), ("earlier", None), ("draft", None)):
            found = page.get(where, {"state": state}).text
            assert [address(one) in found for one in (first, second)] == [shown == first, shown == second], state

    def test_a_draft_that_others_overtook_says_so(self, page: Client, ida: User) -> None:
        first, second = (changing.draft(lang="", changes={"goal_tree_size": size}, actor=ida) for size in (20, 9))
        press(page, first, "put_in_force")
        assert "20 changed meanwhile 9" in words(page.get(address(second)))
        assert "was changed meanwhile" in press(page, second, "put_in_force")
        assert current_policy().goal_tree_size == 20

    def test_an_application_is_stopped(self, page: Client, alice: User) -> None:
        new_prompt(alice)
        version = drafted(page, goal_tree_size="20")
        press(page, version, "put_in_force")
        press(page, version, "apply")
        run = PolicyRun.objects.get(kind=PolicyRun.Kind.APPLY)
        shown = words(page.get(address(run)))
        assert "Stop" in shown and "Look at it or stop it" not in shown  # this is the page where one does
        assert "stopped, and what was changed stays" in press(page, run, "stop")
        assert runs.continue_run(run_id=run.pk).done == 0

    def test_a_sample_says_that_it_is_one(self, page: Client, alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(runs, "SAMPLE", 2)
        for _prompt in range(3):
            new_prompt(alice)
        draft = drafted(page, goal_tree_size="20")
        assert "A random sample: 2 of 3 running conversations. Expect about 1.5 times" in words(
            page.get(address(draft))
        )

    def test_large_numbers_are_grouped(self, page: Client, ida: User) -> None:
        version = changing.draft(lang="", changes={"goal_tree_size": 20}, actor=ida)
        run = runs.start_preview(version_id=version.pk, actor=ida)
        run.stage, run.to_do, run.running_trees, run.counts = "done", 1234, 5678, {"en": {"trees": 1234}}
        run.save()
        for row in (version, run):
            shown = words(page.get(address(row)))
            assert "1,234 of 1,234 conversations" in shown and "1,234 of 5,678 running conversations" in shown
        assert "It looks at 1,000 of them at most." in words(page.get(address(version)))
