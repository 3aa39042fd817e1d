"""Operations for operators: statistics, flags, settings, purging, merging, and others."""

import base64
import json
import os
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.cache import cache
from django.test import Client

from oasst.accounts.models import Identity, User
from oasst.api.next_auth import derive_key
from oasst.site.invariants.run import find_differences
from tests.factories import growing_tree, new_prompt, new_reply, review
from tests.fake_classifier import FakeClassifier
from tests.wire.conftest import Wire, code_of, person, problems
from trees.api import stats
from trees.models import Message, Reaction, Report, Review
from trees.policies.reading import current_policy

pytestmark = pytest.mark.django_db
ADA, BO = person("Ada"), person("Bo")


class TestStatistics:
    def test_all_of_them(self, site: Wire, bot: Wire, alice: User, bob: User) -> None:
        prompt = growing_tree(alice)
        reply = new_reply(prompt, bob)
        new_prompt(alice, lang="de")
        site.delete(f"messages/{reply.pk}")
        assert site.get("stats/").json() == {
            "all": 3,
            "active": 2,
            "active_by_lang": {"de": 1, "en": 1},
            "deleted": 1,
            "message_trees": 2,
        }
        counts = {"growing": 1, "initial_prompt_review": 1}
        assert site.get("stats/tree_manager/state_counts").json() == counts
        both = site.get("stats/tree_manager").json()
        assert both["state_counts"] == counts
        row = next(row for row in both["message_counts"] if row["message_tree_id"] == str(prompt.pk))
        assert (row["state"], row["depth"], row["count"], row["goal_tree_size"]) == ("growing", 0, 1, 12)
        site.put(f"messages/{prompt.pk}/tree/state", halt=True)
        assert len(site.get("stats/tree_manager/message_counts").json()) == 1
        assert len(site.get("stats/tree_manager/message_counts", only_active=False).json()) == 2
        for path in ("stats/", "stats/tree_manager", "stats/tree_manager/state_counts"):
            assert code_of(bot.get(path)) == (403, 2)

    def test_a_large_site_is_counted_once_in_five_seconds(
        self, site: Wire, alice: User, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        new_prompt(alice)
        assert site.get("stats/").json()["all"] == 1
        monkeypatch.setattr(stats, "MIN_CACHED_ROWS", 2)
        new_prompt(alice)
        assert site.get("stats/").json()["all"] == 2
        new_prompt(alice)
        assert site.get("stats/").json()["all"] == 2, "counted a moment ago"
        cache.clear()
        assert site.get("stats/").json()["all"] == 3


class TestFlags:
    def report(self, bot: Wire, message: Message, who: dict[str, str]) -> None:
        body = {"user": who, "message_id": str(message.pk), "text": "Rude.", "labels": [], "is_report": True}
        assert bot.post("text_labels/", body).status_code == 204

    def test_lists_and_pages(self, site: Wire, bot: Wire, alice: User) -> None:
        prompts = [new_prompt(alice) for _ in range(3)]
        for prompt in prompts:
            self.report(bot, prompt, ADA)
        self.report(Wire("another bot", trusted=False), prompts[0], BO)
        newest = [str(prompts[0].pk), str(prompts[2].pk), str(prompts[1].pk)]
        listed = site.get("admin/flagged_messages", max_count=10).json()
        assert [one["message_id"] for one in listed] == newest
        assert site.get("admin/flagged_messages", max_count=0).json() == []
        assert ("query", "max_count", "value_error.missing") in problems(site.get("admin/flagged_messages"))
        page = site.get("admin/flagged_messages/cursor", max_count=2, desc=True).json()
        assert [one["message_id"] for one in page["items"]] == newest[:2]
        rest = site.get("admin/flagged_messages/cursor", max_count=2, desc=True, after=page["next"]).json()
        assert [one["message_id"] for one in rest["items"]] == newest[2:]
        assert code_of(site.get("admin/flagged_messages/cursor", after="x")) == (400, 101)
        assert code_of(bot.get("admin/flagged_messages/cursor")) == (403, 2)

    def test_processed(self, site: Wire, bot: Wire, alice: User) -> None:
        prompt = new_prompt(alice)
        self.report(bot, prompt, ADA)
        path = f"admin/flagged_messages/{prompt.pk}/processed"
        assert code_of(bot.post(path)) == (403, 2)
        assert site.post(path).json()["processed"] is True
        assert Report.objects.get().status == Report.Status.DISMISSED
        self.report(bot, prompt, BO)  # of the same API client: the report that was handled
        assert Report.objects.count() == 1
        self.report(Wire("another bot", trusted=False), prompt, BO)
        assert site.get("admin/flagged_messages", max_count=1).json()[0]["processed"] is False
        site.delete(f"messages/{prompt.pk}")
        site.post(path)
        assert Report.objects.get(reporter__display_name="Bo").status == Report.Status.UPHELD
        assert code_of(site.post(f"admin/flagged_messages/{uuid4()}/processed")) == (404, 2001)


class TestSettings:
    def test_public(self, bot: Wire) -> None:
        found = bot.get("admin/backend_settings/public").json()
        assert len(found) == 12 and found["MESSAGE_SIZE_LIMIT"] == 2000 and found["API_V1_STR"] == "/api/v1"

    def test_secrets_are_masked(self, site: Wire, bot: Wire, settings: Any) -> None:
        settings.ROOT_TOKENS = ["very-secret"]
        settings.OFFICIAL_WEB_API_KEY = settings.HUGGING_FACE_API_KEY = "also-secret"
        response = site.get("admin/backend_settings/full")
        text = response.content.decode()
        assert response.json()["tree_manager"]["goal_tree_size"] == 12
        assert "secret" not in text and settings.SECRET_KEY not in text
        assert code_of(bot.get("admin/backend_settings/full")) == (403, 2)


class TestPurging:
    def test_preview_then_deed(self, site: Wire, bot: Wire, alice: User, bob: User) -> None:
        mine = bot.write(ADA, "How do plants drink?", "m1")
        others = growing_tree(alice)
        bot.write(ADA, "By their roots.", "m2", "assistant_reply")
        ada = mine.author_id
        seen = site.post(f"admin/purge_user/{ada}").json()
        assert (seen["preview"], seen["before"]["active"], seen["after"]["active"]) == (True, 3, 1)
        assert not Message.objects.filter(deleted=True).exists()
        assert User.objects.get(pk=ada).enabled
        done = site.post(f"admin/purge_user/{ada}", preview=False).json()
        assert (done["after"], done["preview"]) == (seen["after"], False)
        assert Message.objects.get(deleted=False).pk == others.pk
        user = bot.get("frontend_users/local/ada").json()
        assert (user["enabled"], user["deleted"]) == (False, True)
        assert code_of(bot.ask(ADA, "initial_prompt")) == (503, 4001)
        assert code_of(site.post(f"admin/purge_user/{uuid4()}")) == (404, 4002)
        assert code_of(bot.post(f"admin/purge_user/{ada}")) == (403, 2)

    def test_messages_between_dates(self, site: Wire, bot: Wire, alice: User) -> None:
        mine = bot.write(ADA, "How do plants drink?", "m1")
        growing_tree(alice)
        bot.write(ADA, "By their roots.", "m2", "assistant_reply")
        path = f"admin/purge_user/{mine.author_id}/messages"
        late = site.post(path, min_date="2100-01-01T00:00:00", preview=False).json()
        assert late["before"] == late["after"]
        assert site.post(path, preview=False).json()["after"]["deleted"] == 1
        assert site.post(path, preview=False, purge_initial_prompts=True).json()["after"]["deleted"] == 2
        assert bot.get("frontend_users/local/ada").json()["enabled"] is True


class TestMerging:
    def test_several_become_one(self, site: Wire, bot: Wire, alice: User) -> None:
        prompt = bot.write(ADA, "How do plants drink?", "m1")
        bot.post("frontend_users/", BO)
        ada, bo = (bot.get(f"frontend_users/local/{name}").json()["user_id"] for name in ("ada", "bo"))
        other = new_prompt(alice)
        for who in (ADA, BO):
            bot.post(f"messages/{other.pk}/emoji", {"user": who, "emoji": "rofl"})
            review(other, User.objects.get(display_name=who["display_name"]))
        body = {"destination_user_id": bo, "source_user_ids": [ada, bo, str(uuid4())]}
        assert code_of(bot.post("admin/merge_users", body)) == (403, 2)
        assert site.post("admin/merge_users", body).status_code == 204
        prompt.refresh_from_db()
        assert str(prompt.author_id) == bo
        assert set(Identity.objects.filter(user=bo).values_list("username", flat=True)) == {"ada", "bo"}
        assert bot.get("frontend_users/local/ada").json()["user_id"] == bo
        assert site.get(f"users/{ada}").json()["deleted"] is True
        # What a user may do only once stays counted where it was.
        assert Reaction.objects.count() == 2 and Review.objects.count() == 2

    def test_refusals(self, site: Wire, mo: User, alice: User) -> None:
        body = {"destination_user_id": str(uuid4()), "source_user_ids": [str(alice.pk)]}
        assert code_of(site.post("admin/merge_users", body)) == (404, 4002)
        assert site.post("admin/merge_users", {**body, "source_user_ids": []}).status_code == 204
        body = {"destination_user_id": str(alice.pk), "source_user_ids": [str(mo.pk)]}
        assert code_of(site.post("admin/merge_users", body)) == (403, 2)
        alice.refresh_from_db()
        assert alice.deleted_at is None


class TestOthers:
    def cookie(self, secret: str, **claims: Any) -> str:
        def encoded(data: bytes) -> str:
            return base64.urlsafe_b64encode(data).decode().rstrip("=")

        head, nonce = encoded(b'{"alg":"dir","enc":"A256GCM"}'), os.urandom(12)
        sealed = AESGCM(derive_key(secret)).encrypt(nonce, json.dumps(claims).encode(), head.encode())
        return ".".join((head, "", encoded(nonce), encoded(sealed[:-16]), encoded(sealed[-16:])))

    def check(self, client: Client, cookie: str) -> Any:
        client.cookies["next-auth.session-token"] = cookie
        return client.get("/api/v1/auth/check")

    def test_cookies_of_another_site(self, client: Client, settings: Any) -> None:
        settings.AUTH_SECRET = "shared"
        assert self.check(client, self.cookie("shared", email="a@example.org")).json() == "a@example.org"
        assert self.check(client, self.cookie("shared")).json() is None
        for bad in ("", "x", "a.b.c.d.e", self.cookie("other", email="a"), self.cookie("shared", email="a", exp=1)):
            response = self.check(client, bad)
            assert (response.status_code, response.json()) == (403, {"detail": "Not authenticated"})
        settings.AUTH_SECRET = ""
        assert self.check(client, self.cookie("", email="a@example.org")).status_code == 403

    def test_toxicity(self, site: Wire, bot: Wire, settings: Any) -> None:
        assert code_of(bot.get("hf/text_toxicity", msg="x")) == (403, 2)
        assert code_of(site.get("hf/text_toxicity", msg="x")) == (400, 3001)
        assert problems(site.get("hf/text_toxicity")) == {("query", "msg", "value_error.missing")}
        settings.TOXICITY_URL = "http://127.0.0.1:9/"  # nothing listens there
        assert code_of(site.get("hf/text_toxicity", msg="x")) == (400, 3001)
        server = FakeClassifier()
        settings.TOXICITY_URL = server.url
        server.answer = lambda body: b'[[{"label":"toxic","score":0.5}]]'
        assert site.get("hf/text_toxicity", msg="x").json() == [[{"label": "toxic", "score": 0.5}]]
        for odd in (b"{}", b"null", b'[{"label":"toxic"}]', b'[[{"label":"toxic"}]]'):
            server.answer = lambda body, odd=odd: odd  # type: ignore[misc]
            assert code_of(site.get("hf/text_toxicity", msg="x")) == (400, 3001)
        server.close()


def test_facts_agree_after_a_life_on_the_wire(site: Wire, bot: Wire) -> None:
    prompt = bot.write(ADA, "How do plants drink?", "m1")
    for name in ("P1", "P2", "P3"):
        response = bot.ask(person(name), "label_initial_prompt")
        if response.status_code == 200:
            task, who = response.json(), person(name)
            bot.ack(task, name)
            body = {"message_id": task["message_id"], "task_id": task["id"], "text": "", "labels": {"spam": 0}}
            assert bot.interact(who, "text_labels", **body).status_code == 200
    task = bot.take(BO, "assistant_reply", "all", collective=True)
    for name in ("P1", "P2"):
        body = {"message_id": "all", "user_message_id": f"m-{name}", "text": f"By {name}."}
        assert bot.interact(person(name), "text_reply_to_message", **body).status_code == 200
    assert bot.post("tasks/close", {"message_id": "all"}).status_code == 200
    assert bot.interact(ADA, "text_labels", message_id=str(prompt.pk), text="", labels={"humor": 1}).status_code == 200
    site.delete(f"messages/{prompt.pk}")
    site.put(f"messages/{prompt.pk}/undelete")
    site.post(f"messages/{prompt.pk}/edit", {"user": BO, "new_content": "How do trees drink?"})
    site.put(f"messages/{prompt.pk}/tree/state", halt=True)
    site.put(f"messages/{prompt.pk}/tree/state", halt=False)
    bot.post(f"messages/{prompt.pk}/emoji", {"user": BO, "emoji": "red_flag"})
    user_id = bot.get("frontend_users/local/p1").json()["user_id"]
    site.post(f"admin/purge_user/{user_id}", preview=False)
    assert list(find_differences(current_policy())) == []
