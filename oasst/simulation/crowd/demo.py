"""The demo site: imported finished conversations, and conversations of demo users at every stage.

Demo users act through the services that the pages call. Their texts come from conversations of the sample file, so that
answers fit; the import leaves these conversations out.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.utils import timezone

from oasst.accounts.consent import accept_terms
from oasst.accounts.models import Role, User
from oasst.accounts.registration import create_user
from oasst.core.json_lines import read_lines
from tasks import assignment, hot, lottery, submission
from tasks.kinds import TABLE, Kind
from tasks.models import Task
from trees.contributing.reviews import requested_labels
from trees.interchange.importer import ImportResult, import_files
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import ACTIVE, State
from trees.lifecycle.states import TABLE as STATES
from trees.models import Message, MessageTree

LANG = "en"
DOMAIN = "demo.invalid"
NAMES = ("Ada", "Ben", "Chidi", "Dana", "Emre", "Fatou", "Goran", "Hana", "Ines", "Jamal", "Kaya", "Lena")
MODERATOR = "Mo"

FINISHED = "Why does the second batch of pancakes brown much faster?"
RANKING = "What is the best way to form a new habit?"
GROWING = "What differences are there between ChatGPT and Instructional GPT?"
PLAYED = (FINISHED, RANKING, GROWING)  # conversations of the sample that the demo users write
NEW_AND_DRAWN = "How does the manual transmission work?"
WAITING = ("What are the steps to creating homemade paper using bark?", "Why does kombucha have bubbles?")
IN_REVIEW = (
    'What is the etymology of the word "barn"? What is the origin of this word?',
    "If there is no friction in space, why do massive sci-fi ships have equally massive rockets?",
    "I have a portafilter espresso machine but my espresso tastes very bitter. "
    "Do you have an idea what I'm doing wrong?",
)
MAX_STEPS = 400  # of one conversation; far more than any needs


class CannotSeed(Exception):
    """The demo could not be made; the message says why."""


def import_samples(folder: Path, policy: TreePolicy) -> ImportResult:
    """Import the finished conversations of the sample, without those that the demo users will write."""
    lines = read_lines(folder / "trees_en_50.jsonl")
    finished = [line for line in lines if json.loads(line)["prompt"]["text"] not in PLAYED]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "trees_en_50.jsonl"  # the import stores its name as the origin
        file.write_text("\n".join(finished) + "\n", encoding="utf-8")
        return import_files([file], policy=policy)


def has_work_of_others() -> bool:
    """Return True if other users have unfinished trees in the demo's language, which a demo must not touch."""
    trees = MessageTree.objects.filter(lang=LANG, state__in=[*ACTIVE, State.PROMPT_LOTTERY_WAITING])
    return trees.exclude(messages__parent=None, messages__author__email__endswith=f"@{DOMAIN}").exists()


def find_people() -> list[User]:
    return list(User.objects.filter(email__endswith=f"@{DOMAIN}", role=Role.GENERAL).order_by("email"))


def make_people(password: str | None) -> list[User]:
    """Create the demo users that do not exist yet. With a password, the first one and the moderator can sign in."""
    made = []
    for name in (*NAMES, MODERATOR):
        email = f"{name.lower()}@{DOMAIN}"
        if not User.objects.filter(email=email).exists():
            role = Role.MODERATOR if name == MODERATOR else Role.GENERAL
            own = password if name in (NAMES[0], MODERATOR) else None
            user = create_user(email=email, display_name=f"{name} (demo)", role=role, password=own, vary_name=True)
            accept_terms(user)
            made.append(user)
    return made


