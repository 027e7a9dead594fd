"""The starter checkpoint's tokenizer: a byte-level BPE trained on the text that ships beside it.

Imported only while the checkpoint is built.
"""

from collections import Counter
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END_OF_TEXT = "<|endoftext|>"
IM_START = "<|im_start|>"
IM_END = "<|im_end|>"
THINK = "<think>"
END_THINK = "</think>"
MARKUP = ("<tool_call>", "</tool_call>", "<tool_response>", "</tool_response>", THINK, END_THINK)
VOCABULARY = 1536
CONTEXT = 4096

FOLDER = Path(__file__).parent


def corpus() -> str:
    """The text the tokenizer learns its words from."""
    return (FOLDER / "starter_corpus.txt").read_text(encoding="utf-8")


def trained_tokenizer() -> PreTrainedTokenizerFast:
    """As Qwen's: `MARKUP` is text that a decoder shows, the other added tokens are control."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(MARKUP),
        special_tokens=[END_OF_TEXT, IM_START, IM_END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus().splitlines(keepends=True), trainer)
    tokenizer.add_tokens([AddedToken(text, special=False, normalized=False) for text in MARKUP])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=IM_END,
        pad_token=END_OF_TEXT,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = (FOLDER / "starter_chat_template.jinja").read_text(encoding="utf-8")
    return wrapped


def word_counts(tokenizer: PreTrainedTokenizerFast) -> Counter[int]:
    """How often each token stands in the corpus; each is readable text of its own."""
    counts = Counter(tokenizer.encode(corpus(), add_special_tokens=False))
    return Counter({t: n for t, n in counts.items() if str(tokenizer.decode([t])).isascii()})
