"""Reading messages, and what clients may change of them."""

from typing import Any
from uuid import uuid4

import pytest

from oasst.accounts.models import User
from tests.factories import decide, growing_tree, new_person, new_prompt, new_reply
from tests.wire.conftest import Wire, code_of, person, problems
from trees.lifecycle.states import State
from trees.models import Deletion, Message, MessageTree, Reaction, Report, Revision, Skip

pytestmark = pytest.mark.django_db
ADA, BO = person("Ada"), person("Bo")


@pytest.fixture
def tree(alice: User, bob: User, carol: User) -> list[Message]:
    """A prompt; an accepted, a rejected and a new answer; and a follow-up to the accepted one."""
    prompt = growing_tree(alice)
    accepted, rejected, new = (new_reply(prompt, who) for who in (bob, carol, new_person("Dora")))
    decide(accepted)
    decide(rejected, accept=False)
    follow_up = new_reply(Message.objects.get(pk=accepted.pk), carol)
    return [prompt, accepted, rejected, new, follow_up]


def ids(messages: Any) -> list[str]:
    return [message["id"] for message in messages]


def keys(*messages: Message) -> list[str]:
    return [str(message.pk) for message in messages]


class TestOne:
    def test_every_member(self, site: Wire, tree: list[Message], bob: User) -> None:
        prompt, accepted, *_ = tree
        found = site.get(f"messages/{accepted.pk}").json()
        assert found == {
            "id": str(accepted.pk),
            "user_id": str(bob.pk),
            "frontend_message_id": str(accepted.pk),
            "text": accepted.text,
            "lang": "en",
            "is_assistant": True,
            "emojis": {},
            "user_emojis": [],
            "user_is_author": None,
            "synthetic": False,
            "parent_id": str(prompt.pk),
            "created_date": found["created_date"],
            "review_result": True,
            "review_count": found["review_count"],
            "deleted": False,
            "edited": False,
            "model_name": None,
            "message_tree_id": str(prompt.pk),
            "ranking_count": 0,
            "rank": None,
            "user": None,
        }

    def test_under_review_rejected_and_deleted(self, site: Wire, tree: list[Message]) -> None:
        _, _, rejected, new, _ = tree
        assert site.get(f"messages/{rejected.pk}").json()["review_result"] is False
        assert site.get(f"messages/{new.pk}").json()["review_result"] is None
        site.delete(f"messages/{new.pk}")
        assert site.get(f"messages/{new.pk}").json()["deleted"] is True

    @pytest.mark.parametrize(
        "path", ["", "/conversation", "/tree", "/tree/state", "/descendants", "/longest_conversation_in_tree"]
    )
    def test_unknown(self, site: Wire, path: str) -> None:
        assert code_of(site.get(f"messages/{uuid4()}{path}")) == (404, 2001)
        assert problems(site.get(f"messages/x{path}")) == {("path", "message_id", "type_error.uuid")}


