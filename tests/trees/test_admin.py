"""The data set in the admin: access, contents, and that every action calls its service."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from oasst.accounts.models import User
from oasst.core.errors import Busy
from oasst.core.models import AuditEntry
from tests.factories import decide, growing_tree, new_people, new_person, new_prompt, new_reply, review, state_of
from trees.contributing import reactions, reviews
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import TABLE, State
from trees.models import Deletion, Message, MessageTree, Opening, Report, Skip, TreeTransition
from trees.moderation import moderator_actions

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
POLICY = TreePolicy(goal_tree_size=6)
LISTS = ("messagetree", "message", "report", "deletion", "treetransition")


@pytest.fixture
def browser(mo: User) -> Client:
    return signed_in(mo)


def signed_in(person: User) -> Client:
    client = Client()
    client.force_login(person)
    return client


def list_of(model: str) -> str:
    return reverse(f"admin:trees_{model}_changelist")


def page_of(row: Any) -> str:
    return reverse(f"admin:trees_{row._meta.model_name}_change", args=[row.pk])


def act(client: Client, action: str, *rows: Any, reason: str = "Because.", **more: str) -> str:
    """Select the rows in their list and run the action. Return the next page."""
    data = {"action": action, "reason": reason, "_selected_action": [str(row.pk) for row in rows], **more}
    response = client.post(list_of(rows[0]._meta.model_name), data, follow=True)
    assert response.status_code == 200
    return response.text


def statements(client: Client, url: str) -> list[str]:
    client.get(url)  # from here the session is cached
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in captured.captured_queries]


class TestDoor:
    def test_strangers_sign_in_and_come_back(self, client: Client) -> None:
        response = client.get(list_of("message") + "?q=bread")
        assert response.status_code == 302
        assert response["Location"] == "/accounts/login/?next=/admin/trees/message/%3Fq%3Dbread"

    @pytest.mark.parametrize("name", ["admin:index", "admin:trees_report_changelist", "admin:jsi18n", "admin:search"])
    def test_contributors_are_told_that_it_is_not_theirs(self, alice: User, name: str) -> None:
        response = signed_in(alice).get(reverse(name))
        assert response.status_code == 403
        assert "This is for moderators" in response.text

    def test_banned_moderators_are_told_why(self, mo: User) -> None:
        User.objects.filter(pk=mo.pk).update(enabled=False, ban_reason="Went too far.")
        response = signed_in(mo).get(reverse("admin:index"))
        assert response.status_code == 403
        assert "Went too far." in response.text

    @pytest.mark.parametrize("role", ["moderator", "admin"])
    def test_moderators_and_administrators_come_in(self, role: str) -> None:
        client = signed_in(new_person("Max", role))
        assert client.get(reverse("admin:index")).status_code == 200
        for model in LISTS:
            assert client.get(list_of(model)).status_code == 200

    def test_there_is_no_second_door(self, client: Client, browser: Client) -> None:
        assert client.get(reverse("admin:login"))["Location"] == "/accounts/login/?next=/admin/"
        assert browser.get(reverse("admin:password_change"))["Location"] == reverse("account_change_password")

    def test_its_scripts_may_run_and_only_ours(self, browser: Client, alice: User) -> None:
        policy = browser.get(reverse("admin:index"))["Content-Security-Policy"]
        assert "script-src 'self' 'unsafe-eval';" in policy and "default-src 'self'" in policy
        for page in (browser.get("/dashboard/"), signed_in(alice).get(reverse("admin:index"))):
            assert "unsafe" not in page["Content-Security-Policy"]

    def test_the_way_out(self, browser: Client) -> None:
        assert browser.post(reverse("admin:logout"))["Location"] == "/"
        assert browser.get(reverse("admin:index")).status_code == 302

    def test_the_menu_of_the_site_leads_here_for_moderators_only(self, mo: User, alice: User) -> None:
        assert 'href="/admin/"' in signed_in(mo).get("/dashboard/").text
        assert 'href="/admin/"' not in signed_in(alice).get("/dashboard/").text


class TestStartPage:
    def test_the_queues(self, browser: Client, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        reactions.report(message_id=prompt.pk, reporter=bob, category="spam")
        moderator_actions.halt(tree_id=new_prompt(bob).tree_id, actor=mo, reason="Odd.", policy=POLICY)
        page = browser.get(reverse("admin:index")).text
        assert "open report<" in page and "stopped conversation<" in page
        for state, row in TABLE.items():
            assert row.label in page
            assert f"{list_of('messagetree')}?state={state}" in page

    def test_it_costs_the_same_whatever_waits(self, browser: Client, alice: User) -> None:
        before = statements(browser, reverse("admin:index"))
        for person in new_people(10):
            reactions.report(message_id=new_prompt(alice).pk, reporter=person, category="spam")
        after = statements(browser, reverse("admin:index"))
        assert len(after) == len(before) <= 10


@pytest.fixture
def grown(alice: User, bob: User, mo: User) -> Message:
    """A tree with everything: replies, reviews, flags, reports, skips, an edit, a deletion, a halt."""
    prompt = growing_tree(alice, POLICY)
    reply = new_reply(prompt, new_person("Writer"), "Knead the dough for a long time.", policy=POLICY)
    decide(reply, policy=POLICY)
    below = new_reply(reply, new_person("Asker"), "How long is long?", policy=POLICY)
    reactions.set_reaction(message_id=reply.pk, user=bob, emoji="+1")
    reviews.record_skip(message=reply, author=bob, kind=Skip.Kind.REPLY)
    reactions.report(message_id=reply.pk, reporter=bob, category="copied", text="From a cookbook.")
    moderator_actions.edit_message(
        message_id=reply.pk, actor=mo, text="Knead the dough for ten minutes.", reason="Said how long.", policy=POLICY
    )
    moderator_actions.delete_message(message_id=below.pk, actor=mo, reason="Not a question.", policy=POLICY)
    moderator_actions.halt(tree_id=prompt.tree_id, actor=mo, reason="Let us look.", policy=POLICY)
    return reply


class TestPages:
    def test_a_tree_shows_all_that_happened(self, browser: Client, grown: Message) -> None:
        page = browser.get(page_of(grown.tree)).text
        for words in (
            *("How do I bake bread", "Knead the dough for ten minutes.", "How long is long?", "From a cookbook."),
            *("Not a question.", "Let us look.", "Stopped", "Growing", "accepted", "deleted", "edited", ">Mo</bdi>"),
        ):
            assert words in page, words
        assert page.index("How do I bake bread") < page.index("ten minutes") < page.index("How long is long?")

    def test_open_work_is_shown_with_who_holds_it(self, browser: Client, alice: User) -> None:
        prompt = new_prompt(alice)
        page = browser.get(page_of(prompt.tree)).text
        assert page.count("label_initial_prompt") == Opening.objects.count() == 2
        assert "nobody" in page

    def test_a_message_shows_what_was_said_of_it(self, browser: Client, grown: Message) -> None:
        page = browser.get(page_of(grown)).text
        for words in (
            *("for a long time", "for ten minutes", "Said how long.", "spam 0", "an earlier one", "+1", "red_flag"),
            *(
                f'{grown.tree_id}/change/">Open the conversation</a>',
                "skipped replying",
                "From a cookbook.",
                reverse("admin:trees_message_edit", args=[grown.pk]),
            ),
        ):
            assert words in page, words

    def test_a_deletion_a_report_and_a_step(self, browser: Client, grown: Message) -> None:
        for row in (Deletion.objects.get(), Report.objects.get(), TreeTransition.objects.all()[0]):
            page = browser.get(page_of(row)).text
            assert str(grown.tree_id) in page or "Knead the dough" in page

    def test_texts_are_shown_and_never_run(self, browser: Client, alice: User) -> None:
        prompt = new_prompt(alice, "<script>alert(1)</script> & <b>bold</b>")
        for url in (page_of(prompt), page_of(prompt.tree), list_of("message"), list_of("messagetree")):
            page = browser.get(url).text
            assert "<script>alert" not in page and "<b>bold" not in page
            assert "&lt;script&gt;alert" in page

    def test_nothing_is_written_by_looking(self, browser: Client, grown: Message) -> None:
        rows = [grown, grown.tree, Deletion.objects.get(), Report.objects.get()]
        for url in [list_of(model) for model in LISTS] + [page_of(row) for row in rows]:
            assert [
                sql for sql in statements(browser, url) if not sql.startswith(("SELECT", "\n            WITH"))
            ] == []


class TestReadOnly:
    @pytest.mark.parametrize("role", ["moderator", "admin"])
    def test_no_form_adds_changes_or_deletes(self, alice: User, role: str) -> None:
        client = signed_in(new_person("Max", role))
        prompt = new_prompt(alice)
        tree = prompt.tree
        for row, values in ((tree, {"state": "growing", "lang": "de"}), (prompt, {"text": "Mine", "deleted": "on"})):
            name = row._meta.model_name
            assert client.post(page_of(row), values).status_code == 403
            assert client.get(reverse(f"admin:trees_{name}_add")).status_code == 403
            delete = reverse(f"admin:trees_{name}_delete", args=[row.pk])
            assert client.post(delete, {"post": "yes"}).status_code == 403
            act(client, "delete_selected", row, post="yes")
            assert f'name="{"state" if row is tree else "deleted"}"' not in client.get(page_of(row)).text
        assert MessageTree.objects.get().state == State.INITIAL_PROMPT_REVIEW
        assert not Message.objects.get().deleted
        assert Message.objects.get().text == prompt.text

    def test_no_column_of_a_list_can_be_edited(self) -> None:
        assert all(not page.list_editable for page in admin.site._registry.values())

    def test_pages_that_libraries_bring_are_not_shown(self) -> None:
        """Secrets of linked accounts, actions that start jobs: these pages do not know our roles."""
        shown = {model._meta.label for model in admin.site._registry}
        assert shown == {
            *("trees.MessageTree", "trees.Message", "trees.TreeTransition", "trees.Deletion", "trees.Report"),
            *("trees.Proposal", "trees.Withdrawal", "trees.NearDuplicate", "trees.Snapshot", "trees.QualityModel"),
            *("trees.GoldMessage", "trees.HardPrompt", "trees.PracticeText", "trees.PolicyVersion", "trees.PolicyRun"),
            *("trees.Purge", "core.WaitingJob", "core.AuditEntry", "leaderboard.TrollStanding"),
            *(
                "accounts.User",
                "accounts.AccountWarning",
                "accounts.Appeal",
                "accounts.ApiClient",
                "accounts.ApiKey",
            ),
            *("trees.Webhook", "trees.Delivery", "trees.Opening"),
            "accounts.SiteSettings",
            *("inference.Turn", "inference.ChatReport", "inference.Preset", "inference.Vote"),
            *("inference.Evaluation", "inference.ServedModel", "inference.TrainingRun"),
            *("inference.Battle", "inference.BattleBoard"),
        }


class TestLists:
    def test_search_by_id_and_by_words(self, browser: Client, alice: User, bob: User) -> None:
        bread = new_prompt(alice, "How do I bake 100% rye bread?")
        stars = new_prompt(bob, "Which stars can I see tonight?")
        for model in ("messagetree", "message"):
            for words in ("RYE bread", '"100%"', "bread bak*", str(bread.pk)):
                page = browser.get(list_of(model), {"q": words}).text
                assert "100% rye" in page and "stars" not in page, words
            assert "rye bread?" not in browser.get(list_of(model), {"q": '"100_ rye"'}).text
            assert "rye bread?" in browser.get(list_of(model), {"q": " "}).text
        reply = new_reply(growing_tree(stars.author or alice), bob, "Look up.")
        assert "Look up." not in browser.get(list_of("messagetree"), {"q": str(reply.pk)}).text
        assert str(reply.tree_id) in browser.get(list_of("messagetree"), {"q": str(reply.pk)}).text

    @pytest.mark.parametrize(
        ("model", "query"),
        [
            ("messagetree", "state=initial_prompt_review&lang=en"),
            ("message", "review=open&lang=en&role__exact=prompter&deleted__exact=0&synthetic__exact=0"),
            ("report", "status__exact=open&category__exact=spam"),
            ("treetransition", "to_state__exact=initial_prompt_review"),
        ],
    )
    def test_filters(self, browser: Client, alice: User, bob: User, model: str, query: str) -> None:
        prompt = new_prompt(alice)
        reactions.report(message_id=prompt.pk, reporter=bob, category="spam")
        href = f"/admin/trees/{model}/"
        found = browser.get(f"{list_of(model)}?{query}")
        assert found.status_code == 200 and found.context["cl"].result_list.count() == 1
        assert href in found.text

    @pytest.mark.parametrize(
        ("model", "query"),
        [
            ("messagetree", "state=growing"),
            ("messagetree", "lang=de"),
            ("message", "review=accepted"),
            ("message", "review=rejected"),
            ("message", "deleted__exact=1"),
            ("report", "status__exact=upheld"),
        ],
    )
    def test_filters_that_find_nothing(self, browser: Client, alice: User, bob: User, model: str, query: str) -> None:
        prompt = new_prompt(alice)
        reactions.report(message_id=prompt.pk, reporter=bob, category="spam")
        assert len(browser.get(f"{list_of(model)}?{query}").context["cl"].result_list) == 0

    def test_an_unknown_filter_value_does_no_harm(self, browser: Client, alice: User) -> None:
        new_prompt(alice)
        for query in ("state=nowhere", "review=maybe", "lang=zz", "p=99"):
            assert browser.get(f"{list_of('message')}?{query}", follow=True).status_code == 200

    @pytest.mark.parametrize(
        ("model", "most"), [("messagetree", 3), ("message", 3), ("report", 2), ("deletion", 2), ("treetransition", 2)]
    )
    def test_ten_times_the_rows_cost_the_same(
        self, browser: Client, mo: User, model: str, most: int, people: Callable[..., User]
    ) -> None:
        def happens(times: int) -> None:
            for _ in range(times):
                prompt = new_prompt(people("Writer"))
                reactions.report(message_id=prompt.pk, reporter=people("Reader"), category="spam")
                moderator_actions.delete_message(message_id=prompt.pk, actor=mo, reason="Spam.", policy=POLICY)

        happens(1)
        before = statements(browser, list_of(model))
        happens(10)
        after = statements(browser, list_of(model))
        assert len(after) == len(before) <= most + 1  # and the viewer
        assert not [sql for sql in after if "COUNT(*)" in sql and "GROUP BY" not in sql]

    def test_the_page_of_a_tree_costs_the_same_with_more_messages(self, browser: Client, alice: User) -> None:
        policy = TreePolicy(max_children_count=12)
        prompt = growing_tree(alice, policy)
        new_reply(prompt, new_person("Writer"), policy=policy)
        reactions.report(message_id=prompt.pk, reporter=new_person("Reader"), category="spam")
        urls = page_of(prompt.tree), page_of(prompt)
        before = [len(statements(browser, url)) for url in urls]
        for person in new_people(10):
            new_reply(prompt, person, policy=policy)
            reactions.report(message_id=prompt.pk, reporter=person, category="spam")
        assert [len(statements(browser, url)) for url in urls] == before
        assert max(before) <= 14

    def test_the_oldest_open_report_comes_first(self, browser: Client, alice: User, bob: User) -> None:
        for text in ("First.", "Second."):
            reactions.report(message_id=new_prompt(alice).pk, reporter=bob, category="spam", text=text)
        page = browser.get(list_of("report"), {"status__exact": "open"}).text
        assert page.index("First.") < page.index("Second.")
        page = browser.get(list_of("report")).text
        assert page.index("Second.") < page.index("First.")


class TestActions:
    def test_halt_and_resume(self, browser: Client, alice: User, bob: User, mo: User) -> None:
        one, other = new_prompt(alice), new_prompt(bob)
        page = act(browser, "halt", one.tree, other.tree, reason="Looks odd.")
        assert state_of(one) == state_of(other) == State.HALTED_BY_MODERATOR
        assert page.count("2 stopped.") == 1
        step = TreeTransition.objects.filter(tree=one.tree).latest("id")
        assert (step.reason, step.actor) == ("Looks odd.", mo)
        act(browser, "resume", one.tree, reason="It is fine.")
        assert (state_of(one), state_of(other)) == (State.INITIAL_PROMPT_REVIEW, State.HALTED_BY_MODERATOR)

    def test_a_refusal_does_not_stop_the_others(self, browser: Client, alice: User, bob: User, mo: User) -> None:
        running, halted = new_prompt(alice), new_prompt(bob)
        moderator_actions.halt(tree_id=halted.tree_id, actor=mo, reason="Odd.", policy=POLICY)
        page = act(browser, "resume", running.tree, halted.tree)
        assert "This conversation is not stopped." in page
        assert "1 goes on, 1 refused. “" in page
        assert state_of(halted) == State.INITIAL_PROMPT_REVIEW

    def test_delete_and_undelete(self, browser: Client, alice: User, mo: User) -> None:
        prompt = growing_tree(alice)
        reply = new_reply(prompt, new_person("Writer"))
        act(browser, "delete", reply, reason="Copied.")
        deletion = Deletion.objects.get()
        assert (deletion.actor, deletion.reason, deletion.message_ids) == (mo, "Copied.", [reply.pk])
        assert "deleted already" in act(browser, "delete", reply)
        assert "brought back." in act(browser, "undelete", deletion, reason="Not copied after all.")
        deletion.refresh_from_db()
        assert deletion.undone_by == mo
        assert not Message.objects.filter(deleted=True).exists()
        assert "undone already" in act(browser, "undelete", deletion)

    @pytest.mark.parametrize(("action", "status"), [("uphold", "upheld"), ("dismiss", "dismissed")])
    def test_reports(self, browser: Client, alice: User, bob: User, mo: User, action: str, status: str) -> None:
        report = reactions.report(message_id=new_prompt(alice).pk, reporter=bob, category="spam")
        assert f"{status}." in act(browser, action, report, reason="We looked at it.")
        report.refresh_from_db()
        assert (report.status, report.outcome, report.handled_by) == (status, "We looked at it.", mo)
        assert "answered this report already" in act(browser, "dismiss", report)
        report.refresh_from_db()
        assert report.status == status

    def test_the_log_says_who_and_why(self, browser: Client, alice: User, mo: User) -> None:
        prompt = new_prompt(alice)
        act(browser, "halt", prompt.tree, reason="Looks odd.")
        entry = AuditEntry.objects.get()
        assert (entry.actor, entry.target_id, entry.act) == (mo, str(prompt.tree_id), "tree.halt")
        history = browser.get(reverse("admin:trees_messagetree_history", args=[prompt.tree_id])).text
        assert "stopped a conversation" in history and "Looks odd." in history
        assert "1 entry" in history

    def test_from_the_page_of_a_row_one_stays_there(self, browser: Client, alice: User) -> None:
        prompt = new_prompt(alice)
        assert 'value="halt"' in browser.get(page_of(prompt.tree)).text
        page = act(browser, "halt", prompt.tree, _from_details="1")
        assert "stopped." in page
        assert 'value="resume"' in page and 'value="halt"' not in page

    def test_the_enter_key_presses_a_button_that_does_nothing(self, browser: Client, alice: User) -> None:
        page = browser.get(page_of(new_prompt(alice))).text
        form = page[page.index('class="desk-acts"') :]
        first = form[form.index("<button") :].split(">")[0]
        assert first == '<button type="submit" disabled hidden'
        assert 'class="desk-button desk-button--danger" name="action" value="delete"' in form

    def test_upholding_a_report_says_that_it_only_records(self, browser: Client, alice: User, bob: User) -> None:
        prompt = new_prompt(alice)
        page = browser.get(page_of(reactions.report(message_id=prompt.pk, reporter=bob, category="spam"))).text
        assert "Uphold (record only)" in page
        assert f'<a class="text-link" href="{page_of(prompt)}">the page of the message</a>' in page

    @pytest.mark.parametrize("reason", ["", "   ", None])
    def test_without_a_reason_nothing_is_done(
        self, browser: Client, alice: User, bob: User, reason: str | None
    ) -> None:
        prompt = new_prompt(alice)
        report = reactions.report(message_id=prompt.pk, reporter=bob, category="spam")
        for action, row in (("halt", prompt.tree), ("delete", prompt), ("uphold", report)):
            data = {"action": action, "_selected_action": str(row.pk)} | ({} if reason is None else {"reason": reason})
            page = browser.post(list_of(row._meta.model_name), data, follow=True).text
            assert "Nothing was done. Please say why" in page
        assert_nothing_happened(prompt, report)

    @pytest.mark.parametrize("more", [{}, {"_from_details": "1"}])
    def test_a_reason_that_is_too_long_is_refused_and_kept_once(
        self, browser: Client, alice: User, more: dict[str, str]
    ) -> None:
        prompt, reason = new_prompt(alice), "x" * 501
        page = act(browser, "halt", prompt.tree, reason=reason, **more)
        assert "up to 500 characters. This is 501 characters; 1 too many" in page
        assert f'value="{reason}"' in page
        assert state_of(prompt) == State.INITIAL_PROMPT_REVIEW
        assert reason not in browser.get(page_of(prompt.tree) if more else list_of("messagetree")).text

    def test_contributors_and_strangers_do_nothing(self, client: Client, alice: User, bob: User, mo: User) -> None:
        prompt = new_prompt(alice)
        report = reactions.report(message_id=prompt.pk, reporter=bob, category="spam")
        for action, row in (("halt", prompt.tree), ("delete", prompt), ("uphold", report)):
            data = {"action": action, "_selected_action": str(row.pk), "reason": "Mine."}
            url = list_of(row._meta.model_name)
            assert signed_in(alice).post(url, data).status_code == 403
            assert client.post(url, data)["Location"].startswith("/accounts/login/?next=")
        edit = reverse("admin:trees_message_edit", args=[prompt.pk])
        assert signed_in(alice).post(edit, {"text": "Mine", "reason": "Mine."}).status_code == 403
        assert_nothing_happened(prompt, report)

    def test_nobody_acts_on_everything_at_once(self, browser: Client, alice: User, monkeypatch: Any) -> None:
        monkeypatch.setattr("oasst.core.read_only_admin.MAX_ROWS_PER_ACTION", 2)
        prompts = [new_prompt(alice) for _ in range(3)]
        page = act(browser, "halt", *(prompt.tree for prompt in prompts))
        assert "Choose at most 2 at once" in page
        page = act(browser, "halt", prompts[0].tree, select_across="1")
        assert "Choose at most 2 at once" in page
        assert not MessageTree.objects.filter(state=State.HALTED_BY_MODERATOR).exists()

    def test_a_row_that_is_locked_is_reported_and_the_next_is_done(
        self, browser: Client, alice: User, bob: User, monkeypatch: Any
    ) -> None:
        one, other = new_prompt(alice), new_prompt(bob)
        halt = moderator_actions.halt

        def rival(*, tree_id: Any, **kwargs: Any) -> None:
            if tree_id == one.tree_id:
                raise Busy("Somebody else is changing the same thing right now.", code="locked")
            halt(tree_id=tree_id, **kwargs)

        monkeypatch.setattr(moderator_actions, "halt", rival)
        page = act(browser, "halt", one.tree, other.tree)
        assert "Somebody else is changing" in page
        assert (state_of(one), state_of(other)) == (State.INITIAL_PROMPT_REVIEW, State.HALTED_BY_MODERATOR)


def assert_nothing_happened(prompt: Message, report: Report) -> None:
    assert state_of(prompt) == State.INITIAL_PROMPT_REVIEW
    assert not Deletion.objects.exists()
    assert not AuditEntry.objects.exists()
    report.refresh_from_db()
    assert report.status == Report.Status.OPEN
    assert Message.objects.get(pk=prompt.pk).text == prompt.text


class TestEditPage:
    @pytest.fixture
    def prompt(self, alice: User) -> Message:
        return new_prompt(alice, "What is teh sky?")

    @pytest.fixture
    def url(self, prompt: Message) -> str:
        return reverse("admin:trees_message_edit", args=[prompt.pk])

    def test_it_works(self, browser: Client, prompt: Message, url: str, bob: User, mo: User) -> None:
        review(prompt, bob)
        assert url in browser.get(page_of(prompt)).text
        assert "What is teh sky?" in browser.get(url).text
        response = browser.post(url, {"text": "What is the sky?", "reason": "Typo."}, follow=True)
        assert "The new text is stored" in response.text
        prompt.refresh_from_db()
        assert (prompt.text, prompt.edited) == ("What is the sky?", True)
        assert (prompt.revision.author, prompt.revision.reason) == (mo, "Typo.")
        entry = AuditEntry.objects.get()
        assert (entry.act, entry.text.reason) == ("message.edit", "Typo.")

    @pytest.mark.parametrize(
        ("text", "reason", "says"),
        [
            ("What is the sky?", "", "This field is required."),
            ("What is the sky?", "  ", "This field is required."),
            ("", "Typo.", "This field is required."),
            ("  ", "Typo.", "Nothing is written here yet."),
            ("What is teh sky?", "Typo.", "The text is the same as before."),
            ("x" * 2001, "Typo.", "This is 2,001 characters; 1 too many"),
        ],
    )
    def test_refusals_stand_at_the_field_and_change_nothing(
        self, browser: Client, prompt: Message, url: str, text: str, reason: str, says: str
    ) -> None:
        page = browser.post(url, {"text": text, "reason": reason})
        assert page.status_code == 422
        assert says in page.text
        prompt.refresh_from_db()
        assert (prompt.text, prompt.revisions.count()) == ("What is teh sky?", 1)

    def test_a_message_that_does_not_exist(self, browser: Client, url: str, prompt: Message) -> None:
        assert browser.get(url.replace(str(prompt.pk), "0" * 8 + str(prompt.pk)[8:])).status_code == 404
