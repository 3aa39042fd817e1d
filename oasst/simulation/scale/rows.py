"""The table rows of a made-up tree, as if every answer had come through the services."""

import json
import random
from collections import defaultdict
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import product
from uuid import UUID

from oasst.accounts.documents import TERMS
from oasst.simulation.scale.bulk import Row, new_id
from oasst.simulation.scale.life import FakeMessage, Life, Order, Vote
from oasst.simulation.scale.people import People
from tasks.assignment import VALIDITY
from tasks.kinds import Kind
from tasks.models import Task
from trees.contributing.reviews import requested_labels
from trees.lifecycle.policy import EVERY_LANGUAGE, TreePolicy
from trees.lifecycle.states import State
from trees.models import Happening, Message, Reaction, Review, Role, Skip

COLUMNS = {
    "trees_messagetree": "id state halted_from lang goal_tree_size max_depth max_children_count origin created_at "
    "state_since won_prompt_lottery_at",
    "trees_message": "id tree_id parent_id role depth position text text_digest lang revision_id author_id "
    "frontend_message_id consent created_at deleted edited synthetic model_name review_count review_result "
    "ranking_count rank emojis",
    "trees_revision": "id message_id text author_id created_at reason",
    "trees_review": "id kind mode message_id revision_id author_id labels created_at",
    "trees_ranking": "id parent_id author_id ordered_ids revision_ids not_rankable created_at",
    "trees_reaction": "message_id author_id emoji created_at",
    "trees_skip": "message_id author_id kind reason note created_at",
    "trees_treetransition": "tree_id from_state to_state reason actor_id at",
    "trees_happening": "at kind actor_id subject_id tree_id message_id data tallied noticed",
    "trees_opening": "tree_id message_id work lang priority created_at holder_id lease held_until",
    "tasks_task": "id user_id kind lang asked_kind status created_at expires_at finished_at message_id mode reply_ids "
    "revision_ids result_message_id result_review_id result_ranking_id answer_digest skip_reason collective",
}
THUMBED, SKIPPED = 0.08, 0.04  # shares of messages
TAKES = timedelta(minutes=4)  # duration of a task
REASONS = {
    State.INITIAL_PROMPT_REVIEW: "A person wrote the prompt.",
    State.PROMPT_LOTTERY_WAITING: "Reviewers accepted the prompt.",
    State.GROWING: "Drawn by lot.",
    State.RANKING: "The conversation has the wanted size and everything is reviewed.",
    State.READY_FOR_SCORING: "Every set of replies has enough rankings.",
    State.READY_FOR_EXPORT: "The replies are ranked.",
    State.ABORTED_LOW_GRADE: "Reviewers rejected the prompt.",
    State.HALTED_BY_MODERATOR: "A moderator wanted to look at it.",
}
WORK = {
    Role.ASSISTANT.value: (Kind.ASSISTANT_REPLY, Kind.LABEL_ASSISTANT_REPLY, Kind.RANK_PROMPTER_REPLIES),
    Role.PROMPTER.value: (Kind.PROMPTER_REPLY, Kind.LABEL_PROMPTER_REPLY, Kind.RANK_ASSISTANT_REPLIES),
}
EventKind = Happening.Kind


def moment(at: datetime) -> str:
    return at.isoformat()


def truth(value: bool | None) -> str | None:
    return None if value is None else "t" if value else "f"


def as_array(ids: list[str]) -> str:
    return "{" + ",".join(ids) + "}"


