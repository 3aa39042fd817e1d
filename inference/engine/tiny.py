"""Very small models with random weights for tests and load tests, made in a second without a network.

The chat model answers quickly with nonsense, but always the same. Its tokens are bytes and a few syllables, so it takes
texts in any script and its answers have half characters. The encoder gives texts that share pairs of letters similar
vectors, and the classifier gives scores that mean nothing.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAME = "tiny"
ENCODER_NAME = "tiny-encoder"
CONTEXT = 2048
_TEXT = """
    the and ing ion ent her for tha ter men ver con sta res per all ous est ive ate era com pro ess sti ers ith ect ment
    able tion ness ship ward wise ough over under inter trans super
"""
_SYLLABLES = _TEXT.split()
_SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def make(folder: Path) -> None:
    """Write model and tokenizer to `folder`."""
    tokenizer = _tokenizer()
    tokenizer.save_pretrained(folder)
    _model(tokenizer).save_pretrained(folder, safe_serialization=True)


def make_encoder(folder: Path, *, labels: tuple[str, ...] = ()) -> None:
    """Write an embedding model with 384 dimensions to `folder`; with `labels`, a classifier of independent labels."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification, BertModel

    letters = "abcdefghijklmnopqrstuvwxyz"
    tokenizer = _tokenizer([first + second for first in letters for second in letters])
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=384,
        intermediate_size=384,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=512,
        pad_token_id=tokenizer.pad_token_id,
        id2label=dict(enumerate(labels)) or {0: "score"},
        problem_type="multi_label_classification",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20240107)
        model = BertForSequenceClassification(config) if labels else BertModel(config)
        with torch.no_grad():  # so that a vector depends on the tokens, and hardly on their order
            embeddings = (model.bert if labels else model).embeddings
            embeddings.position_embeddings.weight.zero_()
            embeddings.token_type_embeddings.weight.zero_()
    model.eval().save_pretrained(folder, safe_serialization=True)


def _tokenizer(syllables: Sequence[str] = _SYLLABLES) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges: list[tuple[str, str]] = []
    for syllable in [*syllables, *("Ġ" + start for start in syllables)]:
        for end in range(2, len(syllable) + 1):
            if syllable[:end] not in words:
                words.append(syllable[:end])
                merges.append((syllable[: end - 1], syllable[end - 1]))
    tokenizer = Tokenizer(models.BPE(vocab={word: number for number, word in enumerate(words)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>")  # noqa: S106  (words of the model)
    fast.add_special_tokens({"additional_special_tokens": list(_SPECIAL)})
    fast.chat_template = _TEMPLATE
    fast.model_max_length = CONTEXT
    return fast


def _model(tokenizer: Any) -> Any:
    import torch
    from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(20240106)
        model = LlamaForCausalLM(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 2:
                    parameter.normal_(0, 0.3)
            # Scores far apart keep the likeliest token the same whatever the order of a sum. Syllables are likelier
            # than bytes, and some answers end early.
            model.lm_head.weight.mul_(2)
            model.lm_head.weight[:256].mul_(0.6)
            model.lm_head.weight[tokenizer.eos_token_id].mul_(0.9)
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    return model.eval()
