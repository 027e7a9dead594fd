"""Tiny chat checkpoints as files on disk: one with random weights, one that recites a text."""

from collections.abc import AsyncIterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GenerationConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from deployments.text.starter_tokenizer import trained_tokenizer
from deployments.text.transformers_chat import TransformersChat
from serve_app.core.config import Model
from serve_app.core.media import BlobStore
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.chat import (
    Chat,
    ChatDelta,
    ChatEvent,
    ChatMessage,
    Complete,
    Sampling,
    TextPart,
    Usage,
)
from tests.engine.tiny_encoders import Files

POSITIONS = 1024
SIZE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
}


@cache
def bytes_tokenizer() -> PreTrainedTokenizerFast:
    """Any text as tokens, `<think>` and `<tool_call>` as one token each. Do not change it."""
    return trained_tokenizer()


def save_chat(path: Path) -> Path:
    """Random weights, so large that greedy decoding is not a matter of rounding."""
    tokenizer = bytes_tokenizer()
    torch.manual_seed(0)
    config = LlamaConfig(
        **SIZE,
        vocab_size=len(tokenizer),
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    LlamaForCausalLM(config).save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


RECITED_PROMPT = "Q: hi\nA: "
LOUDNESS = 8.0


def save_reciter(path: Path, text: str, *, template_mark: str = "", opened: str = "") -> Path:
    """Answers the message "hi" with `text`, whatever it is told besides.

    A GPT-2 without attention, whose hidden state is the position alone; the output matrix says
    which token stands there. `template_mark` stands in a comment of the chat template, where the
    engine looks for how tools are called; the prompt ends with `opened`.
    """
    tokenizer = AutoTokenizer.from_pretrained(bytes_tokenizer_files(path))
    tokenizer.chat_template = (
        f"{{# {template_mark} #}}Q: {{{{ messages[-1].content }}}}\nA: {{{{ {opened!r} }}}}"
    )
    start = len(tokenizer.encode(RECITED_PROMPT + opened)) - 1
    said = [*tokenizer.encode(text), tokenizer.eos_token_id]
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_positions=256,
        n_embd=256,
        n_layer=1,
        n_head=2,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if "ln_f.weight" in name else 0.0)
        model.transformer.wpe.weight.copy_(torch.eye(256))
        for place, token in enumerate(said):
            model.lm_head.weight[token, start + place] = LOUDNESS
    model.generation_config = GenerationConfig(eos_token_id=tokenizer.eos_token_id)
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def bytes_tokenizer_files(path: Path) -> Path:
    bytes_tokenizer().save_pretrained(path)
    return path


def engine_of(path: Path, files: dict[str, Path] | None = None, **options: Any) -> TransformersChat:
    return TransformersChat(
        TransformersOptions(task="chat", device="cpu", **{"cache_blocks": 8, **options}),
        Model(id="tiny"),
        path=path,
        blobs=cast("BlobStore", Files(files or {})),
    )


def user(text: str) -> ChatMessage:
    return ChatMessage(role="user", content=(TextPart(text=text),))


def ask(text: str = "hi", *, sampling: Sampling | None = None, **fields: Any) -> Chat:
    return Chat(
        model="tiny",
        messages=(user(text),),
        sampling=sampling or Sampling(temperature=0.0, max_tokens=24),
        **fields,
    )


def continuing(*prompts: str | Sequence[int], sampling: Sampling, **fields: Any) -> Complete:
    given = tuple(prompt if isinstance(prompt, str) else tuple(prompt) for prompt in prompts)
    return Complete(model="tiny", prompts=given, sampling=sampling, **fields)


