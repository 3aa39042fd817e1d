"""What people prefer among answers of the chat, frozen with a snapshot that asks for it. Decision 156.

Such a snapshot is for training on this site and is never published. Rows are written as `data/chat_pairs` and
`data/chat_kto`, with the columns of `pairs` and `kto` that a training reads, pseudonyms for chats and people, and
personal data masked. A chat is in the same part of the data in every snapshot.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
import zstandard

from inference.preferences import Preferred, preferred
from inference.scoring import personal_data
from oasst.core.errors import Conflict
from oasst.core.text import language_detection
from trees.interchange.pseudonyms import Pseudonyms
from trees.interchange.snapshots.canonical import row_line
from trees.interchange.snapshots.files import compressed
from trees.interchange.snapshots.frozen import compress, decompress
from trees.interchange.tree_record import SPLITS, split_of
from trees.models import Donation, Snapshot, SnapshotChats

FORMS = ("chat_pairs", "chat_kto")
ROWS = 200
"""Of one row in the database."""
WEAK = 0.7
"""The share for a pair of a regeneration: as if seven of ten people preferred it, since nobody said so."""

Row = dict[str, Any]


def freeze_chats(snapshot: Snapshot, pseudonyms: Pseudonyms) -> Counter[str]:
    """Store what was said before the cut-off, and return the number of rows of each form."""
    counts = Counter(dict.fromkeys(FORMS, 0))
    # A chat that was given is a tree, which may be in another part of the data: nothing is learned that judges a model.
    given = set(Donation.objects.exclude(chat=None).values_list("chat_id", flat=True))
    rows = (_row(one, pseudonyms) for one in preferred(snapshot.cutoff) if one.chat_id not in given)
    for number, some in enumerate(iter(lambda: list(islice(rows, ROWS)), [])):
        content = b"".join(row_line(row) for row in some)
        counts.update(row["form"] for row in some)
        digest = sha256(content).digest()
        SnapshotChats.objects.create(snapshot=snapshot, number=number, content=compress(content), sha256=digest)
    return counts


def write_chats(snapshot: Snapshot, folder: Path) -> None:
    """Write the files of a snapshot that has any. Raise Conflict `snapshot_changed` if rows are not what was frozen."""
    if not snapshot.filters.get("include_chats"):
        return
    wanted = {form: snapshot.counts["has"][form] for form in FORMS}
    found: Counter[str] = Counter(dict.fromkeys(FORMS, 0))
    with ExitStack() as stack:
        files = {
            (form, split): stack.enter_context(compressed(folder / f"data/{form}/{split}.jsonl.zst"))
            for form in FORMS
            for split in SPLITS
        }
        for row in _frozen(snapshot):
            form, chat_id = row.pop("form"), row["chat_id"]
            files[form, split_of(chat_id)].write(row_line(row))
            found[form] += 1
    if found != wanted:
        raise _changed(snapshot)


def refuse_chats(snapshot: Snapshot) -> None:
    """Raise Conflict `has_chats` for a snapshot that must not leave the site."""
    if snapshot.filters.get("include_chats"):
        raise Conflict(
            f"{snapshot.name} has what people said in private chats: it is for training on this site and is never "
            "published. Freeze another snapshot without --include-chats.",
            code="has_chats",
        )


def _frozen(snapshot: Snapshot) -> Iterator[Row]:
    for stored in SnapshotChats.objects.filter(snapshot=snapshot).order_by("number").iterator(chunk_size=10):
        try:
            content = decompress(stored.content)
        except zstandard.ZstdError as error:
            raise _changed(snapshot) from error
        if sha256(content).digest() != bytes(stored.sha256):
            raise _changed(snapshot)
        yield from map(orjson.loads, content.splitlines())


def _changed(snapshot: Snapshot) -> Conflict:
    return Conflict(f"Frozen chats of {snapshot.name} were changed in the database.", code="snapshot_changed")


def _row(one: Preferred, pseudonyms: Pseudonyms) -> Row:
    lang = language_detection.detect(one.thread[-1]["content"]).tag or ""
    about: Row = {
        "chat_id": pseudonyms.pseudonym("chat", str(one.chat_id)),
        "user_id": pseudonyms.pseudonym("user", str(one.user_id)),
        "lang": lang,
        "source": one.source,
        "synthetic": True,
        "prompt": [{**message, "content": _masked(message["content"], lang)} for message in one.thread],
    }
    chosen = _answer(one.chosen, lang)
    if one.good is not None:
        label = {"label": one.good, "model_name": one.chosen_model, "decided_by": "thumb"}
        return {"form": "chat_kto", **about, "completion": chosen, **label}
    return {
        "form": "chat_pairs",
        **about,
        "chosen": chosen,
        "rejected": _answer(one.rejected, lang),
        "chosen_model": one.chosen_model,
        "rejected_model": one.rejected_model,
        "preference_share": WEAK if one.source == "regeneration" else None,
        "near_tie": False,
    }


def _answer(text: str, lang: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": _masked(text, lang)}]


def _masked(text: str, lang: str) -> str:
    return personal_data.mask(text, personal_data.find(text, lang))