class TestAround:
    def test_conversation(self, bot: Wire, tree: list[Message]) -> None:
        prompt, accepted, _, _, follow_up = tree
        found = bot.get(f"messages/{follow_up.pk}/conversation").json()["messages"]
        assert ids(found) == keys(prompt, accepted, follow_up)
        assert [message["is_assistant"] for message in found] == [False, True, False]

    def test_a_broken_one(self, bot: Wire, site: Wire, tree: list[Message]) -> None:
        _, accepted, _, _, follow_up = tree
        Message.objects.filter(pk=accepted.pk).update(review_result=False)
        assert code_of(bot.get(f"messages/{follow_up.pk}/conversation")) == (500, 2009)
        assert bot.get(f"messages/{accepted.pk}/conversation").status_code == 200

    def test_tree(self, bot: Wire, site: Wire, tree: list[Message]) -> None:
        prompt, accepted, rejected, new, follow_up = tree
        path = f"messages/{follow_up.pk}/tree"
        whole = bot.get(path).json()
        assert whole["id"] == str(prompt.pk)
        assert ids(whole["messages"]) == keys(prompt, accepted, rejected, new, follow_up)
        assert ids(bot.get(path, include_spam=False).json()["messages"]) == keys(prompt, accepted)
        site.delete(f"messages/{accepted.pk}")
        assert ids(bot.get(path).json()["messages"]) == keys(prompt, rejected, new)
        assert len(bot.get(path, include_deleted=True).json()["messages"]) == 5

    def test_no_orphans(self, bot: Wire, tree: list[Message]) -> None:
        _, accepted, *_, follow_up = tree
        Message.objects.filter(pk=accepted.pk).update(deleted=True)  # as an imported file may have it
        assert str(follow_up.pk) not in ids(bot.get(f"messages/{follow_up.pk}/tree").json()["messages"])

    def test_children(self, bot: Wire, site: Wire, tree: list[Message]) -> None:
        prompt, accepted, rejected, new, _ = tree
        path = f"messages/{prompt.pk}/children"
        assert ids(bot.get(path).json()) == keys(accepted, rejected, new)
        site.delete(f"messages/{rejected.pk}")
        assert ids(bot.get(path).json()) == keys(accepted, new)
        assert bot.get(f"messages/{uuid4()}/children").json() == []

    def test_descendants(self, bot: Wire, site: Wire, tree: list[Message]) -> None:
        prompt, accepted, rejected, new, follow_up = tree
        site.delete(f"messages/{rejected.pk}")
        found = bot.get(f"messages/{prompt.pk}/descendants").json()
        assert found["id"] == str(prompt.pk)
        assert ids(found["messages"]) == keys(accepted, follow_up, rejected, new)
        leaf = bot.get(f"messages/{follow_up.pk}/descendants").json()
        assert leaf == {"id": str(follow_up.pk), "messages": []}

    def test_longest_and_widest(self, bot: Wire, tree: list[Message], alice: User) -> None:
        prompt, accepted, *_, follow_up = tree
        found = bot.get(f"messages/{follow_up.pk}/longest_conversation_in_tree").json()["messages"]
        assert ids(found) == keys(prompt, accepted)
        found = bot.get(f"messages/{follow_up.pk}/max_children_in_tree").json()
        assert found["id"] == str(prompt.pk) and ids(found["messages"]) == keys(prompt, accepted)
        fresh = new_prompt(alice)
        for path in ("longest_conversation_in_tree", "max_children_in_tree"):
            assert code_of(bot.get(f"messages/{fresh.pk}/{path}")) == (404, 2001)

    def test_tree_state(self, bot: Wire, tree: list[Message]) -> None:
        prompt = tree[0]
        assert bot.get(f"messages/{tree[4].pk}/tree/state").json() == {
            "message_tree_id": str(prompt.pk),
            "state": "growing",
            "goal_tree_size": 12,
            "max_depth": 3,
            "max_children_count": 3,
            "active": True,
            "origin": None,
        }

    def test_by_own_ids(self, bot: Wire, other: Wire) -> None:
        prompt = bot.write(ADA, "How do plants drink?", "m 1")
        for path in ("", "/tree", "/children", "/descendants", "/conversation"):
            assert bot.get(f"frontend_messages/m 1{path}").status_code == 200
            assert code_of(other.get(f"frontend_messages/m 1{path}")) == (404, 2001)
        assert bot.get("frontend_messages/m 1", user="local:nobody").json()["id"] == str(prompt.pk)
        assert code_of(bot.get("frontend_messages/m 1/max_children_in_tree")) == (404, 2001)