class Answer:
    """A stream read to its end. Checks what every stream promises."""

    def __init__(self, events: list[ChatEvent]) -> None:
        *deltas, usage = events
        assert isinstance(usage, Usage)
        self.usage = usage
        self.deltas = [delta for delta in deltas if isinstance(delta, ChatDelta)]
        assert len(self.deltas) == len(deltas)
        for index in self.indices:
            ends = [delta.finish_reason is not None for delta in self.of(index)]
            assert ends == [False] * (len(ends) - 1) + [True]

    @property
    def indices(self) -> list[int]:
        return sorted({delta.index for delta in self.deltas})

    def of(self, index: int) -> list[ChatDelta]:
        return [delta for delta in self.deltas if delta.index == index]

    def text(self, index: int = 0) -> str:
        return "".join(delta.text for delta in self.of(index))

    def reasoning(self, index: int = 0) -> str:
        return "".join(delta.reasoning for delta in self.of(index))

    def finish(self, index: int = 0) -> str | None:
        return self.of(index)[-1].finish_reason

    def logprobs(self, index: int = 0) -> list[Any]:
        return [entry for delta in self.of(index) for entry in delta.logprobs]

    def calls(self, index: int = 0) -> list[tuple[str | None, str]]:
        """Name and arguments of every call; each comes with an id."""
        found: dict[int, tuple[str | None, str]] = {}
        for delta in self.of(index):
            for piece in delta.tool_calls:
                assert piece.index in found or piece.id
                name, arguments = found.get(piece.index, (piece.name, ""))
                found[piece.index] = (name, arguments + piece.arguments)
        return [found[number] for number in sorted(found)]


async def read(events: AsyncIterator[ChatEvent]) -> Answer:
    return Answer([event async for event in events])


class Direct:
    """The same checkpoint without the engine: what it must say."""

    def __init__(self, path: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(path)
        self.model = AutoModelForCausalLM.from_pretrained(path).eval()

    def prompt(self, text: str) -> list[int]:
        rendered = self.tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], add_generation_prompt=True, tokenize=False
        )
        return list(self.tokenizer.encode(rendered, add_special_tokens=False))

    def continued(self, prompt: list[int], count: int) -> list[int]:
        """The greedy continuation, without its end token."""
        output = self.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=count,
            do_sample=False,
        )
        tokens = output[0].tolist()[len(prompt) :]
        ends = [i for i, token in enumerate(tokens) if token == self.tokenizer.eos_token_id]
        return tokens[: ends[0]] if ends else tokens

    def logprobs(self, tokens: list[int]) -> torch.Tensor:
        """Row i is the distribution of the token that follows `tokens[: i + 1]`."""
        with torch.no_grad():
            logits = self.model(torch.tensor([tokens])).logits[0].float()
        return torch.log_softmax(logits, dim=-1)

    def text(self, tokens: list[int]) -> str:
        """What a client sees of them: control tokens are no text."""
        hidden = set(self.tokenizer.all_special_ids)
        return str(self.tokenizer.decode([token for token in tokens if token not in hidden]))


IMAGE_MARK = "<image>"
# As that of LLaVA: of a content that is a string, nothing would be left.
VISION_TEMPLATE = (
    "{% for message in messages %}"
    "{% for part in message['content'] | selectattr('type', 'in', ['text', 'image']) %}"
    "{{ '<image>' if part.type == 'image' else part.text }}{% endfor %}"
    "{{ '\\n' }}{% endfor %}A: "
)


def save_vision(path: Path) -> Path:
    """LLaVA: images of 16 by 16 pixels become four tokens each."""
    tokenizer = trained_tokenizer()
    tokenizer.add_tokens([IMAGE_MARK], special_tokens=True)
    torch.manual_seed(1)
    text = LlamaConfig(
        **SIZE,
        vocab_size=len(tokenizer),
        initializer_range=0.4,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=16,
        patch_size=8,
        projection_dim=16,
        initializer_range=0.4,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids(IMAGE_MARK),
        image_seq_length=4,
    )
    LlavaForConditionalGeneration(config).save_pretrained(path)
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16}
    )
    LlavaProcessor(
        image_processor=images,
        tokenizer=tokenizer,
        patch_size=8,
        vision_feature_select_strategy="default",
        chat_template=VISION_TEMPLATE,
        image_token=IMAGE_MARK,
        num_additional_image_tokens=1,
    ).save_pretrained(path)
    return path
