"""The form of a ranking."""

from typing import Any

import pytest
from django.test import Client

from leaderboard.queries import own_counts
from leaderboard.time_frames import Frame
from tasks.forms import RankingForm
from tasks.models import Task
from tests.crowd import start_tree, work_until
from tests.factories import new_person
from tests.leaderboard.test_tallies import read_all
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import State
from trees.models import Message


@pytest.mark.parametrize(("synthetic", "told"), [((True, True), True), ((True, False), False), ((False, False), False)])
def test_a_mixed_list_does_not_tell_who_is_a_model(synthetic: tuple[bool, ...], told: bool) -> None:
    replies = [Message(text="A reply.", synthetic=one) for one in synthetic]
    assert {item.synthetic_badge for item in RankingForm(replies=replies).items} == {told}


@pytest.mark.django_db
def test_follow_ups_are_ordered_where_the_policy_wants_it(client: Client, settings: Any) -> None:
    """From the page to the ranks in the data set; without the switch nobody is asked."""
    settings.TREE_POLICY = {
        "goal_tree_size": 6,
        "max_tree_depth": 2,
        "max_children_count": 1,
        "num_prompter_replies": 2,
        "num_required_rankings": 1,
        "rank_prompter_replies": True,
        "max_active_trees": 100,
    }
    policy = TreePolicy(**settings.TREE_POLICY)
    tree = work_until(start_tree(policy), State.RANKING, policy)
    ranker = new_person("Carol")
    client.force_login(ranker)
    assert "Order the follow-ups" in client.get("/dashboard/").content.decode()
    page = client.post("/tasks/next/", {"kind": "rank_prompter_replies", "lang": "en"}, follow=True)
    assert "Put the most natural, most useful follow-up on top." in page.content.decode()
    task = Task.objects.get(user=ranker)
    first, second = reversed(task.reply_ids)
    sent = client.post(f"/tasks/{task.pk}/", {f"rank_{first}": "1", f"rank_{second}": "2"})
    assert sent.status_code == 302
    tree.refresh_from_db()
    assert tree.state == State.READY_FOR_EXPORT
    ranks = dict(Message.objects.filter(pk__in=task.reply_ids).values_list("pk", "rank"))
    assert ranks == {first: 0, second: 1}
    read_all()
    assert own_counts(ranker)[Frame.TOTAL]["rankings_total"] == 1


@pytest.mark.django_db
def test_without_the_switch_follow_ups_are_not_ordered() -> None:
    policy = TreePolicy(
        goal_tree_size=6, max_tree_depth=2, max_children_count=1, num_prompter_replies=2, max_active_trees=100
    )
    tree = work_until(start_tree(policy), State.READY_FOR_EXPORT, policy)
    assert not Message.objects.filter(tree=tree, role="prompter", rank__isnull=False).exists()
