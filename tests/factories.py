"""Trees and users in any stage, made by calling the real services."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from itertools import count
from uuid import uuid4

from django.db import transaction
from django.utils import timezone

from oasst.accounts.consent import accept_terms
from oasst.accounts.models import User
from oasst.accounts.registration import create_user
from tasks import lottery
from trees.contributing import posting, reviews
from trees.lifecycle import transitions
from trees.lifecycle.locked_tree import lock_tree
from trees.lifecycle.policy import TreePolicy
from trees.lifecycle.states import RANKING_WORK, REPLY_WORK, REVIEW_WORK, State
from trees.models import Message, MessageTree, Opening, Ranking, Review, Role

_number = count(1)
DEFAULT = TreePolicy()
PASSWORD = "correct horse battery"


def new_person(name: str, role: str = "general") -> User:
    mailbox = f"{name.lower().replace(' ', '.')}{next(_number)}@example.org"
    person = create_user(email=mailbox, display_name=name, role=role, password=PASSWORD, vary_name=True)
    accept_terms(person)
    return person


def new_people(number: int) -> list[User]:
    return [new_person(f"Person {next(_number)}") for _ in range(number)]


def new_veterans(number: int, policy: TreePolicy = DEFAULT) -> list[User]:
    """Create users whose complaints count: not new, with one review that agreed with the others. Each also leaves a
    prompt in another language.
    """
    people = new_people(number)
    wanted = int((number - 1) / policy.acceptance_threshold_initial_prompt) + 1
    rule = replace(policy, num_reviews_initial_prompt=wanted)
    prompt = new_prompt(new_person("Writer"), policy=rule, lang="eo")
    for person in people:
        review(prompt, person, policy=rule)
    prompt.refresh_from_db()
    assert prompt.review_result
    backdate(people, days=policy.complaint_min_age_days + 1)
    return people


def backdate(people: Iterable[User], *, days: float) -> None:
    """Set how long these users have been here."""
    at = timezone.now() - timedelta(days=days)
    User.objects.filter(pk__in=[person.pk for person in people]).update(created_at=at)


def new_prompt(author: User, text: str = "", policy: TreePolicy = DEFAULT, lang: str = "en") -> Message:
    text = text or f"How do I bake bread number {next(_number)}?"
    with transaction.atomic():
        return posting.post_prompt(author=author, text=text, lang=lang, policy=policy)


def new_reply(parent: Message, author: User, text: str = "", policy: TreePolicy = DEFAULT) -> Message:
    text = text or f"Take flour, water, salt and {next(_number)} hours of patience."
    with transaction.atomic():
        return posting.post_reply(parent=parent, author=author, text=text, policy=policy)


def review(message: Message, reviewer: User, *, spam: float = 0, policy: TreePolicy = DEFAULT) -> Review:
    with transaction.atomic():
        return reviews.record_labels(message=message, author=reviewer, labels={"spam": spam}, policy=policy)


def decide(message: Message, *, accept: bool = True, policy: TreePolicy = DEFAULT) -> None:
    """Let as many new users review the message as needed."""
    message.refresh_from_db()
    while message.review_result is None:
        review(message, new_person("Reviewer"), spam=0 if accept else 1, policy=policy)
        message.refresh_from_db(fields=["review_result", "review_count"])


def growing_tree(author: User, policy: TreePolicy = DEFAULT, lang: str = "en") -> Message:
    """Return a prompt that was accepted and drawn."""
    prompt = new_prompt(author, policy=policy, lang=lang)
    decide(prompt, policy=policy)
    lottery.draw(lang, policy)
    assert state_of(prompt) == State.GROWING
    return prompt


def work_until_state(tree_id: object, state: State, policy: TreePolicy = DEFAULT, limit: int = 500) -> None:
    """Let new users do the work that the tree wants until it is in `state`."""
    for _ in range(limit):
        tree = MessageTree.objects.get(pk=tree_id)
        if tree.state == state:
            return
        opening = Opening.objects.filter(tree=tree).order_by("-priority", "id").first()
        assert opening is not None, f"the tree is stuck in {tree.state}"
        do_work(opening, new_person("Worker"), policy)
    raise AssertionError(f"the tree did not reach {state}")


def do_work(opening: Opening, person: User, policy: TreePolicy = DEFAULT) -> None:
    message = opening.message
    if opening.work in REVIEW_WORK:
        review(message, person, policy=policy)
    elif opening.work in REPLY_WORK:
        new_reply(message, person, policy=policy)
    elif opening.work in RANKING_WORK:
        rank(message, person, policy=policy)


def rank(parent: Message, person: User, policy: TreePolicy = DEFAULT, **kwargs: object) -> Ranking:
    """Rank the accepted replies in the order of their creation."""
    replies = Message.objects.filter(parent=parent, review_result=True, deleted=False).order_by("position")
    if not policy.rank_prompter_replies:
        replies = replies.filter(role=Role.ASSISTANT)
    ids = [reply.pk for reply in replies]
    with transaction.atomic():
        return reviews.record_ranking(
            parent=parent,
            author=person,
            ordered_ids=ids,
            policy=policy,
            **kwargs,  # type: ignore[arg-type]
        )


def conversation(answers: int = 2, lang: str = "en", accepted: bool = True) -> dict[str, object]:
    """Return a line of a file: a finished tree of one message and some answers."""
    root = str(uuid4())
    about = {"lang": lang, "review_result": accepted}
    replies = [
        {"message_id": str(uuid4()), "parent_id": root, "text": f"Answer {n}", "role": "assistant", **about}
        for n in range(answers)
    ]
    prompt = {"message_id": root, "text": "Why?", "role": "prompter", "replies": replies, **about}
    return {"message_tree_id": root, "tree_state": "ready_for_export", "prompt": prompt}


def delete(message: Message, policy: TreePolicy = DEFAULT) -> None:
    """Mark a message and everything below it as deleted, and let the tree react."""
    with transaction.atomic():
        locked = lock_tree(message.tree_id, policy)
        gone = {message.pk}
        for one in sorted(locked.messages.values(), key=lambda m: m.depth):
            if one.pk in gone or one.parent_id in gone:
                gone.add(one.pk)
                one.deleted = True
        Message.objects.filter(pk__in=gone).update(deleted=True)
        transitions.advance(locked)


def state_of(message: Message) -> State:
    return State(MessageTree.objects.get(pk=message.tree_id).state)
