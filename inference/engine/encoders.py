"""Load models that turn texts into vectors or scores, each once in a process.

A model is a folder in Hugging Face layout with its weights as safetensors. It is loaded at its first use, which takes a
second or two. Any number of threads may use it: one of them computes at a time. Different models may compute at the
same time.

How many cores one computation takes (`threads`) is a setting of torch for the whole process. The model loaded last sets
it for all, so callers in one process pass the same number.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Lock, Thread
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from inference.engine.base import EngineError
from inference.engine.quiet import quieten

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    """One row of length 1 for each text."""

BATCH_TEXTS = 32
BATCH_TOKENS = 2_048
"""Of a batch with its padding. More is not faster on a CPU and takes memory for each layer."""
MAX_TOKENS = 512
FAILURE_SECONDS = 300.0
"""How long a folder that could not be loaded is left alone. Loading takes seconds, and many callers may ask."""
_WEIGHTS = "model.safetensors"

Scores = dict[str, float]
Model = TypeVar("Model")


class Embedder:
    """Turns texts into vectors whose cosine says how near they are in meaning."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._network = _Network(folder, "AutoModel", threads)
        self.name = f"{folder.name}@{_digest(folder / _WEIGHTS)[:12]}"
        """Changes with the weights: vectors of different names cannot be compared."""
        self.dimensions = int(self._network.model.config.hidden_size)
        pooling = _read(folder / "1_Pooling" / "config.json")
        self._takes_first = bool(pooling.get("pooling_mode_cls_token"))
        self._prefix = _prefix(folder)

    def embed(self, texts: Sequence[str]) -> "Vectors":
        """Return an array of shape (number of texts, `dimensions`). What exceeds the model's window is ignored.

        The row of a text without tokens is 0: its cosine with others is not a number.
        """
        import numpy as np

        vectors = np.zeros((len(texts), self.dimensions), dtype=np.float32)
        for chosen, states, mask in self._network.run([self._prefix + text for text in texts], "last_hidden_state"):
            if self._takes_first:
                pooled = states[:, 0]
            else:
                weights = mask.unsqueeze(-1).to(states.dtype)
                pooled = (states * weights).sum(1) / weights.sum(1).clamp(min=1e-9)
            pooled = pooled / pooled.norm(dim=1, keepdim=True).clamp(min=1e-12)
            vectors[chosen] = pooled.float().cpu().numpy()
        return vectors


class Classifier:
    """Gives texts a score for each label, from 0 to 1."""

    def __init__(self, folder: Path, threads: int) -> None:
        self.name, self.version = folder.name, _digest(folder / _WEIGHTS)[:12]
        self._network = _Network(folder, "AutoModelForSequenceClassification", threads)
        config = self._network.model.config
        self.labels = [str(config.id2label[number]) for number in range(config.num_labels)]
        self._independent = config.problem_type == "multi_label_classification" or config.num_labels == 1

    def __call__(self, texts: Sequence[str]) -> list[Scores]:
        results: list[Scores] = [{} for _ in texts]
        for chosen, logits, _ in self._network.run(texts, "logits"):
            chances = logits.sigmoid() if self._independent else logits.softmax(dim=1)
            for number, row in zip(chosen, chances.float().cpu().tolist(), strict=True):
                results[number] = dict(zip(self.labels, row, strict=True))
        return results