class Rows:
    """Rows by table, in the order of `COLUMNS`."""

    def __init__(self, people: People, policy: TreePolicy, chance: random.Random) -> None:
        self.of: defaultdict[str, list[Row]] = defaultdict(list)
        self._people, self._policy, self._chance = people, policy, chance
        self._labels = {
            (lang, kind, mode, rejects): self._some_labels(lang, kind, mode, rejects)
            for lang, kind, mode, rejects in product(
                (EVERY_LANGUAGE, *policy.by_language),
                (Kind.LABEL_INITIAL_PROMPT, Kind.LABEL_PROMPTER_REPLY, Kind.LABEL_ASSISTANT_REPLY),
                Review.Mode.values,
                (False, True),
            )
        }

    def add(self, life: Life) -> None:
        """Add the rows of this tree, except its openings, which `oasst.simulation.scale.openings` adds."""
        self._add_tree(life)
        for message in life.messages:
            self._add_message(life, message)
            for vote in message.votes:
                self._add_review(life, message, vote)
            if message.result is not None:
                rejecting = sum(vote.rejects for vote in message.votes)
                kind = EventKind.MESSAGE_ACCEPTED if message.result else EventKind.MESSAGE_REJECTED
                data = f'{{"rejecting": {rejecting}, "reviews": {len(message.votes)}}}'
                self._add_event(kind, message.votes[-1].at, None, life, message, data)
            for order in message.orders:
                self._add_ranking(life, message, order)
            if message.result and self._chance.random() < SKIPPED:
                self._add_skip(life, message)

    def _add_tree(self, life: Life) -> None:
        policy, last = life.policy, life.moves[-1]
        halted_from = life.moves[-2].target.value if life.state == State.HALTED_BY_MODERATOR else ""
        sizes = (str(policy.goal_tree_size), str(policy.max_tree_depth), str(policy.max_children_count))
        won_at = moment(life.won_at) if life.won_at else None
        times = (moment(life.root.at), moment(last.at), won_at)
        self.of["trees_messagetree"].append(
            (life.root.id, last.target.value, halted_from, life.lang, *sizes, "", *times)
        )
        for move in life.moves:
            self.of["trees_treetransition"].append(
                (life.root.id, move.source, move.target.value, REASONS[move.target], None, moment(move.at))
            )
            if move.source:
                data = f'{{"from": "{move.source}", "to": "{move.target}"}}'
                self._add_event(EventKind.TREE_MOVED, move.at, None, life, life.root, data)

    def _add_message(self, life: Life, message: FakeMessage) -> None:
        parent_id = message.parent.id if message.parent else None
        position = (message.id, life.root.id, parent_id, message.role, str(message.depth), str(message.position))
        digest = "\\\\x" + sha256(message.text.encode()).hexdigest()
        origin = (
            message.text,
            digest,
            life.lang,
            message.id,
            message.author,
            message.id,
            TERMS.version,
            moment(message.at),
        )
        rank = None if message.rank is None else str(message.rank)
        thumbs = self._thumb(life, message)
        judged = (str(len(message.votes)), truth(message.result), str(message.ranking_count), rank, thumbs)
        self.of["trees_message"].append((*position, *origin, "f", "f", "f", "", *judged))
        self.of["trees_revision"].append((message.id, message.id, message.text, message.author, moment(message.at), ""))
        self._add_event(EventKind.MESSAGE_POSTED, message.at, message.author, life, message)
        kind = WORK[message.role][0] if message.parent else Kind.INITIAL_PROMPT
        self._add_task(life, message.author, kind, parent_id, message.at, message=message.id)

    def _thumb(self, life: Life, message: FakeMessage) -> str:
        """Add a reaction to some messages. Return the JSON of the message's `emojis`."""
        if self._chance.random() >= THUMBED:
            return "{}"
        person = self._people.draw(life.lang, [message.author])
        emoji = Reaction.THUMB_UP if self._chance.random() < 0.8 else Reaction.THUMB_DOWN
        self.of["trees_reaction"].append((message.id, person, emoji, moment(life.now)))
        self._add_event(
            EventKind.MESSAGE_REACTED, life.now, person, life, message, f'{{"emoji": "{emoji}", "on": true}}'
        )
        return f'{{"{emoji}": 1}}'

    def _add_review(self, life: Life, message: FakeMessage, vote: Vote) -> None:
        kind, full = WORK[message.role][1], life.policy.p_full_labeling_review_reply_prompter
        if message.parent is None:
            kind, full = Kind.LABEL_INITIAL_PROMPT, life.policy.p_full_labeling_review_prompt
        elif message.role == Role.ASSISTANT:
            full = life.policy.p_full_labeling_review_reply_assistant
        lang = life.lang if life.lang in self._policy.by_language else EVERY_LANGUAGE
        mode = (Review.Mode.FULL if self._chance.random() < full else Review.Mode.SIMPLE).value
        labels = self._chance.choice(self._labels[lang, kind, mode, vote.rejects])
        review = new_id(vote.at, self._chance)
        self.of["trees_review"].append(
            (review, "review", mode, message.id, message.id, vote.author, labels, moment(vote.at))
        )
        data = f'{{"review": "{UUID(review)}", "mode": "{mode}"}}'
        self._add_event(EventKind.MESSAGE_REVIEWED, vote.at, vote.author, life, message, data)
        self._add_task(life, vote.author, kind, message.id, vote.at, mode=mode, seen=[message.id], review=review)

    def _some_labels(self, lang: str, kind: Kind, mode: str, rejects: bool) -> list[str]:
        """Return possible answers of such a review, as JSON."""
        role = Role.ASSISTANT if kind == Kind.LABEL_ASSISTANT_REPLY else Role.PROMPTER
        parent_id = None if kind == Kind.LABEL_INITIAL_PROMPT else UUID(int=0)
        message = Message(role=role, parent_id=parent_id, lang=lang)
        names = requested_labels(message, mode, self._policy)
        decisive = {"spam": int(rejects), "lang_mismatch": 0}
        return [
            json.dumps({name: self._chance.choice((None, 0, 0, 0.25, 0.5, 0.75, 1)) for name in names} | decisive)
            for _ in range(50)
        ]

    def _add_ranking(self, life: Life, parent: FakeMessage, order: Order) -> None:
        ranking, ids = new_id(order.at, self._chance), as_array(order.ids)
        self.of["trees_ranking"].append(
            (ranking, parent.id, order.author, ids, ids, truth(order.not_rankable), moment(order.at))
        )
        data = f'{{"ranking": "{UUID(ranking)}", "not_rankable": {json.dumps(order.not_rankable)}}}'
        self._add_event(EventKind.REPLIES_RANKED, order.at, order.author, life, parent, data)
        kind, replies = WORK[parent.role][2], order.ids
        self._add_task(life, order.author, kind, parent.id, order.at, replies=replies, seen=replies, ranking=ranking)

    def _add_skip(self, life: Life, message: FakeMessage) -> None:
        """Let a user skip answering this message."""
        person, reason = self._people.draw(life.lang, [message.author]), Skip.Reason.TOO_LONG.value
        self.of["trees_skip"].append((message.id, person, "reply", reason, "", moment(life.now)))
        data = f'{{"kind": "reply", "reason": "{reason}"}}'
        self._add_event(EventKind.WORK_SKIPPED, life.now, person, life, message, data)
        kind = Kind.ASSISTANT_REPLY if message.role == Role.PROMPTER else Kind.PROMPTER_REPLY
        self._add_task(life, person, kind, message.id, life.now, status=Task.Status.SKIPPED.value)

    def _add_event(
        self, kind: EventKind, at: datetime, actor: str | None, life: Life, message: FakeMessage, data: str = "{}"
    ) -> None:
        event = (moment(at), kind.value, actor, message.author, life.root.id, message.id, data, "t", "t")
        self.of["trees_happening"].append(event)

    def _add_task(
        self,
        life: Life,
        person: str,
        kind: Kind,
        about: str | None,
        finished_at: datetime,
        *,
        status: str = "done",
        mode: str = "full",
        replies: list[str] | None = None,
        seen: list[str] | None = None,
        message: str | None = None,
        review: str | None = None,
        ranking: str | None = None,
    ) -> None:
        taken_at = finished_at - TAKES
        task = new_id(taken_at, self._chance)
        times = (moment(taken_at), moment(taken_at + VALIDITY), moment(finished_at))
        content = (about, mode, as_array(replies or []), as_array(seen or []), message, review, ranking)
        digest, reason = (2 * task, "") if status == "done" else ("", Skip.Reason.TOO_LONG.value)
        self.of["tasks_task"].append(
            (task, person, kind.value, life.lang, "", status, *times, *content, digest, reason, "f")
        )

    def add_hold(
        self, life: Life, person: str, kind: Kind, about: str, *, at: datetime, seen: list[str], replies: list[str]
    ) -> str:
        """Add an open task. Return its id, which is the lease of its opening."""
        task, times = new_id(at, self._chance), (moment(at), moment(at + VALIDITY), None)
        content = (about, "full", as_array(replies), as_array(seen), None, None, None)
        self.of["tasks_task"].append((task, person, kind.value, life.lang, "", "open", *times, *content, "", "", "f"))
        return task
