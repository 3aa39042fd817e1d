"""The rules of message trees once more, in plain Python: an independent model beside the database.

Written from docs/domain.md, the decisions and the reference behavior, not from the code: it imports nothing of `trees`
or `tasks`. Where the rules leave a choice (which opening a user gets, which parent gets the next reply, who is drawn),
the caller passes the choice, and the model checks that it was allowed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

HOLD = timedelta(minutes=30)
VALID = timedelta(hours=48)
RECENT = timedelta(minutes=5)
MOST_RECENT = 8  # tasks begun within `RECENT`
DRAWN_AT_ONCE = 2
FIRST_RETRY, LONGEST_RETRY = timedelta(minutes=10), timedelta(days=1)  # of a scoring that failed

REVIEW, WAITING, GROWING, RANKING = "initial_prompt_review", "prompt_lottery_waiting", "growing", "ranking"
EXPORT, BACKLOG, ABORTED = "ready_for_export", "backlog_ranking", "aborted_low_grade"
HALTED, FAILED = "halted_by_moderator", "scoring_failed"
WATCHED = (REVIEW, WAITING, GROWING)
SIZES = ("goal_tree_size", "max_children_count", "max_tree_depth")
OFFERS = {
    REVIEW: {"label_initial_prompt"},
    GROWING: {"label_prompter_reply", "label_assistant_reply", "prompter_reply", "assistant_reply"},
    RANKING: {"rank_prompter_replies", "rank_assistant_replies"},
}
PROMPT = "initial_prompt"
REPLIES = {"prompter_reply", "assistant_reply"}
KINDS = (PROMPT, *sorted(set().union(*OFFERS.values())))

Place = tuple[UUID, str]
"""A message, and the work that is wanted for it."""


def category(work: str) -> str:
    """How a skip of this work is stored."""
    return "reply" if work in REPLIES else "review" if work.startswith("label") else "ranking"


@dataclass(frozen=True)
class Rules:
    max_active_trees: int
    min_active_rankings: int
    max_tree_depth: int
    max_children_count: int
    num_prompter_replies: int
    goal_tree_size: int
    num_reviews_initial_prompt: int
    num_reviews_reply: int
    acceptance_threshold_initial_prompt: float
    acceptance_threshold_reply: float
    num_required_rankings: int
    rank_prompter_replies: bool
    lonely_children_count: int
    auto_mod_red_flags: int
    auto_mod_max_skip_reply: int
    complaint_min_accepted: int
    complaint_most_open: int


@dataclass
class Proposal:
    """An open proposal about a message."""

    hides: bool = False
    stops: bool = False


@dataclass
class Decision:
    """What a moderator decided for or against those who complained, or these reporters."""

    at: datetime
    message: Message
    outcome: str
    people: set[UUID] | None


@dataclass
class Message:
    id: UUID
    tree: Tree
    parent: Message | None
    role: str
    author: UUID | None
    result: bool | None = None
    review_count: int = 0
    ranking_count: int = 0
    rank: int | None = None
    deleted: bool = False
    text: int = 0  # number of the present text
    votes: dict[UUID, bool] = field(default_factory=dict)  # on the present text: user, and whether they would reject
    reactions: dict[UUID, set[str]] = field(default_factory=dict)
    skips: set[tuple[UUID, str]] = field(default_factory=set)
    withdrawn: bool = False  # by its author
    waits: bool = False  # hidden for that until a moderator decides
    refused: bool = False  # a moderator kept it
    kept: bool = False  # a moderator kept this text
    void: set[tuple[UUID, str]] = field(default_factory=set)  # void complaints: user and kind
    overruled: set[UUID] = field(default_factory=set)  # users whose flags of the present text a moderator dismissed
    said: dict[tuple[UUID, str], datetime] = field(default_factory=dict)  # first time of each complaint
    proposal: Proposal | None = None
    hiding: Decision | None = None  # by which a moderator hid it

    @property
    def hidden(self) -> bool:
        return self.waits or self.hiding is not None or (self.proposal is not None and self.proposal.hides)

    @property
    def out(self) -> bool:
        """A moderator took it out of the conversation."""
        return self.deleted or self.hiding is not None

    @property
    def acted_on(self) -> bool:
        return self.proposal is not None and (self.proposal.hides or self.proposal.stops)

    @property
    def paused(self) -> bool:
        """It, or an ancestor, is hidden."""
        return (self.hidden and not self.deleted) or (self.parent is not None and self.parent.paused)

    @property
    def waiting(self) -> bool:
        """It, or an ancestor, is hidden until a moderator decides."""
        return (self.hidden and not self.out) or (self.parent is not None and self.parent.waiting)

    def complaints(self, which: str) -> set[UUID]:
        if which == "flags":
            said = {person for person, emojis in self.reactions.items() if "red_flag" in emojis}
        else:
            said = {person for person, what in self.skips if what == "reply"}
        return {person for person in said if (person, which) not in self.void}

    @property
    def depth(self) -> int:
        return 0 if self.parent is None else self.parent.depth + 1

    @property
    def connected(self) -> bool:
        """No ancestor is out or rejected."""
        above = self.parent
        return above is None or (not above.out and above.result is not False and above.connected)

    @property
    def standing(self) -> bool:
        return self.result is True and not self.out and self.connected

    @property
    def awaited(self) -> bool:
        return self.result is None and not self.out and self.connected

    @property
    def emojis(self) -> Counter[str]:
        return Counter(emoji for emojis in self.reactions.values() for emoji in emojis)

    @property
    def review_work(self) -> str:
        return "label_initial_prompt" if self.parent is None else f"label_{self.role}_reply"

    @property
    def reply_work(self) -> str:
        return "assistant_reply" if self.role == "prompter" else "prompter_reply"

    @property
    def ranking_work(self) -> str:
        return "rank_assistant_replies" if self.role == "prompter" else "rank_prompter_replies"


@dataclass
class Vote:
    parent: Message
    author: UUID
    order: list[UUID]
    not_rankable: bool


@dataclass
class Tree:
    id: UUID
    state: str
    goal: int  # accepted messages
    most_answers: int  # to one prompt
    deepest: int
    lang: str
    halted_from: str = ""
    drawn: bool = False
    stopped_by: str = ""  # "deletion", "ban" or "complaints": the halt ends when that is undone
    since: datetime = datetime.min  # in this state
    failures: int = 0  # of its scoring
    messages: list[Message] = field(default_factory=list)
    votes: list[Vote] = field(default_factory=list)
    places: Counter[Place] = field(default_factory=Counter)
    replies: int | None = None  # how many openings for replies must exist, while their parents are unknown

    @property
    def root(self) -> Message:
        return self.messages[0]

    def children(self, parent: Message) -> list[Message]:
        return [one for one in self.messages if one.parent is parent]

    def below(self, message: Message) -> list[Message]:
        found = [message]
        for one in found:
            found += self.children(one)
        return found


@dataclass
class Task:
    id: UUID
    person: UUID
    kind: str
    message: Message | None
    begun: datetime
    texts: list[int]  # numbers of the texts that were shown
    replies: list[Message]
    held_until: datetime | None = None  # None if it holds no opening
    status: str = "open"
    answer: object = None


@dataclass
class Removal:
    id: UUID
    message: Message
    messages: list[Message]
    undone: bool = False
    at_once: bool = False  # its author withdrew it without replies


class Model:
    def __init__(self, rules: Rules, now: datetime, own: Mapping[str, Rules] | None = None) -> None:
        self.rules = rules
        self.own = own or {}  # rules of languages; what is said about complainants is the same everywhere
        self.now = now
        self.trees: dict[UUID, Tree] = {}
        self.messages: dict[UUID, Message] = {}
        self.tasks: dict[UUID, Task] = {}
        self.decided: list[Decision] = []
        self.removals: dict[UUID, Removal] = {}
        self.banned: set[UUID] = set()
        self.banned_until: dict[UUID, datetime | None] = {}
        self.scoring_works = True

    def rules_of(self, lang: str) -> Rules:
        return self.own.get(lang, self.rules)

    # --- available work ---

    def is_over(self, task: Task) -> bool:
        return task.begun + VALID <= self.now

    def holds(self, task: Task) -> bool:
        return task.held_until is not None and task.held_until > self.now

    def holders(self, place: Place) -> int:
        return sum(1 for task in self.tasks.values() if self.holds(task) and self.place_of(task) == place)

    @staticmethod
    def place_of(task: Task) -> Place | None:
        return None if task.message is None else (task.message.id, task.kind)

    def free(self, place: Place) -> int:
        return self.messages[place[0]].tree.places[place] - self.holders(place)

    def candidates(self, person: UUID, kinds: Iterable[str], lang: str) -> set[Place]:
        """Return the free openings of this language that this user may take."""
        live = [task for task in self.tasks.values() if task.status == "open" and not self.is_over(task)]
        held = Counter(self.place_of(task) for task in live if self.holds(task))
        mine = {self.place_of(task) for task in live if task.person == person}
        return {
            place
            for tree in self.of(lang)
            for place, count in tree.places.items()
            if place[1] in kinds and count > held[place] and place not in mine and self._suits(person, place)
        }

    def _suits(self, person: UUID, place: Place) -> bool:
        message, work = self.messages[place[0]], place[1]
        if (person, category(work)) in message.skips:
            return False
        children = message.tree.children(message)
        match category(work):
            case "review" if message.result is not None:
                return False  # decided while a user held the opening
            case "reply" if not message.result:
                return False  # in review again with a new text
            case "review":
                return message.author != person and person not in message.votes
            case "ranking":
                ranked = any(vote.parent is message and vote.author == person for vote in message.tree.votes)
                return not ranked and not any(c.author == person and c.result and not c.deleted for c in children)
            case _:
                return not any(c.author == person and c.result is not False and not c.deleted for c in children)

    def has_too_many_open(self, person: UUID) -> bool:
        recent = [
            task
            for task in self.tasks.values()
            if task.person == person and task.status == "open" and task.begun > self.now - RECENT
        ]
        return len(recent) >= MOST_RECENT

    def of(self, lang: str) -> list[Tree]:
        return [tree for tree in self.trees.values() if tree.lang == lang]

    def drawable(self, lang: str) -> set[UUID]:
        """Return prompts that the lottery may draw; none if there is no room."""
        waiting = {t.id for t in self.of(lang) if t.state == WAITING and t.root.author not in self.banned}
        return waiting if self.room(lang) > 0 else set()

    def room(self, lang: str) -> int:
        """Return the free slots for growing trees; paused trees take none."""
        growing = sum(1 for tree in self.of(lang) if tree.state == GROWING and not self._rests(tree))
        return self.rules_of(lang).max_active_trees - growing

    @staticmethod
    def _rests(tree: Tree) -> bool:
        hides = any(one.waits or (one.proposal and one.proposal.hides) for one in tree.messages)
        return hides and not tree.places.total() and not tree.replies

    def next_of_backlog(self, lang: str) -> Tree | None:
        """Return the oldest tree of the backlog if rankers have room for another one."""
        ranked = sum(1 for tree in self.of(lang) if tree.state == RANKING)
        waiting = (tree for tree in self.of(lang) if tree.state == BACKLOG)
        return next(waiting, None) if ranked < self.rules_of(lang).min_active_rankings else None

    def due_retries(self) -> list[Tree]:
        """Return trees whose scoring is due for a retry: after ten minutes, doubling each time."""
        failed = [tree for tree in self.trees.values() if tree.state == FAILED]
        wait = lambda tree: min(LONGEST_RETRY, FIRST_RETRY * 2 ** (tree.failures - 1))  # noqa: E731
        return [tree for tree in failed if tree.since + wait(tree) <= self.now]

    # --- contributors ---

    def take(self, task: Task) -> None:
        self.tasks[task.id] = task
        if task.message is not None:
            task.held_until = self.now + HOLD

    def why_closed(self, task: Task) -> str:
        """Return why this task takes no first answer any more; empty if it does."""
        if task.status != "open":
            return f"task_{task.status}"
        return "task_expired" if self.is_over(task) else ""

    def why_not_answer(self, task: Task) -> set[str]:
        """Return all reasons to refuse an answer to this open task; the service must give one of them."""
        message, reasons = task.message, set()
        if message is None:
            return set()
        if message.deleted and category(task.kind) != "ranking":
            reasons.add("message_deleted")
        if any(reply.deleted for reply in task.replies):
            reasons.add("reply_deleted")
        if any(one.paused for one in (message, *task.replies)):
            reasons.add("message_hidden")
        shown = task.replies or [message]
        if task.texts and task.texts != [one.text for one in shown]:
            reasons.add("text_changed")
        if category(task.kind) == "review" and task.person in message.votes:
            reasons.add("already_reviewed")
        if category(task.kind) == "reply":
            mine = [c for c in message.tree.children(message) if c.author == task.person]
            if any(c.result is not False and not c.deleted for c in mine):
                reasons.add("duplicate_reply")
        if not self.holds(task) and self.free((message.id, task.kind)) <= 0:
            reasons.add("tree_stopped" if message.tree.state in (HALTED, ABORTED) else "no_place_left")
        return reasons

    def finish(self, task: Task, answer: object) -> None:
        """Use up the opening and close the task."""
        if task.message is not None:
            place = (task.message.id, task.kind)
            task.message.tree.places[place] -= 1
        task.held_until, task.status, task.answer = None, "done", answer

    def post(self, message_id: UUID, parent: Message | None, author: UUID, lang: str) -> None:
        if parent is None:
            tree = self.new_tree(message_id, REVIEW, lang)
            self.trees[tree.id] = tree
            message = Message(message_id, tree, None, "prompter", author)
        else:
            tree = parent.tree
            role = "assistant" if parent.role == "prompter" else "prompter"
            message = Message(message_id, tree, parent, role, author)
        tree.messages.append(message)
        self.messages[message_id] = message
        self.advance(tree)

    def new_tree(self, tree_id: UUID, state: str, lang: str) -> Tree:
        rules = self.rules_of(lang)
        return Tree(tree_id, state, rules.goal_tree_size, rules.max_children_count, rules.max_tree_depth, lang)

    def move(self, tree: Tree, lang: str) -> None:
        """File the tree under another language: its rules hold, also its sizes where they differ."""
        before, after, tree.lang = self.rules_of(tree.lang), self.rules_of(lang), lang
        self._resize(tree, {name for name in SIZES if getattr(before, name) != getattr(after, name)})
        self.advance(tree)

    def apply_rules(self, tree: Tree) -> None:
        """Apply the rules of its language, which may have changed, to a tree. A finished one keeps what it has."""
        if tree.state in (*WATCHED, RANKING, HALTED):
            self._resize(tree)
            self.advance(tree)

    def _resize(self, tree: Tree, sizes: Iterable[str] = SIZES) -> None:
        """Give the tree these sizes of its language, as far as what is there and being written allows."""
        if (tree.halted_from or tree.state) not in WATCHED:
            return
        rules, old = self.rules_of(tree.lang), (tree.goal, tree.most_answers, tree.deepest)
        tree.goal, tree.most_answers = rules.goal_tree_size, rules.max_children_count
        self.make_room(tree)
        writing = [self.messages[message_id].depth + 1 for message_id, _ in self.being_written(tree)]
        tree.deepest = max([rules.max_tree_depth, *(one.depth for one in tree.messages), *writing])
        if "goal_tree_size" not in sizes:
            tree.goal = old[0]
        if "max_children_count" not in sizes:
            tree.most_answers = old[1]
        if "max_tree_depth" not in sizes:
            tree.deepest = old[2]

    def review(self, message: Message, author: UUID, rejects: bool) -> None:
        message.votes[author] = rejects
        message.review_count += 1
        self.advance(message.tree)

    def rank(self, parent: Message, author: UUID, order: list[UUID], not_rankable: bool) -> None:
        parent.tree.votes.append(Vote(parent, author, order, not_rankable))
        for message_id in order:
            self.messages[message_id].ranking_count += 1
        self.advance(parent.tree)

    def skip(self, task: Task) -> None:
        task.status, task.held_until = "skipped", None
        if task.message is not None:
            task.message.skips.add((task.person, category(task.kind)))
            if category(task.kind) == "reply":
                task.message.said.setdefault((task.person, "skips"), self.now)
            self.advance(task.message.tree)

    def expire(self) -> int:
        over = [task for task in self.tasks.values() if task.status == "open" and self.is_over(task)]
        for task in over:
            task.status, task.held_until = "expired", None
        return len(over)

    def react(self, message: Message, person: UUID, emoji: str) -> bool:
        """Toggle a reaction. Return True if it is new."""
        mine = message.reactions.setdefault(person, set())
        if emoji == "red_flag" and self.is_of_earlier_text(message, person):
            message.void.discard((person, "flags"))
            return True
        if emoji in mine:
            mine.discard(emoji)
            if emoji == "red_flag" and person not in message.overruled:  # an overruled flag stays void
                message.void.discard((person, "flags"))
                if not self._is_remembered(message, person):
                    message.said.pop((person, "flags"), None)
            return False
        if emoji in ("+1", "-1"):
            if message.author == person:
                return False
            mine -= {"+1", "-1"}
        mine.add(emoji)
        if emoji == "red_flag":
            message.said.setdefault((person, "flags"), self.now)
        return True

    def flags(self, message: Message, person: UUID) -> bool:
        """Return True if this user flags the present text."""
        return "red_flag" in message.reactions.get(person, ()) and not self.is_of_earlier_text(message, person)

    def is_of_earlier_text(self, message: Message, person: UUID) -> bool:
        """A flag that an edit voided; a decision about the present text stays."""
        return (person, "flags") in message.void and person not in message.overruled

    # --- moderators, and automatic moderation ---

    def voices(self, people: set[UUID]) -> set[UUID]:
        """Count complainants. Every user here counts separately, by contributions."""
        return {person for person in people if person not in self.banned and self._weighs(person)}

    def _is_free(self, person: UUID, message: Message) -> bool:
        """Return True if this user's complaint may hide or stop another message."""
        others = (one for one in self.messages.values() if one is not message and one.acted_on and not one.deleted)
        said = sum(1 for one in others if person in one.complaints("flags") | one.complaints("skips"))
        return said < self.rules.complaint_most_open

    def _decide(self, message: Message, outcome: str, people: set[UUID] | None = None) -> Decision:
        """Store a decision for or against those who complained; for a report, its reporter."""
        self.decided.append(Decision(self.now, message, outcome, people))
        return self.decided[-1]

    def answer(self, message: Message, outcome: str, reporters: set[UUID]) -> None:
        """Answer these reports about a message with the decision about it."""
        if reporters:
            self._decide(message, outcome, reporters)

    def _is_remembered(self, message: Message, person: UUID) -> bool:
        """A flag stays stored after it is taken back if a moderator decided about it lately."""
        since = max(message.said[person, "flags"], self.now - timedelta(days=30))
        return any(one.message is message and one.people is None and one.at >= since for one in self.decided)

    def _is_overruled(self, person: UUID) -> bool:
        found = set()
        for one in self.decided:
            at, message, outcome, people = one.at, one.message, one.outcome, one.people
            since = [message.said[key] for key in ((person, "flags"), (person, "skips")) if key in message.said]
            concerned = person in people if people is not None else any(said <= at for said in since)
            if concerned and at > self.now - timedelta(days=30):
                found.add((message.id, outcome))
        outcomes = [outcome for _, outcome in found]
        return outcomes.count("dismissed") > outcomes.count("upheld")

    def settle(self, message: Message, reporter: UUID, status: str) -> None:
        """Settle a report; dismissing it keeps the message, even a deleted one."""
        self._decide(message, status, {reporter})
        if status == "dismissed":
            self.dismiss(message)

    def _weighs(self, person: UUID) -> bool:
        if self._is_overruled(person):
            return False
        accepted = sum(1 for one in self.messages.values() if one.author == person and one.result and not one.deleted)
        agreed = sum(
            1
            for one in self.messages.values()
            if person in one.votes and one.result is not None and one.votes[person] != one.result
        )
        return accepted + agreed >= self.rules.complaint_min_accepted

    def complain(self, message: Message) -> None:
        """Check the complaints about a message: enough of them make a proposal."""
        if message.deleted or message.hidden:
            return
        for which, enough in self._wanted(message).items():
            people = self.voices(message.complaints(which))
            may_act = sum(1 for person in people if self._is_free(person, message)) >= enough
            needed = 1 if message.kept and which == "flags" else enough
            if len(people) >= needed and self._propose(message, which, may_act=may_act):
                self.advance(message.tree)
                return

    def _wanted(self, message: Message) -> dict[str, int]:
        rules = self.rules_of(message.tree.lang)
        return {"flags": rules.auto_mod_red_flags, "skips": rules.auto_mod_max_skip_reply}

    def recount(self, person: UUID) -> list[Tree]:
        """Show what this user helped to hide if too few others still complain; the proposal stays in the queue."""
        moved = []
        for message in self.messages.values():
            if not message.acted_on:
                continue
            if person not in message.complaints("flags") | message.complaints("skips"):
                continue
            wanted = self._wanted(message)
            many = {which: len(self.voices(message.complaints(which))) >= n for which, n in wanted.items()}
            if self._act_less(message, many["flags"], many["skips"] or (many["flags"] and message.parent is None)):
                self.advance(message.tree)
                moved.append(message.tree)
        return moved

    def _act_less(self, message: Message, hides: bool, stops: bool) -> bool:
        found, tree = message.proposal, message.tree
        assert found is not None
        if found.hides <= hides and found.stops <= stops:
            return False
        goes_on = found.stops and not stops
        found.hides, found.stops = found.hides and hides, found.stops and stops
        if goes_on:
            self._go_on(tree)
        return True

    def _propose(self, message: Message, which: str, *, may_act: bool) -> bool:
        """Before any decision, flags hide a message, and a hidden or unwanted prompt stops its tree."""
        tree, found = message.tree, message.proposal
        acts = may_act and tree.state in WATCHED and not message.kept
        hides, stops = acts and which == "flags", acts and (which == "skips" or message.parent is None)
        if found and not (hides and not found.hides) and not (stops and not found.stops):
            return False
        message.proposal = found or Proposal()
        message.proposal.hides |= hides
        message.proposal.stops |= stops
        if stops:
            self._go(tree, HALTED)
            tree.stopped_by = "complaints"
        return True

    def keep(self, message: Message, *, go_on: bool = True) -> None:
        """A moderator keeps the message: complaints become void."""
        message.overruled |= message.complaints("flags")
        self._void(message)
        message.kept = True
        self._close(message, "dismissed", go_on=go_on)

    def keep_whole(self, message: Message, reporters: set[UUID]) -> None:
        """A moderator answers all that waits about a message: it stays."""
        self.keep(message)
        self.answer(message, "dismissed", reporters)
        if message.waits and message.tree.state != EXPORT:
            message.withdrawn, message.waits, message.refused = False, False, True
            self._order_again(message.tree)
        self.advance(message.tree)

    def hide(self, message: Message, reporters: set[UUID]) -> None:
        """A moderator hides the message: it leaves the conversation with what is below it."""
        message.proposal, message.kept = None, False
        message.hiding = self._decide(message, "upheld")
        self.answer(message, "upheld", reporters)
        self._go_on(message.tree)
        self._order_again(message.tree)
        self.advance(message.tree)

    def _void(self, message: Message) -> None:
        message.void |= {(person, which) for which in ("flags", "skips") for person in message.complaints(which)}

    def _close(self, message: Message, outcome: str, *, go_on: bool) -> None:
        tree, stops = message.tree, self._stops(message)
        closed, message.proposal = message.proposal or message.hiding, None
        if message.hiding and outcome == "dismissed":  # those who were told that they were right hear the opposite
            self._dismiss_those_upheld(message, message.hiding.at)
        if message.hiding:
            self.decided = [one for one in self.decided if one is not message.hiding]
            message.hiding = None
            if not message.deleted:
                self.make_room(tree)
                self._order_again(tree)
        if closed and outcome:
            self._decide(message, outcome)
        if stops and go_on:
            self._go_on(tree)

    def _dismiss_those_upheld(self, message: Message, at: datetime) -> None:
        for one in self.decided:
            if one.message is message and one.people is not None and (one.outcome, one.at) == ("upheld", at):
                one.outcome, one.at = "dismissed", self.now

    def _waits_for_a_moderator(self, tree: Tree) -> bool:
        return any(self._stops(one) and not one.deleted for one in tree.messages)

    @staticmethod
    def _stops(message: Message) -> bool:
        hidden_prompt = message.hiding is not None and message.parent is None
        return hidden_prompt or (message.proposal is not None and message.proposal.stops)

    def _go_on(self, tree: Tree) -> None:
        """Resume a tree stopped only by complaints once none of them waits for a moderator."""
        if tree.stopped_by == "complaints" and not tree.root.deleted and not self._waits_for_a_moderator(tree):
            self._go_back(tree)

    def _go_back(self, tree: Tree) -> None:
        """Resume, or stop again if the prompt would wait while its author is banned."""
        self._go(tree, self._back(tree))
        self._order_again(tree)
        if tree.root.author in self.banned and tree.state in (REVIEW, WAITING):
            self._go(tree, HALTED)
            tree.stopped_by = "ban"

    def dismiss(self, message: Message) -> None:
        self.keep(message)
        self.advance(message.tree)

    def let_in(self, person: UUID) -> None:
        self.banned.discard(person)
        self.banned_until.pop(person, None)

    def suspensions_over(self) -> list[UUID]:
        return [person for person, until in self.banned_until.items() if until is not None and until <= self.now]

    def halt(self, tree: Tree) -> None:
        """Also halts a stopped tree: then it no longer resumes automatically."""
        tree.stopped_by = ""
        if tree.state != HALTED:
            self._go(tree, HALTED)
            self.advance(tree)

    def resume(self, tree: Tree) -> None:
        for message in tree.messages:
            flagged = tree.state == ABORTED and message is tree.root
            if flagged or (self._stops(message) and not message.deleted):
                self.keep(message, go_on=False)
        self._go(tree, self._back(tree))
        self._order_again(tree)
        self.advance(tree)

    def follow(self, person: UUID) -> list[Tree]:
        """A ban stops the user's waiting prompts; its end resumes them."""
        moved = []
        for tree in self.trees.values():
            if tree.root.author != person:
                continue
            if person in self.banned and tree.state in (REVIEW, WAITING):
                self._go(tree, HALTED)
                tree.stopped_by = "ban"
            elif not self._go_on_after_ban(tree):
                continue
            self.advance(tree)
            moved.append(tree)
        return moved

    def _go_on_after_ban(self, tree: Tree) -> bool:
        """Resume a tree stopped only by a ban once author and prompt are back."""
        if tree.stopped_by != "ban" or tree.root.deleted or tree.root.author in self.banned:
            return False
        self._go(tree, self._back(tree))
        self._order_again(tree)
        return True

    def _back(self, tree: Tree) -> str:
        if tree.halted_from:
            return tree.halted_from
        if tree.root.result is None:
            return REVIEW
        if not tree.root.result:
            return ABORTED
        return GROWING if tree.drawn or len(tree.messages) > 1 else WAITING

    def has_replies(self, message: Message) -> bool:
        """Replies of others, accepted or not."""
        below = message.tree.below(message)
        return any(one.author != message.author and not one.deleted for one in below if one is not message)

    def withdraw(self, message: Message, removal_id: UUID | None) -> None:
        """With replies of others the message is hidden, otherwise deleted for good."""
        message.withdrawn = True
        if removal_id is not None:
            self.remove(removal_id, message, at_once=True)
            return
        message.waits = True
        self._order_again(message.tree)
        self.advance(message.tree)

    def show_again(self, message: Message, *, refused: bool) -> None:
        """A moderator refused the withdrawal, or its author undid it."""
        message.withdrawn = message.waits = False
        message.refused |= refused
        self._order_again(message.tree)
        self.advance(message.tree)

    def remove(self, removal_id: UUID, message: Message, *, at_once: bool = False) -> None:
        gone = [one for one in message.tree.below(message) if not one.deleted]
        for one in gone:
            one.deleted = True
        self.removals[removal_id] = Removal(removal_id, message, gone, at_once=at_once)
        message.waits = False  # a moderator granted the withdrawal
        if message.proposal or message.hiding:  # that closes it, and counts for no complainant if its author did it
            self._close(message, "" if at_once else "upheld", go_on=message.parent is not None)
        self._go_on(message.tree)
        self._order_again(message.tree)
        self.advance(message.tree)

    def bring_back(self, removal: Removal) -> None:
        tree = removal.message.tree
        for one in removal.messages:
            one.deleted = False
        removal.undone = True
        self.keep(removal.message)
        if removal.message.withdrawn and not removal.message.waits:
            removal.message.withdrawn, removal.message.refused = False, True
        self.make_room(tree)
        if tree.stopped_by == "deletion" and not tree.root.deleted:
            self._go_back(tree)
        self._go_on_after_ban(tree)
        self._go_on(tree)
        if tree.state in WATCHED and self._waits_for_a_moderator(tree):
            self._go(tree, HALTED)
            tree.stopped_by = "complaints"
        self._order_again(tree)
        self.advance(tree)

    def make_room(self, tree: Tree) -> None:
        """Messages written meanwhile stay beside the restored ones: the goal grows to the actual size."""
        writing = self.being_written(tree)
        awaited = sum(1 for one in tree.messages if one.awaited)
        tree.goal = max(tree.goal, self.size(tree) + awaited + writing.total())
        for one in tree.messages:
            if one.role == "prompter":
                tree.most_answers = max(tree.most_answers, self.filled(one) + writing[one.id, one.reply_work])

    def edit(self, message: Message) -> None:
        """The new text is reviewed again if the state offers reviews. Complaints do not act on a moderator's text."""
        message.text += 1
        message.votes = {}
        self._void(message)
        for person in message.overruled:
            if "red_flag" not in message.reactions.get(person, ()):
                message.void.discard((person, "flags"))
        message.overruled, message.kept = set(), True
        self._close(message, "", go_on=True)
        if message.review_work in OFFERS.get(message.tree.state, ()):
            message.result = None
        self.advance(message.tree)

    def bring_in(self, tree: Tree) -> None:
        """Import a tree from a file."""
        self.trees[tree.id] = tree
        self.messages |= {message.id: message for message in tree.messages}
        self._open(tree)

    def draw(self, tree: Tree) -> None:
        tree.drawn = True
        self._go(tree, GROWING)
        self.advance(tree)

    def activate(self, tree: Tree) -> bool:
        """Move a tree of the backlog to ranking, or end it if nothing can be ranked."""
        can_be_ranked = any(self.rankable(tree))
        self._go(tree, RANKING if can_be_ranked else ABORTED)
        self.advance(tree)
        return can_be_ranked

    def retry(self, tree: Tree) -> bool:
        """Compute the consensus again from the present votes."""
        self._go(tree, EXPORT if self.scoring_works else FAILED)
        self._order_again(tree)
        self.advance(tree)
        return tree.state == EXPORT

    # --- consequences ---

    def advance(self, tree: Tree) -> None:
        for message in tree.messages:
            if message.result is None:
                message.result = self.verdict(message)
        while step := self._due(tree):
            self._go(tree, step)
            if step == EXPORT:
                self._order(tree)
            if step == HALTED and tree.root.out:
                tree.stopped_by = "deletion" if tree.root.deleted else "complaints"
        self._open(tree)

    def _go(self, tree: Tree, state: str) -> None:
        tree.halted_from = tree.state if state == HALTED else ""
        tree.state, tree.stopped_by, tree.since = state, "", self.now
        tree.failures += state == FAILED

    def _due(self, tree: Tree) -> str | None:
        if tree.root.out and tree.state not in (HALTED, ABORTED):
            return HALTED
        match tree.state:
            case "initial_prompt_review" if tree.root.result is not None:
                return WAITING if tree.root.result else ABORTED
            case "growing":
                size = self.size(tree)
                if size == 0:
                    return HALTED
                if any(one.awaited or one.waiting for one in tree.messages):
                    return None
                if size >= tree.goal or self.reply_places(tree) == 0:
                    return RANKING
            case "ranking" if not self.ranking_places(tree) and not any(one.waiting for one in tree.messages):
                return EXPORT if self.scoring_works else FAILED
        return None

    def size(self, tree: Tree) -> int:
        return sum(1 for one in tree.messages if one.standing)

    def _share(self, message: Message) -> tuple[int, Fraction]:
        """Return how many reviews decide, and the share of accepting reviewers to exceed."""
        rules = self.rules_of(message.tree.lang)
        if message.parent is None:
            return rules.num_reviews_initial_prompt, Fraction(str(rules.acceptance_threshold_initial_prompt))
        return rules.num_reviews_reply, Fraction(str(rules.acceptance_threshold_reply))

    def _tally(self, message: Message, votes: list[bool]) -> tuple[int, int, int, Fraction]:
        wanted, share = self._share(message)
        rejecting = sum(votes)
        return len(votes) - rejecting, rejecting, max(0, wanted - len(votes)), share

    def verdict(self, message: Message) -> bool | None:
        """Return what the reviewers decided in their order of arrival; None if open.

        Later votes change nothing: after a change of the rules, the first votes may have decided already.
        """
        votes = list(message.votes.values())
        found = (self._verdict(message, votes[:many]) for many in range(1, len(votes) + 1))
        return next((result for result in found if result is not None), None)

    def _verdict(self, message: Message, votes: list[bool]) -> bool | None:
        """Return the decision of a fixed number of reviewers whatever the missing ones say; None if open."""
        keeping, rejecting, missing, share = self._tally(message, votes)
        total = keeping + rejecting + missing
        if Fraction(keeping, total) > share:
            return True
        return None if Fraction(keeping + missing, total) > share else False

    def reviews_at_once(self, message: Message) -> int:
        """Return the smallest number of further reviews that could decide."""
        keeping, rejecting, missing, share = self._tally(message, list(message.votes.values()))
        total = keeping + rejecting + missing
        return next(
            more
            for more in range(missing + 1)
            if Fraction(keeping + more, total) > share or not Fraction(keeping + missing - more, total) > share
        )

    def rankable(self, tree: Tree) -> Iterator[tuple[Message, list[Message]]]:
        for parent in tree.messages:
            replies = [one for one in tree.children(parent) if one.standing]
            asked = parent.role == "prompter" or self.rules_of(tree.lang).rank_prompter_replies
            if asked and len(replies) > 1:
                yield parent, replies

    def ranking_places(self, tree: Tree) -> Counter[Place]:
        found: Counter[Place] = Counter()
        for parent, replies in self.rankable(tree):
            lacking = self.rules_of(tree.lang).num_required_rankings - min(reply.ranking_count for reply in replies)
            if lacking > 0:
                found[parent.id, parent.ranking_work] = lacking
        return found

    def limit(self, parent: Message) -> int:
        tree = parent.tree
        return tree.most_answers if parent.role == "prompter" else self.rules_of(tree.lang).num_prompter_replies

    def filled(self, parent: Message) -> int:
        """Replies that count: accepted or undecided."""
        return sum(1 for c in parent.tree.children(parent) if c.result is not False and not c.out)

    def being_written(self, tree: Tree) -> Counter[Place]:
        """Replies being written below messages of the conversation."""
        tasks = [t for t in self.tasks.values() if t.kind in REPLIES and self.holds(t)]
        return Counter(
            (t.message.id, t.kind) for t in tasks if t.message is not None and t.message.tree is tree and self.fits(t)
        )

    def fits(self, task: Task) -> bool:
        """Return True if this reply can still be used: its parent is part of the conversation."""
        message = task.message
        if message is None or message.deleted or message.paused:
            return False
        return message.connected and message.result is not False

    def reply_places(self, tree: Tree) -> int:
        """Return as many as are being written, plus what the conversation needs and has room for."""
        writing = self.being_written(tree)
        lacking = tree.goal - self.size(tree) - sum(1 for one in tree.messages if one.awaited)
        room = sum(
            max(0, self.limit(parent) - self.filled(parent) - writing[parent.id, parent.reply_work])
            for parent in tree.messages
            if parent.standing and not parent.paused and parent.depth < tree.deepest
        )
        return writing.total() + max(0, min(lacking - writing.total(), room))

    def _open(self, tree: Tree) -> None:
        """Remove openings without use, held or not; keep held ones; make the rest exact."""
        offers = OFFERS.get(tree.state, set())
        for task in self.tasks.values():
            if task.message is None or task.message.tree is not tree:
                continue
            useless = task.message.deleted or task.message.paused or (task.kind in REPLIES and not self.fits(task))
            if task.kind not in offers or useless:
                task.held_until = None
        wanted: Counter[Place] = Counter()
        if tree.state in (REVIEW, GROWING):
            for message in tree.messages:
                if message.awaited and not message.paused and message.review_work in offers:
                    wanted[message.id, message.review_work] = self.reviews_at_once(message)
        elif tree.state == RANKING:
            resting = {(one.parent or one).id for one in tree.messages if one.waiting}  # a ranking needs all replies
            asked = self.ranking_places(tree)
            for place in [one for one in asked if one[0] in resting or self.messages[one[0]].paused]:
                del asked[place]
            wanted = asked
        for task in self.tasks.values():
            place = self.place_of(task)
            if place and task.kind not in REPLIES and self.messages[place[0]].tree is tree and self.holds(task):
                wanted[place] = max(wanted[place], self.holders(place))
        tree.places = wanted
        tree.replies = self.reply_places(tree) if tree.state == GROWING else 0

    def accept_places(self, tree: Tree, found: Counter[Place]) -> None:
        """Check where the openings for replies are, and use that from now on."""
        replies = Counter({place: count for place, count in found.items() if place[1] in REPLIES})
        assert found - replies == +tree.places, f"{found - replies} instead of {+tree.places}"
        assert replies.total() == tree.replies, f"{replies} instead of {tree.replies} places"
        writing = self.being_written(tree)
        assert replies >= writing, f"{replies} although {writing} are being written"
        for (message_id, work), count in replies.items():
            parent = self.messages[message_id]
            if count == writing[message_id, work]:
                continue
            assert work == parent.reply_work and parent.standing and not parent.paused
            assert parent.depth < tree.deepest
            assert self.filled(parent) + count <= self.limit(parent), f"{count} more replies to {parent}"
        tree.places += replies
        tree.replies = None

    def _order_again(self, tree: Tree) -> None:
        if tree.state == EXPORT:
            self._order(tree)

    def _order(self, tree: Tree) -> None:
        for parent in {vote.parent.id: vote.parent for vote in tree.votes}.values():
            siblings = tree.children(parent)
            standing = [one.id for one in siblings if one.result and not (one.out or one.withdrawn)]
            votes = [vote.order for vote in tree.votes if vote.parent is parent and not vote.not_rankable]
            order = consensus(votes, standing)
            for one in siblings:
                one.rank = order.index(one.id) if one.id in order else None

    # --- no tree is stuck ---

    def way_forward(self, tree: Tree) -> str:
        """Return what moves this tree on; empty if nothing does."""
        if tree.state in (EXPORT, ABORTED):
            return "it is finished"
        if tree.places.total() > 0:
            return "somebody takes a place, or a hold ends"
        if tree.state == WAITING:
            return "the lottery, when others have finished" if tree.root.author not in self.banned else "an unban"
        if tree.state == BACKLOG:
            return "rankers, when they have room" if self.rules_of(tree.lang).min_active_rankings else "an operator"
        if tree.state == FAILED:
            return "the clock tries again"
        if tree.state == HALTED and not tree.root.deleted:
            return "a moderator resumes it"
        if any(one.paused for one in tree.messages):
            return "a moderator decides about what is hidden"
        if tree.root.withdrawn and tree.root.deleted:
            return "nothing: its author withdrew the prompt"
        gone = any(tree.root in one.messages and not one.undone for one in self.removals.values())
        return "a moderator brings the prompt back" if tree.state == HALTED and gone else ""


def consensus(votes: list[list[UUID]], candidates: list[UUID]) -> list[UUID]:
    """Ranked pairs by definition: lock the strongest majorities without cycles, ties by the smaller id."""
    pool = sorted(candidates)
    votes = [[one for one in vote if one in pool] for vote in votes]
    compared = {one for vote in votes if len(vote) > 1 for one in vote}
    margin = {
        (a, b): sum(
            (vote.index(a) < vote.index(b)) - (vote.index(a) > vote.index(b)) for vote in votes if {a, b} <= set(vote)
        )
        for a in pool
        for b in pool
        if a != b and {a, b} <= compared
    }
    above: dict[UUID, set[UUID]] = {one: set() for one in pool if one in compared}
    for a, b in sorted((pair for pair in margin if margin[pair] >= 0), key=lambda pair: (-margin[pair], pair)):
        if b not in _reach(above, a):
            above[b].add(a)
    return sorted(above, key=lambda one: len(_reach(above, one)))


def _reach(above: dict[UUID, set[UUID]], one: UUID) -> set[UUID]:
    """Return everything above it, directly or not."""
    found: set[UUID] = set()
    waiting = [one]
    while waiting:
        fresh = above[waiting.pop()] - found
        found |= fresh
        waiting += fresh
    return found
