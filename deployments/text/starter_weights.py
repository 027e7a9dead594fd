"""The starter checkpoint's weights: random, but for a first layer that ends a turn in good time.

Random weights alone would hardly ever say `<|im_end|>`, nor close a JSON string. So layer 0 counts:
its heads put three numbers into fixed places of the hidden state, the other layers leave those
alone, and the output matrix reads them as biases. Imported only while the checkpoint is built.
"""

import math
from dataclasses import dataclass

import torch
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.models.llama.modeling_llama import LlamaAttention

from deployments.text.starter_tokenizer import (
    CONTEXT,
    END_THINK,
    IM_END,
    IM_START,
    THINK,
    word_counts,
)

SEED = 20260
HIDDEN, HEADS, LAYERS, FEED_FORWARD = 128, 4, 3, 352
HEAD = HIDDEN // HEADS
ROPE_THETA = 10_000.0

# Places in the hidden state: one that is always 1, marks of the current token, and what layer 0
# finds out: EARLY falls from 1 to 0 about TURN tokens after a turn or a thought begins, CHAT is 1
# once any turn has begun, THINKING is 1 between <think> and </think>.
ONE, IS_BEGIN, IS_TURN, IS_THINK, IS_END_THINK = range(5)
IS_SPACE, IS_JSON, EARLY, CHAT, THINKING = range(5, 10)
PLACES = 10
TURN = 56
SLOPE, RECENCY = 0.2, 1.0

# Rotary pairs: over CONTEXT tokens SLOW turns by half a circle at most, STILL hardly at all.
SLOW, STILL = 13, 15

UNSAID, PUNCTUATION, PREFERENCE = -18.0, -9.0, 1.8
JSON_MARKS = frozenset('",:[{')

# Logits by place. Once EARLY is over a turn ends; where only JSON is allowed, strings end and, next
# to JSON's marks rather than inside a string, objects and arrays.
BRACKET = {ONE: -16.0, CHAT: 16.0, EARLY: -20.0, IS_JSON: 5.0}
BIASES: dict[str, dict[int, float]] = {
    IM_END: {ONE: -1.0, CHAT: 9.0, EARLY: -17.0, THINKING: -20.0},
    END_THINK: {ONE: UNSAID, CHAT: 14.0, EARLY: -14.0, THINKING: 12.0},
    '"': {ONE: -9.0, CHAT: 11.5, EARLY: -11.5},
    "}": BRACKET,
    "]": BRACKET,
}


@dataclass(frozen=True)
class Key:
    """A head's attention score at distance d: `offset` - `slope` * d, for tokens that bear `mark`;
    scores of several marks add up.
    """

    mark: int
    offset: float
    slope: float


def starter_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama-shaped model, the same for the same tokenizer."""
    generator = torch.Generator().manual_seed(SEED)
    model: LlamaForCausalLM = LlamaForCausalLM(_config(tokenizer))
    with torch.no_grad():
        _randomize(model, generator)
        _embed(model.model.embed_tokens.weight, tokenizer, generator)
        _count(model.model.layers[0].self_attn)
        _speak(model.lm_head.weight, tokenizer)
    model.generation_config = GenerationConfig(
        do_sample=True,
        temperature=0.7,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def _config(tokenizer: PreTrainedTokenizerFast) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=HIDDEN,
        intermediate_size=FEED_FORWARD,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=CONTEXT,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        dtype="float32",
    )


def _randomize(model: LlamaForCausalLM, generator: torch.Generator) -> None:
    """Small random weights that write nothing into the reserved places."""
    for name, weight in model.named_parameters():
        if weight.dim() == 2:
            weight.normal_(0, 0.06, generator=generator)
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            weight[:PLACES] = 0
    # Each word prefers others as its next, by about this many nats.
    model.lm_head.weight.normal_(0, PREFERENCE / math.sqrt(HIDDEN), generator=generator)


def _embed(
    weight: torch.Tensor, tokenizer: PreTrainedTokenizerFast, generator: torch.Generator
) -> None:
    """Rows of root mean square 1, which the layers' norms therefore leave as they are."""
    weight[:, :PLACES] = 0
    weight[:, ONE] = 1
    turn, think, end = (
        tokenizer.convert_tokens_to_ids(text) for text in (IM_START, THINK, END_THINK)
    )
    weight[[turn, think, end], IS_BEGIN] = 1
    weight[turn, IS_TURN] = 1
    weight[think, IS_THINK] = 1
    weight[end, IS_END_THINK] = 1
    for token in range(len(tokenizer)):
        text = str(tokenizer.decode([token])).strip()
        weight[token, IS_SPACE] = not text
        weight[token, IS_JSON] = not text or text in JSON_MARKS
    random = torch.randn(weight.shape[0], HIDDEN - PLACES, generator=generator)
    left = HIDDEN - weight[:, :PLACES].square().sum(dim=1, keepdim=True)
    weight[:, PLACES:] = random / random.norm(dim=1, keepdim=True) * left.sqrt()