class TestLists:
    def test_newest_first(self, site: Wire, tree: list[Message]) -> None:
        assert ids(site.get("messages/").json()) == keys(*tree[::-1])
        assert ids(site.get("messages/", desc=False, max_count=2).json()) == keys(*tree[:2])
        assert ids(site.get("messages/", only_roots=True).json()) == keys(tree[0])
        assert site.get("messages/", lang="de").json() == []
        site.delete(f"messages/{tree[4].pk}")
        assert len(site.get("messages/").json()) == 4
        assert len(site.get("messages/", allow_deleted=True).json()) == 5

    def test_by_author(self, site: Wire) -> None:
        mine = site.write(ADA, "How do plants drink?", "m1")
        site.write(BO, "How do plants eat?", "m2")
        pair = {"auth_method": "local", "username": "ada"}
        assert ids(site.get("messages/", **pair).json()) == keys(mine)
        assert site.get("messages/", **{**pair, "username": "nobody"}).json() == []
        for path in ("messages/", "messages/cursor"):
            assert code_of(site.get(path, username="ada")) == (400, 2012)
            assert code_of(site.get(path, auth_method="local")) == (400, 2012)
        page = site.get("messages/cursor", max_count=10, desc=True, after="", **pair).json()
        assert ids(page["items"]) == keys(mine) and page["next"] is None

    def test_with_users(self, site: Wire, alice: User) -> None:
        prompt = site.write(ADA, "How do plants drink?", "m1")
        here = new_prompt(alice)
        nobodys = new_prompt(alice)
        Message.objects.filter(pk=nobodys.pk).update(author=None)
        items = site.get("messages/cursor", include_user=True).json()["items"]
        assert ids(items) == keys(prompt, here)
        assert (items[0]["user"]["id"], items[0]["user"]["display_name"]) == ("ada", "Ada")
        assert (items[1]["user"]["id"], items[1]["user"]["auth_method"]) == (str(alice.pk), "local")
        assert len(site.get("messages/cursor").json()["items"]) == 3
        one = site.get("messages/cursor", user_id=alice.pk).json()["items"]
        assert ids(one) == keys(here) and one[0]["user"] is None

    @pytest.mark.parametrize(
        ("words", "lang", "found"),
        [
            ("baking bread", "en", 1),  # another form of the word
            ("bread", "en", 2),
            ("bread (", "en", 2),
            ("it's \"bread' & !", "en", 2),
            ("bread cake", "en", 0),
            ("the", "en", 0),
            ("bread", "de", 0),
            ("bREAd number", "", 2),
            ("100%", "", 0),
        ],
    )
    def test_search(self, site: Wire, alice: User, words: str, lang: str, found: int) -> None:
        new_prompt(alice, "How do I bake bread number one?")
        new_prompt(alice, "Is bread number two good?")
        query = {"search_query": words} | ({"lang": lang} if lang else {})
        assert len(site.get("messages/cursor", **query).json()["items"]) == found


