"""Names of people, where the operator installed a spaCy model for the language of a text.

spaCy is no dependency of the site: its models are large, and a name alone is often that of a public person. Names are
marked for moderators only; writers are not asked about them.
"""

import threading
from functools import cache
from importlib.util import find_spec
from typing import Any

_PERSON = frozenset({"PER", "PERSON"})
# The usual names of spaCy's packages, small first; the last knows names in many languages.
_PATTERNS = ("{lang}_core_web_sm", "{lang}_core_news_sm", "{lang}_core_web_md", "{lang}_core_news_md")
_MANY_LANGUAGES = "xx_ent_wiki_sm"
_lock = threading.Lock()


def find_names(text: str, lang: str) -> list[tuple[int, int]]:
    """Return start and end, in characters, of names of people; empty without a model for the language."""
    model = installed_model(lang)
    if not model:
        return []
    with _lock:  # a pipeline serves one thread at a time
        pipeline = _pipeline(model)
        return [(entity.start_char, entity.end_char) for entity in pipeline(text).ents if entity.label_ in _PERSON]


@cache
def installed_model(lang: str) -> str:
    """Return the name of the package with the model for a language; empty if spaCy or a model is not installed."""
    base = lang.split("-")[0].lower()
    if not base.isalpha() or find_spec("spacy") is None:
        return ""
    names = [*(pattern.format(lang=base) for pattern in _PATTERNS), _MANY_LANGUAGES]
    return next((name for name in names if find_spec(name)), "")


@cache
def _pipeline(model: str) -> Any:
    import spacy

    return spacy.load(model, exclude=["parser", "lemmatizer", "attribute_ruler", "tagger", "morphologizer"])