def _count(attention: LlamaAttention) -> None:
    """Three heads that each attend to marked tokens; what they bring is the mark's share.

    In the first, the tokens just before compete with the last mark: each step back costs an
    ordinary token RECENCY but a mark only SLOPE, so the mark wins until it is TURN tokens away.
    """
    for weight in attention.parameters():
        weight.zero_()
    near = math.log(1 / (1 - math.exp(-RECENCY)))
    early = (
        Key(ONE, 0, RECENCY),
        Key(IS_BEGIN, near + SLOPE * TURN, SLOPE - RECENCY),
    )
    chat = (Key(IS_TURN, 30, 0),)
    thinking = (Key(IS_THINK, 80, RECENCY), Key(IS_END_THINK, 80, RECENCY))
    _set_head(attention, 0, early, reads=IS_BEGIN, writes=EARLY)
    _set_head(attention, 1, chat, reads=IS_TURN, writes=CHAT)
    _set_head(attention, 2, thinking, reads=IS_THINK, writes=THINKING)


def _set_head(
    attention: LlamaAttention, head: int, keys: tuple[Key, ...], *, reads: int, writes: int
) -> None:
    """With query (1, 0) and key (x, y) a rotary pair scores x cos(wd) + y sin(wd) at distance d;
    sin(wd) is nearly wd in the SLOW pair.
    """
    first = head * HEAD
    slow = ROPE_THETA ** (-2 * SLOW / HEAD)
    query, key = attention.q_proj.weight, attention.k_proj.weight
    query[[first + SLOW, first + STILL], ONE] = math.sqrt(HEAD)
    for term in keys:
        key[first + SLOW + HEAD // 2, term.mark] = -term.slope / slow
        key[first + STILL, term.mark] = term.offset
    attention.v_proj.weight[first, reads] = 1
    attention.o_proj.weight[writes, first] = 1


def _speak(weight: torch.Tensor, tokenizer: PreTrainedTokenizerFast) -> None:
    """Words as often as the corpus has them. A turn ends, and JSON closes, once EARLY is over."""
    counts = word_counts(tokenizer)
    weight[:, :PLACES] = 0
    for token in range(len(tokenizer)):
        text = str(tokenizer.decode([token]))
        if not counts[token] or text in BIASES:
            weight[token, PLACES:] = 0
        for place, bias in (
            BIASES.get(text) or _bias(text, counts[token] / counts.total())
        ).items():
            weight[token, place] = bias


def _bias(text: str, share: float) -> dict[int, float]:
    """`share` is the token's in the corpus. One stretch of white space does not follow another."""
    single = len(text) == 1 and text.isprintable() and text.isascii()
    floor = PUNCTUATION if single else UNSAID
    bias = {ONE: math.log(share) if share else floor}
    return bias if text.strip() else bias | {IS_SPACE: UNSAID}