class TestEmojis:
    def react(self, wire: Wire, message: Message, emoji: str, who: dict[str, str] = ADA, **more: Any) -> Any:
        return wire.post(f"messages/{message.pk}/emoji", {"user": who, "emoji": emoji, **more})

    def test_toggle_add_remove(self, bot: Wire, alice: User) -> None:
        prompt = new_prompt(alice)
        found = self.react(bot, prompt, "+1").json()
        assert (found["emojis"], found["user_emojis"], found["user_is_author"]) == ({"+1": 1}, ["+1"], False)
        assert self.react(bot, prompt, "+1", op="add").json()["emojis"] == {"+1": 1}
        assert self.react(bot, prompt, "-1", op="add").json()["emojis"] == {"-1": 1}
        assert self.react(bot, prompt, "heart_eyes", BO).json()["user_emojis"] == ["heart_eyes"]
        assert self.react(bot, prompt, "-1").json()["emojis"] == {"heart_eyes": 1}
        assert self.react(bot, prompt, "-1", op="remove").json()["user_emojis"] == []
        assert bot.get(f"messages/{prompt.pk}", user="local:bo").json()["user_emojis"] == ["heart_eyes"]

    def test_thumbs_on_own_messages(self, bot: Wire) -> None:
        prompt = bot.write(ADA, "How do plants drink?", "m1")
        assert self.react(bot, prompt, "+1").json()["emojis"] == {}
        assert self.react(bot, prompt, "rofl").json()["emojis"] == {"rofl": 1}

    def test_a_red_flag_tells_the_moderators(self, bot: Wire, site: Wire, alice: User) -> None:
        prompt = new_prompt(alice)
        assert self.react(bot, prompt, "red_flag", op="add").json()["emojis"] == {"red_flag": 1}
        assert self.react(bot, prompt, "red_flag", op="add").json()["emojis"] == {"red_flag": 1}
        assert Report.objects.count() == 1
        assert site.get("admin/flagged_messages", max_count=5).json()[0]["message_id"] == str(prompt.pk)
        assert self.react(bot, prompt, "red_flag").json()["emojis"] == {}

    def test_skip_codes(self, bot: Wire, alice: User) -> None:
        prompt = new_prompt(alice)
        for op in ("add", "toggle", "remove"):
            assert self.react(bot, prompt, "_skip_labeling", op=op).status_code == 202
        assert Skip.objects.get().kind == Skip.Kind.REVIEW
        assert code_of(bot.ask(ADA, "label_initial_prompt")) == (503, 1006)

    def test_refusals(self, bot: Wire, alice: User) -> None:
        prompt = new_prompt(alice)
        assert problems(self.react(bot, prompt, "smile")) == {("body", "emoji", "type_error.enum")}
        assert problems(self.react(bot, prompt, "+1", op="flip")) == {("body", "op", "type_error.enum")}
        assert code_of(self.react(bot, prompt, "+1", {**ADA, "id": ""})) == (400, 2012)
        for emoji in ("+1", "red_flag", "_skip_reply"):
            response = bot.post(f"messages/{uuid4()}/emoji", {"user": ADA, "emoji": emoji})
            assert code_of(response) == (404, 2001)
        User.objects.filter(display_name="Ada").update(enabled=False)
        for emoji in ("+1", "red_flag", "_skip_reply"):
            assert code_of(self.react(bot, prompt, emoji)) == (503, 4001)
        assert not Reaction.objects.exists() and not Skip.objects.exists()


class TestDeleting:
    def test_with_everything_below(self, site: Wire, tree: list[Message]) -> None:
        _, accepted, *_, follow_up = tree
        site.post("frontend_users/", ADA)
        for _ in range(2):
            assert site.delete(f"messages/{accepted.pk}", user="local:ada").status_code == 204
        assert set(Message.objects.filter(deleted=True)) == {accepted, follow_up}
        deletion = Deletion.objects.get()
        assert deletion.actor is not None and deletion.actor.display_name == "Ada"
        assert "site" in deletion.reason
        assert site.delete(f"messages/{uuid4()}").status_code == 204

    def test_bringing_back(self, site: Wire, bot: Wire, tree: list[Message]) -> None:
        prompt, accepted, rejected, new, follow_up = tree
        site.delete(f"messages/{prompt.pk}")
        assert site.get(f"messages/{prompt.pk}/tree/state").json()["state"] == "halted_by_moderator"
        assert code_of(bot.put(f"messages/{follow_up.pk}/undelete")) == (403, 2)
        assert Message.objects.filter(deleted=True).count() == 5
        assert site.put(f"messages/{follow_up.pk}/undelete").status_code == 202
        assert set(Message.objects.filter(deleted=False)) == {prompt, accepted, follow_up}
        assert site.get(f"messages/{prompt.pk}/tree/state").json()["state"] == "growing"
        assert Deletion.objects.get().undone_at is None
        for message in (rejected, new):
            site.put(f"messages/{message.pk}/undelete")
        assert Deletion.objects.get().undone_at is not None
        assert code_of(site.put(f"messages/{uuid4()}/undelete")) == (404, 2001)


