"""Prompts with vectors, written at once: the services and an embedding model would take much longer."""

from collections.abc import Sequence

import numpy as np
from django.db import transaction

from oasst.accounts.models import User
from oasst.core.ids import uuid7
from trees.contributing.posting import hash_text
from trees.lifecycle.states import State, Work
from trees.models import DIMENSIONS, Message, MessageEmbedding, MessageTree, Opening, Review, Revision

MODEL = "made@1"


def good_text(number: int) -> str:
    return f"How long should sourdough bread rest before baking, batch {number}?"


def bad_text(number: int) -> str:
    return f"Jackpot! Free xylophone casino quiz bonus {number}"


def vector_of(text: str) -> "np.ndarray":
    """Return a vector of length 1: near one axis for good texts, near another for bad ones."""
    vector = np.random.default_rng(len(text) + sum(text.encode())).normal(0, 0.01, DIMENSIONS)
    vector[int(text.startswith("Jackpot"))] = 1
    return vector / np.linalg.norm(vector)


def make_prompts(
    texts: Sequence[str], author: User, *, reviewer: User | None = None, lang: str = "en", model: str = MODEL
) -> list[Message]:
    """Store prompts that wait for two reviews; with `reviewer`, those that this user has accepted or rejected."""
    trees, messages, openings, reviews, vectors = [], [], [], [], []
    for text in texts:
        is_good = not text.startswith("Jackpot")
        state = State.INITIAL_PROMPT_REVIEW if reviewer is None else State.READY_FOR_EXPORT
        tree = MessageTree(id=uuid7(), lang=lang, state=state, goal_tree_size=1, max_depth=1, max_children_count=1)
        message = Message(
            id=tree.pk,
            tree=tree,
            role="prompter",
            depth=0,
            position=0,
            lang=lang,
            text=text,
            text_digest=hash_text(text),
            author=author,
            frontend_message_id=str(tree.pk),
            review_result=None if reviewer is None else is_good,
            review_count=int(reviewer is not None),
        )
        message.revision = Revision(message=message, text=text)
        trees.append(tree)
        messages.append(message)
        vectors.append(
            MessageEmbedding(
                message=message,
                revision=message.revision,
                lang=lang,
                is_prompt=True,
                model=model,
                vector=vector_of(text),
            )
        )
        if reviewer is None:
            work = Work.LABEL_INITIAL_PROMPT.value
            openings += [Opening(tree=tree, message=message, work=work, lang=lang) for _ in range(2)]
        else:
            labels = {"spam": float(not is_good), "quality": 0.75 if is_good else 0.25}
            reviews.append(Review(message=message, revision=message.revision, author=reviewer, labels=labels))
    with transaction.atomic():
        MessageTree.objects.bulk_create(trees)
        Revision.objects.bulk_create([message.revision for message in messages])
        Message.objects.bulk_create(messages)
        MessageEmbedding.objects.bulk_create(vectors)
        Opening.objects.bulk_create(openings)
        Review.objects.bulk_create(reviews)
    return messages
