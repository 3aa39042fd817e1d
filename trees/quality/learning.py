"""Learn every night what reviewers say of texts, from what they said, and how far such predictions can be trusted."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

import structlog
from django.db import transaction
from django.db.models import Avg, Count, F, FloatField
from django.db.models.fields.json import KT
from django.db.models.functions import Cast
from django.utils import timezone

from oasst.core.locks import advisory_lock
from trees.enrichment import embeddings
from trees.models import MessageEmbedding, QualityModel, Review
from trees.quality import features
from trees.quality.assessment import Assessment, assess
from trees.quality.linear import PENALTY, fit_logistic, fit_ridge, linear_predictor, probability

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from trees.quality.linear import Floats, Matrix

log = structlog.get_logger(__name__)

LEARNED_FROM = 20_000
"""The newest decided texts. More changes little about 388 weights, and memory and time stay bounded."""
LEAST_TEXTS = 200
LEAST_OF_EACH = 20
"""Accepted and rejected texts."""
LEAST_OF_LANGUAGE = 1_000
"""Texts of a language that may have a model of its own."""
FOLDS = 5
DIGITS = 6
"""Weights are rounded to so many decimals, so that the order of additions does not change their version."""

Say = Callable[[str], None]
Target = QualityModel.Target
State = QualityModel.State


@dataclass(frozen=True)
class Examples:
    """Texts and what reviewers said of them, 0 to 1. `groups` numbers their conversations from 0."""

    rows: "Matrix"
    answers: "Floats"
    langs: "NDArray[np.str_]"
    trees: tuple[UUID, ...]

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def groups(self) -> "NDArray[np.int64]":
        import numpy as np

        numbers = {tree: number for number, tree in enumerate(dict.fromkeys(self.trees))}
        return np.array([numbers[tree] for tree in self.trees], dtype=np.int64)

    @property
    def folds(self) -> "NDArray[np.int64]":
        """Return the part of each text: whole conversations, chosen by a hash that stays the same."""
        import numpy as np

        return np.array([fold_of(tree) for tree in self.trees], dtype=np.int64)

    def where(self, mask: "NDArray[np.bool_]") -> "Examples":
        trees = tuple(tree for tree, chosen in zip(self.trees, mask, strict=True) if chosen)
        return replace(self, rows=self.rows[mask], answers=self.answers[mask], langs=self.langs[mask], trees=trees)


@dataclass(frozen=True)
class Unseen:
    """What models that had not seen a text predict for it, and what the mean of the other texts does."""

    predicted: "Floats"
    base: "Floats"


def fold_of(tree: UUID) -> int:
    return hashlib.sha256(tree.bytes).digest()[0] % FOLDS


def learn(say: Say = lambda line: None) -> list[QualityModel]:
    """Learn all models again, store them, and return them; an empty list if there are no vectors to learn from.

    Nothing is locked while it computes, and everything is stored in one transaction at the end: if it is killed, the
    earlier models stay. Of two runs at the same time the one that began later is stored. The same rows give the same
    weights.
    """
    if not embeddings.is_on():
        return []
    began = timezone.now()
    model = _embedding_model()
    if model is None:
        return []
    examples = read_examples(model)
    learned = []
    for target, found in examples.items():
        learned += learn_target(target, found, say)
    for one in learned:
        one.embedding_model, one.learned_at = model, began
        one.version = version_of(one)
    _store(learned)
    log.info("quality_learned", models=[f"{one.target}/{one.lang}: {one.state}" for one in learned])
    return learned


def _embedding_model() -> str | None:
    """Return the embedding model that most messages were read by: vectors of two are not mixed."""
    counted = MessageEmbedding.objects.values_list("model").annotate(number=Count("pk"))
    return next((model for model, _ in counted.order_by("-number", "model")[:1]), None)


def read_examples(model: str) -> dict[QualityModel.Target, Examples]:
    """Return the newest decided texts for each target. Texts that a file calls accepted, without reviews, do not count:
    nobody looked at them.
    """
    import numpy as np

    decided = (
        features.present_texts()
        .filter(model=model, message__review_result__isnull=False, message__review_count__gt=0)
        .order_by("-message")[:LEARNED_FROM]
    )
    given = "message__imported__given__labels__quality__value"
    facts: list[tuple[Any, ...]] = []
    parts: list[Matrix] = []
    for values, rows in features.read_features(
        decided, "message_id", "message__review_result", "message__lang", "message__tree_id", given
    ):
        own = _quality_of([pk for pk, *_ in values])
        facts += [(accepted, own.get(pk, file), lang, tree) for pk, accepted, lang, tree, file in values]
        parts.append(rows)
    all_rows = np.concatenate(parts) if parts else np.zeros((0, 1), dtype=np.float32)
    return {
        Target.ACCEPTED: _examples(all_rows, [(float(accepted), lang, tree) for accepted, _, lang, tree in facts]),
        Target.QUALITY: _examples(all_rows, [(quality, lang, tree) for _, quality, lang, tree in facts]),
    }


def _quality_of(message_ids: list[UUID]) -> dict[UUID, float]:
    """Return the mean answer about the quality of each present text that has one. One statement."""
    rows = Review.objects.filter(
        message__in=message_ids, revision=F("message__revision"), kind=Review.Kind.REVIEW
    ).order_by()
    means = rows.values_list("message").annotate(mean=Avg(Cast(KT("labels__quality"), FloatField())))
    return {pk: mean for pk, mean in means if mean is not None}


def _examples(rows: "Matrix", facts: list[tuple[Any, str, UUID]]) -> Examples:
    import numpy as np

    answers = np.array([_number(answer) for answer, _, _ in facts], dtype=np.float64)
    langs = np.array([lang for _, lang, _ in facts], dtype=np.str_)
    known = np.isfinite(answers) & np.isfinite(rows).all(axis=1)
    examples = Examples(rows, answers, langs, tuple(tree for *_, tree in facts))
    return examples if known.all() else examples.where(known)


def _number(answer: Any) -> float:
    """Return an answer from 0 to 1, or NaN for none: files may hold anything."""
    if isinstance(answer, bool | int | float) and 0 <= answer <= 1:
        return float(answer)
    return float("nan")


def learn_target(target: QualityModel.Target, examples: Examples, say: Say) -> list[QualityModel]:
    """Return the model of all languages, and those of languages that do better with their own."""
    import numpy as np

    if not _suffices(target, examples):
        say(_too_few(target, examples))
        return [QualityModel(target=target, lang="", state=State.TOO_FEW, weights=[], texts=len(examples))]
    shared = predict_unseen(target, examples)
    found = [_model(target, "", examples, shared)]
    say(_sentence(found[0]))
    sizes = Counter(examples.langs.tolist())
    for lang in sorted(lang for lang, number in sizes.items() if LEAST_OF_LANGUAGE <= number < len(examples)):
        mine = examples.langs == lang
        part = examples.where(mine)
        if not _suffices(target, part):
            continue
        own = predict_unseen(target, part)
        if np.square(own.predicted - part.answers).mean() < np.square(shared.predicted[mine] - part.answers).mean():
            found.append(_model(target, lang, part, own))
            say(_sentence(found[-1]))
    return found


def _too_few(target: QualityModel.Target, examples: Examples) -> str:
    """Return what is there and what is needed: a thousand accepted texts do not suffice without rejected ones."""
    have, needed = f"{len(examples)} texts", f"{LEAST_TEXTS}"
    if target == Target.ACCEPTED:
        accepted = int((examples.answers > 0.5).sum())
        have += f", {accepted} accepted and {len(examples) - accepted} rejected"
        needed += f", at least {LEAST_OF_EACH} of each, from several conversations"
    return f"{target.label}: too few to learn from: {have}. Needed are {needed}."


def _suffices(target: QualityModel.Target, examples: Examples) -> bool:
    if len(examples) < LEAST_TEXTS:
        return False
    if target == Target.QUALITY:
        return True
    good, folds = examples.answers > 0.5, examples.folds
    rare = min(good.sum(), (~good).sum())
    # Each fold is predicted from the others, which need texts of both kinds.
    rest = (examples.answers[folds != fold] for fold in range(FOLDS))
    return bool(rare >= LEAST_OF_EACH and all(0 < part.mean() < 1 for part in rest if len(part)))


def predict_unseen(target: QualityModel.Target, examples: Examples, *, penalty: float = PENALTY) -> Unseen:
    """Predict each fifth of the conversations from the other four."""
    import numpy as np

    predicted, base, folds = np.zeros(len(examples)), np.zeros(len(examples)), examples.folds
    for fold in range(FOLDS):
        seen, unseen = folds != fold, folds == fold
        if unseen.any() and seen.any():
            weights = fit(target, examples.rows[seen], examples.answers[seen], penalty)
            predicted[unseen] = predict(target, examples.rows[unseen], weights)
            base[unseen] = examples.answers[seen].mean()
    return Unseen(predicted, base)


def fit(target: QualityModel.Target, rows: "Matrix", answers: "Floats", penalty: float = PENALTY) -> "Floats":
    return (fit_logistic if target == Target.ACCEPTED else fit_ridge)(rows, answers, penalty=penalty)


def predict(target: str, rows: "Matrix", weights: "Floats") -> "Floats":
    """Return what a model predicts, 0 to 1."""
    scores = linear_predictor(rows, weights)
    return probability(scores) if target == Target.ACCEPTED else scores.clip(0, 1)


def _model(target: QualityModel.Target, lang: str, examples: Examples, unseen: Unseen) -> QualityModel:
    found = assess_unseen(target, examples, unseen)
    weights = fit(target, examples.rows, examples.answers).round(DIGITS)
    return QualityModel(
        target=target,
        lang=lang,
        state=State.IN_FORCE if found.is_useful else State.NO_BETTER,
        weights=weights.tolist(),
        texts=len(examples),
        figures=found.as_data(),
    )


def assess_unseen(target: QualityModel.Target, examples: Examples, unseen: Unseen) -> Assessment:
    binary = target == Target.ACCEPTED
    return assess(unseen.predicted, unseen.base, examples.answers, examples.groups, binary=binary)


def _sentence(model: QualityModel) -> str:
    figures = model.figures
    saved = "{skill:.1%} ({skill_low:.1%} to {skill_high:.1%}) less error than a constant prediction".format(**figures)
    curve = ", AUC {auc:.3f} ({auc_low:.3f} to {auc_high:.3f})".format(**figures) if figures["auc"] is not None else ""
    return f"{model}: {State(model.state).label.lower()}; {model.texts} texts, {saved}{curve}."


def version_of(model: QualityModel) -> str:
    read = repr((features.FORM, model.target, model.embedding_model, model.state, model.weights))
    return hashlib.sha256(read.encode()).hexdigest()[:12]


def _store(learned: list[QualityModel]) -> None:
    """Replace all models, unless a run that began later has done so."""
    with transaction.atomic(durable=True):
        advisory_lock("trees.quality")
        if QualityModel.objects.filter(learned_at__gt=learned[0].learned_at).exists():
            return
        kept = []
        for model in learned:
            fields = ("state", "embedding_model", "version", "weights", "texts", "figures", "learned_at")
            row, _ = QualityModel.objects.update_or_create(
                target=model.target, lang=model.lang, defaults={name: getattr(model, name) for name in fields}
            )
            kept.append(row.pk)
        QualityModel.objects.exclude(pk__in=kept).delete()