class _Network:
    """A model with its tokenizer, which reads texts in batches of similar length."""

    def __init__(self, folder: Path, kind: str, threads: int) -> None:
        import torch
        import transformers

        quieten()
        torch.set_num_threads(threads)
        try:
            self._tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                folder, local_files_only=True, trust_remote_code=False
            )
            model: Any = getattr(transformers, kind).from_pretrained(
                folder,
                local_files_only=True,
                # Never run code from the folder: no pickles (.bin), no Python files.
                use_safetensors=True,
                trust_remote_code=False,
                dtype=torch.float32,
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise EngineError(f"The model in {folder} cannot be loaded: {error}") from error
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self.model = model.to(self._device).eval()
        self._lock = Lock()  # the tokenizer, too, takes one caller at a time
        self._window = _window(folder, model, self._tokenizer)

    def run(self, texts: Sequence[str], output: str) -> Iterator[tuple[list[int], Any, Any]]:
        """Yield the numbers of the texts of a batch, the named output of the model, and which tokens are no padding."""
        import torch

        if not texts:  # the tokenizer fails
            return
        with self._lock:
            # The tokenizer refuses halves of characters.
            texts = [text.encode("utf-8", "replace").decode() for text in texts]
            tokens = self._tokenizer(texts, truncation=True, max_length=self._window)["input_ids"]
        for chosen in _batches([len(ids) for ids in tokens]):
            with self._lock, torch.inference_mode():
                batch = self._tokenizer.pad({"input_ids": [tokens[number] for number in chosen]}, return_tensors="pt")
                batch = batch.to(self._device)
                result = getattr(self.model(**batch), output)
            yield chosen, result, batch["attention_mask"]


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Yield numbers of texts, grouped by length so that little is padded. Texts without tokens are left out."""
    batch: list[int] = []
    for number in sorted((number for number, length in enumerate(lengths) if length), key=lengths.__getitem__):
        if batch and (len(batch) == BATCH_TEXTS or (len(batch) + 1) * lengths[number] > BATCH_TOKENS):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def _window(folder: Path, model: Any, tokenizer: Any) -> int:
    """Return how many tokens of a text the model reads."""
    limits = (
        _read(folder / "sentence_bert_config.json").get("max_seq_length"),
        # RoBERTa and its kin count positions from the padding token on.
        getattr(model.config, "max_position_embeddings", MAX_TOKENS) - 2,
        tokenizer.model_max_length,
        MAX_TOKENS,
    )
    return int(min(limit for limit in limits if limit))


def _prefix(folder: Path) -> str:
    """Return what the model expects before each text. Texts are compared with each other, so all have the same."""
    prompts = _read(folder / "config_sentence_transformers.json").get("prompts") or {}
    if "query" in prompts:
        return str(prompts["query"])
    return "query: " if re.search(r"(^|[-_])e5([-_]|$)", folder.name.lower()) else ""


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise EngineError(f"{file} cannot be read: {error}") from error
    return found if isinstance(found, dict) else {}


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    except OSError as error:
        raise EngineError(f"The weights {file} cannot be read: {error.strerror}.") from error


_lock = Lock()
_models: dict[tuple[str, Path], "Future[Any]"] = {}
_failed_at: dict[tuple[str, Path], float] = {}
"""By `monotonic`."""


def load_embedder(folder: Path, *, threads: int = 1) -> Embedder:
    """Return the embedding model of this folder, loaded if necessary. Raise `EngineError` with what is wrong."""
    return _begin(folder, Embedder, threads).result()


def embedder_if_loaded(folder: Path, *, threads: int = 1) -> Embedder | None:
    """Return the embedding model if it is in memory; else start to load it, for later calls, and return None."""
    future = _begin(folder, Embedder, threads)
    return future.result() if future.done() else None


def load_classifier(folder: Path, *, threads: int = 1) -> Classifier:
    """Return the classifier of this folder, loaded if necessary. Raise `EngineError` with what is wrong.

    Its labels are independent of each other if the folder says so (`problem_type`); else the scores of a text sum to 1.
    """
    return _begin(folder, Classifier, threads).result()


def _begin(folder: Path, kind: Callable[[Path, int], Model], threads: int) -> "Future[Model]":
    """Return the model to come. What failed is tried again after FAILURE_SECONDS: the folder may be mended by then.

    A folder that is not there yet is looked for by each call.
    """
    folder = folder.expanduser().resolve()
    key = (str(kind), folder)
    with _lock:
        future = _models.get(key)
        error = future.exception() if future is not None and future.done() else None
        if error and monotonic() - _failed_at[key] < FAILURE_SECONDS:
            # A new one: an exception that is raised again and again keeps the frames of all its callers.
            raise EngineError(str(error))
        if future is None or error:
            if not (folder / "config.json").is_file():
                raise EngineError(f"There is no model in {folder} (no config.json).")
            future = _models[key] = Future()
            Thread(target=_load, args=(future, key, folder, kind, threads), name="load an encoder", daemon=True).start()
    return future


def _load(
    future: "Future[Model]", key: tuple[str, Path], folder: Path, kind: Callable[[Path, int], Model], threads: int
) -> None:
    try:
        future.set_result(kind(folder, threads))
    except BaseException as error:
        _failed_at[key] = monotonic()
        future.set_exception(error if isinstance(error, EngineError) else EngineError(f"{folder}: {error}"))
