"""The rows that a made life leaves in the tables: as if every answer had come through the services."""

import json
import random
from collections import defaultdict
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import product
from uuid import UUID

from oasst.accounts.documents import TERMS
from oasst.simulation.scale.bulk import Row
from oasst.simulation.scale.ids import new_id
from oasst.simulation.scale.life import Life, Order, Turn, Vote
from oasst.simulation.scale.people import People
from tasks.assignment import VALIDITY
from tasks.kinds import Kind
from tasks.models import Task
from trees.contributing.reviews import labels_asked
from trees.lifecycle.policy import TreePolicy
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
    "trees_happening": "at kind actor_id subject_id tree_id message_id data tallied",
    "trees_opening": "tree_id message_id work lang priority created_at holder_id lease held_until",
    "tasks_task": "id user_id kind lang asked_kind status created_at expires_at finished_at message_id mode reply_ids "
    "revision_ids result_message_id result_review_id result_ranking_id answer_digest skip_reason collective",
}
THUMBED, SKIPPED = 0.08, 0.04  # shares of the messages
TAKES = timedelta(minutes=4)  # from taking a task to answering it
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
Happened = Happening.Kind


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
            (kind, mode, rejects): self._some_labels(kind, mode, rejects)
            for kind, mode, rejects in product(
                (Kind.LABEL_INITIAL_PROMPT, Kind.LABEL_PROMPTER_REPLY, Kind.LABEL_ASSISTANT_REPLY),
                Review.Mode.values,
                (False, True),
            )
        }

    def add(self, life: Life) -> None:
        """All that happened in this life. Its open places are `oasst.simulation.scale.openings`'s."""
        self._add_tree(life)
        for turn in life.turns:
            self._add_message(life, turn)
            for vote in turn.votes:
                self._add_review(life, turn, vote)
            if turn.result is not None:
                rejecting = sum(vote.rejects for vote in turn.votes)
                kind = Happened.MESSAGE_ACCEPTED if turn.result else Happened.MESSAGE_REJECTED
                data = f'{{"rejecting": {rejecting}, "reviews": {len(turn.votes)}}}'
                self._tell(kind, turn.votes[-1].at, None, life, turn, data)
            for order in turn.orders:
                self._add_ranking(life, turn, order)
            if turn.result and self._chance.random() < SKIPPED:
                self._add_skip(life, turn)

    def _add_tree(self, life: Life) -> None:
        policy, last = self._policy, life.moves[-1]
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
                self._tell(Happened.TREE_MOVED, move.at, None, life, life.root, data)

    def _add_message(self, life: Life, turn: Turn) -> None:
        parent_id = turn.parent.id if turn.parent else None
        place = (turn.id, life.root.id, parent_id, turn.role, str(turn.depth), str(turn.position))
        digest = "\\\\x" + sha256(turn.text.encode()).hexdigest()
        origin = (turn.text, digest, life.lang, turn.id, turn.author, turn.id, TERMS.version, moment(turn.at))
        rank = None if turn.rank is None else str(turn.rank)
        thumbs = self._thumb(life, turn)
        judged = (str(len(turn.votes)), truth(turn.result), str(turn.ranking_count), rank, thumbs)
        self.of["trees_message"].append((*place, *origin, "f", "f", "f", "", *judged))
        self.of["trees_revision"].append((turn.id, turn.id, turn.text, turn.author, moment(turn.at), ""))
        self._tell(Happened.MESSAGE_POSTED, turn.at, turn.author, life, turn)
        kind = WORK[turn.role][0] if turn.parent else Kind.INITIAL_PROMPT
        self._add_task(life, turn.author, kind, parent_id, turn.at, message=turn.id)

    def _thumb(self, life: Life, turn: Turn) -> str:
        """A thumb for some messages; returns the counts that the message keeps."""
        if self._chance.random() >= THUMBED:
            return "{}"
        person = self._people.draw(life.lang, [turn.author])
        emoji = Reaction.THUMB_UP if self._chance.random() < 0.8 else Reaction.THUMB_DOWN
        self.of["trees_reaction"].append((turn.id, person, emoji, moment(life.now)))
        self._tell(Happened.MESSAGE_REACTED, life.now, person, life, turn, f'{{"emoji": "{emoji}", "on": true}}')
        return f'{{"{emoji}": 1}}'

    def _add_review(self, life: Life, turn: Turn, vote: Vote) -> None:
        kind, full = WORK[turn.role][1], self._policy.p_full_labeling_review_reply_prompter
        if turn.parent is None:
            kind, full = Kind.LABEL_INITIAL_PROMPT, self._policy.p_full_labeling_review_prompt
        elif turn.role == Role.ASSISTANT:
            full = self._policy.p_full_labeling_review_reply_assistant
        mode = (Review.Mode.FULL if self._chance.random() < full else Review.Mode.SIMPLE).value
        labels = self._chance.choice(self._labels[kind, mode, vote.rejects])
        review = new_id(vote.at, self._chance)
        self.of["trees_review"].append((review, "review", mode, turn.id, turn.id, vote.author, labels, moment(vote.at)))
        data = f'{{"review": "{UUID(review)}", "mode": "{mode}"}}'
        self._tell(Happened.MESSAGE_REVIEWED, vote.at, vote.author, life, turn, data)
        self._add_task(life, vote.author, kind, turn.id, vote.at, mode=mode, seen=[turn.id], review=review)

    def _some_labels(self, kind: Kind, mode: str, rejects: bool) -> list[str]:
        """Answers that such a review may give, as JSON."""
        role = Role.ASSISTANT if kind == Kind.LABEL_ASSISTANT_REPLY else Role.PROMPTER
        message = Message(role=role, parent_id=None if kind == Kind.LABEL_INITIAL_PROMPT else UUID(int=0))
        names = labels_asked(message, mode, self._policy)
        decisive = {"spam": int(rejects), "lang_mismatch": 0}
        return [
            json.dumps({name: self._chance.choice((None, 0, 0, 0.25, 0.5, 0.75, 1)) for name in names} | decisive)
            for _ in range(50)
        ]

    def _add_ranking(self, life: Life, parent: Turn, order: Order) -> None:
        ranking, ids = new_id(order.at, self._chance), as_array(order.ids)
        self.of["trees_ranking"].append(
            (ranking, parent.id, order.author, ids, ids, truth(order.not_rankable), moment(order.at))
        )
        data = f'{{"ranking": "{UUID(ranking)}", "not_rankable": {json.dumps(order.not_rankable)}}}'
        self._tell(Happened.REPLIES_RANKED, order.at, order.author, life, parent, data)
        kind, shown = WORK[parent.role][2], order.ids
        self._add_task(life, order.author, kind, parent.id, order.at, shown=shown, seen=shown, ranking=ranking)

    def _add_skip(self, life: Life, turn: Turn) -> None:
        """Somebody did not want to answer this message."""
        person, reason = self._people.draw(life.lang, [turn.author]), Skip.Reason.TOO_LONG.value
        self.of["trees_skip"].append((turn.id, person, "reply", reason, "", moment(life.now)))
        data = f'{{"kind": "reply", "reason": "{reason}"}}'
        self._tell(Happened.WORK_SKIPPED, life.now, person, life, turn, data)
        kind = Kind.ASSISTANT_REPLY if turn.role == Role.PROMPTER else Kind.PROMPTER_REPLY
        self._add_task(life, person, kind, turn.id, life.now, status=Task.Status.SKIPPED.value)

    def _tell(self, kind: Happened, at: datetime, actor: str | None, life: Life, turn: Turn, data: str = "{}") -> None:
        told = (moment(at), kind.value, actor, turn.author, life.root.id, turn.id, data, "t")
        self.of["trees_happening"].append(told)

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
        shown: list[str] | None = None,
        seen: list[str] | None = None,
        message: str | None = None,
        review: str | None = None,
        ranking: str | None = None,
    ) -> None:
        taken_at = finished_at - TAKES
        task = new_id(taken_at, self._chance)
        times = (moment(taken_at), moment(taken_at + VALIDITY), moment(finished_at))
        what = (about, mode, as_array(shown or []), as_array(seen or []), message, review, ranking)
        digest, said = (2 * task, "") if status == "done" else ("", Skip.Reason.TOO_LONG.value)
        self.of["tasks_task"].append(
            (task, person, kind.value, life.lang, "", status, *times, *what, digest, said, "f")
        )

    def add_hold(
        self, life: Life, person: str, kind: Kind, about: str, *, at: datetime, seen: list[str], shown: list[str]
    ) -> str:
        """An open task; returns its id, which is the lease of its place."""
        task = new_id(at, self._chance)
        times, what = (
            (moment(at), moment(at + VALIDITY), None),
            (about, "full", as_array(shown), as_array(seen), None, None, None),
        )
        self.of["tasks_task"].append((task, person, kind.value, life.lang, "", "open", *times, *what, "", "", "f"))
        return task