class Stage:
    """Takes conversations to each stage. Existing ones stay as they are."""

    def __init__(self, folder: Path, people: list[User], policy: TreePolicy) -> None:
        self.people = people
        self.policy = policy
        lines = read_lines(folder / "trees_en_50.jsonl")
        self._replies = dict(_replies_by_text([json.loads(line)["prompt"] for line in lines]))

    def set(self) -> None:
        self._lead(FINISHED, State.READY_FOR_EXPORT)
        self._lead(RANKING, State.RANKING)
        self._grow()
        if not self._tree(NEW_AND_DRAWN):
            self._accept([NEW_AND_DRAWN])
            lottery.draw(LANG, self.policy)
        if not self._tree(WAITING[0]):
            self._accept(list(WAITING), then_post=list(IN_REVIEW))

    def _lead(self, prompt: str, goal: State) -> None:
        """Take one conversation to its goal state. Needs a site without other open work of these kinds."""
        tree = self._tree(prompt)
        if tree is None:
            self._accept([prompt])
            lottery.draw(LANG, self.policy)
            tree = self._tree(prompt)
        assert tree is not None
        for step in range(MAX_STEPS):
            tree.refresh_from_db()
            if tree.state == goal or not STATES[State(tree.state)].offers:
                return
            self._do_something(self.people[step % len(self.people)])
        raise CannotSeed(f"The conversation “{prompt}” does not get on: it is in {tree.state}.")

    def _do_something(self, user: User) -> None:
        open_tasks = Task.objects.filter(user=user, status=Task.Status.OPEN).select_related("message")
        task = open_tasks.exclude(kind=Kind.INITIAL_PROMPT.value).first()
        if task is None:
            # Any kind, since asking for replies by kind would soon reach the rate limits.
            task = self._take(user, None) if hot.available_kinds(user, LANG, timezone.now()) else None
        if task is not None and task.kind == Kind.INITIAL_PROMPT:
            assignment.skip(task_id=task.pk, user=user, policy=self.policy)
        elif task is not None:
            self._answer(task)

    def _grow(self) -> None:
        """Make a growing conversation that offers every kind of work."""
        if self._tree(GROWING):
            return
        self._accept([GROWING])
        lottery.draw(LANG, self.policy)
        writers, reviewers = self.people[1:4], self.people[4:]
        for writer in writers[:2]:
            self._answer(self._take(writer, Kind.ASSISTANT_REPLY))
        while Message.objects.filter(tree=self._tree(GROWING), review_result=None).exists():
            for reviewer in reviewers:
                if Kind.LABEL_ASSISTANT_REPLY in hot.available_kinds(reviewer, LANG, timezone.now()):
                    self._answer(self._take(reviewer, Kind.LABEL_ASSISTANT_REPLY))
        self._answer(self._take(self.people[0], Kind.PROMPTER_REPLY))
        self._answer(self._take(writers[2], Kind.ASSISTANT_REPLY))

    def _accept(self, prompts: list[str], then_post: list[str] | None = None) -> None:
        """Post prompts and review them. All tasks are requested first, since each request draws the lottery, and the
        accepted prompts are meant to wait for it.
        """
        authors = dict(zip([*prompts, *(then_post or [])], self.people, strict=False))
        tasks = {prompt: self._take(author, Kind.INITIAL_PROMPT) for prompt, author in authors.items()}
        for prompt in prompts:
            self._answer(tasks[prompt], prompt)
        reviewers = [user for user in self.people if user not in authors.values()]
        reviews = [
            self._take(reviewer, Kind.LABEL_INITIAL_PROMPT)
            for _ in prompts
            for reviewer in reviewers[: self.policy.in_language(LANG).num_reviews_initial_prompt]
            if Kind.LABEL_INITIAL_PROMPT in hot.available_kinds(reviewer, LANG, timezone.now())
        ]
        for review in reviews:
            self._answer(review)
        for prompt in then_post or []:
            self._answer(tasks[prompt], prompt)

    def _tree(self, prompt: str) -> MessageTree | None:
        root = Message.objects.filter(parent=None, author__in=self.people, text=prompt).select_related("tree").first()
        return root.tree if root else None

    def _take(self, user: User, kind: Kind | None) -> Task:
        return assignment.request_task(user=user, lang=LANG, kind=kind, policy=self.policy)

    def _answer(self, task: Task, text: str = "") -> None:
        arguments: dict[str, Any] = {"task_id": task.pk, "user": task.user, "policy": self.policy}
        match TABLE[Kind(task.kind)].answer:
            case "text":
                submission.submit_text(text=text or self._reply_to(task), **arguments)
            case "labels":
                assert task.message is not None
                opinion = {"spam": 0.0, "quality": 0.75, "toxicity": 0.0}
                asked = requested_labels(task.message, task.mode, self.policy)
                submission.submit_labels(labels={name: opinion.get(name) for name in asked}, **arguments)
            case "ranking":
                # The longest first, as most rankers of the sample seem to prefer.
                texts = dict(Message.objects.filter(pk__in=task.reply_ids).values_list("pk", "text"))
                order = sorted(task.reply_ids, key=lambda pk: (-len(texts[pk]), pk))
                submission.submit_ranking(ordered_ids=order, **arguments)

    def _reply_to(self, task: Task) -> str:
        """Return the sample's first reply to this message that is not used yet, or a made-up one."""
        assert task.message is not None
        used = set(Message.objects.filter(parent=task.message).values_list("text", flat=True))
        known = self._replies.get(task.message.text, [])
        if unused := [text for text in known if text not in used]:
            return unused[0]
        if task.kind == Kind.PROMPTER_REPLY:
            return "Thank you. Could you give me an example that I can try at home?"
        shortened = known[0].split("\n\n")[0] if known else "I would start small and see how it goes."
        return f"In short: {shortened}" + "!" * sum(text.startswith("In short") for text in used)


def _replies_by_text(roots: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    waiting = list(roots)
    while waiting:
        node = waiting.pop()
        replies = node.get("replies") or []
        waiting.extend(replies)
        yield node["text"], [reply["text"] for reply in replies if len(reply["text"]) < 2000]