class TestTrees:
    def test_halt_and_resume(self, site: Wire, bot: Wire, tree: list[Message]) -> None:
        path = f"messages/{tree[1].pk}/tree/state"
        state = site.put(path, halt=True).json()
        assert (state["state"], state["active"]) == ("halted_by_moderator", False)
        assert site.put(path, halt=True).json() == state
        state = site.put(path, halt=False).json()
        assert (state["state"], state["active"]) == ("growing", True)
        assert site.put(path, halt=False).json() == state
        assert problems(site.put(path)) == {("query", "halt", "value_error.missing")}
        assert code_of(bot.put(path, halt=True)) == (403, 2)
        assert code_of(site.put(f"messages/{uuid4()}/tree/state", halt=True)) == (404, 2001)
        site.delete(f"messages/{tree[0].pk}")
        assert code_of(site.put(path, halt=False)) == (400, 2010)
        assert MessageTree.objects.get().state == State.HALTED_BY_MODERATOR


class TestEditing:
    def edit(self, wire: Wire, message: Any, text: str, who: dict[str, str] = BO) -> Any:
        return wire.post(f"messages/{message}/edit", {"user": who, "new_content": text, "message_id": "x"})

    def test_a_new_text_and_its_history(self, site: Wire) -> None:
        prompt = site.write(ADA, "How do plants drink?", "m1")
        history = f"messages/{prompt.pk}/history"
        assert site.get(history).json() == []
        assert self.edit(site, prompt.pk, "How do trees drink?").json() is None
        assert self.edit(site, prompt.pk, "How do trees drink?").json() is None
        found = site.get(f"messages/{prompt.pk}").json()
        assert (found["text"], found["edited"]) == ("How do trees drink?", True)
        revisions = site.get(history, user="local:ada").json()
        assert [one["text"] for one in revisions] == ["How do plants drink?", "How do trees drink?"]
        assert [one["user_is_author"] for one in revisions] == [True, False]
        assert [one["user_is_author"] for one in site.get(history).json()] == [False, False]
        assert site.get(f"messages/{uuid4()}/history").json() == []

    def test_refusals(self, site: Wire, bot: Wire, alice: User) -> None:
        prompt = new_prompt(alice)
        assert code_of(self.edit(bot, prompt.pk, "x")) == (403, 2)
        assert code_of(self.edit(site, uuid4(), "x")) == (404, 2001)
        assert code_of(self.edit(site, prompt.pk, "")) == (400, 1010)
        assert code_of(self.edit(site, prompt.pk, "x" * 65_537)) == (400, 1008)
        assert code_of(self.edit(site, prompt.pk, "x", {**BO, "id": ""})) == (400, 2012)
        assert Revision.objects.count() == 1
        assert code_of(bot.get(f"messages/{prompt.pk}/history")) == (403, 2)

    def test_longer_than_people_may_write(self, site: Wire, alice: User) -> None:
        prompt = new_prompt(alice)
        assert self.edit(site, prompt.pk, "x" * 10_000).status_code == 200


class TestLabelSets:
    def test_of_a_message(self, bot: Wire, tree: list[Message]) -> None:
        prompt, accepted, *_ = tree

        def names(**query: Any) -> list[str]:
            return [label["name"] for label in bot.get("text_labels/valid_labels", **query).json()["valid_labels"]]

        assert names(message_id=prompt.pk)[:3] == ["spam", "lang_mismatch", "quality"]
        assert names(message_id=accepted.pk)[:5] == ["spam", "lang_mismatch", "fails_task", "quality", "helpfulness"]
        every = names()
        assert len(every) == 14 and "fails_task" not in every and every[0] == "spam" and every[-1] == "violence"
        assert code_of(bot.get("text_labels/valid_labels", message_id=uuid4())) == (404, 2001)

    def test_of_a_report_without_a_key(self, client: Any) -> None:
        labels = client.get("/api/v1/text_labels/report_labels").json()["valid_labels"]
        assert [label["name"] for label in labels] == [
            *("spam", "not_appropriate", "pii", "hate_speech", "sexual_content", "moral_judgement"),
            *("political_content", "toxicity", "violence", "quality"),
        ]
