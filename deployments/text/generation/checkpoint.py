"""A loaded checkpoint: weights, tokenizer, and what the rest needs to know of them."""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    AutoProcessor,
    AutoTokenizer,
)

from deployments.text.checkpoint_sampling import checkpoint_sampling
from deployments.text.generation.text import token_bytes
from deployments.torch_device import device_of
from deployments.transformers_checkpoint import loading, loading_arguments
from serve_app.core.config import Model
from serve_app.core.options.sampling import SamplingDefaults
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.chat import TokenLogprob

FALLBACK_CONTEXT = 4096


@dataclass
class TextCheckpoint:
    """`processor` is there for models that see; `context_length` is in tokens."""

    model_id: str
    model: Any
    tokenizer: Any
    processor: Any | None
    context_length: int
    eos_ids: frozenset[int]
    fingerprint: str
    sampling: SamplingDefaults

    @property
    def vocabulary(self) -> int:
        """The number of logits, which may be more than the tokenizer has tokens."""
        return int(self.model.get_output_embeddings().weight.shape[0])

    @property
    def chat_template(self) -> str | None:
        """The template's text; a processor's goes before the tokenizer's."""
        for owner in (self.processor, self.tokenizer):
            template = getattr(owner, "chat_template", None)
            if isinstance(template, dict):
                template = template.get("default")
            if template:
                return str(template)
        return None

    @cached_property
    def hidden_ids(self) -> frozenset[int]:
        """Special tokens that are no text, but those that mark calls and reasoning."""
        marks = {"<tool_call>", "</tool_call>", "[TOOL_CALLS]", "<|python_tag|>"}
        marks |= {"<think>", "</think>"}
        kept = {self.tokenizer.convert_tokens_to_ids(mark) for mark in marks}
        return frozenset(self.tokenizer.all_special_ids) - kept

    def token_of(self, text: str) -> int | None:
        """The id of a text that is one token, as marks are."""
        token = self.tokenizer.get_vocab().get(text)
        return None if token is None else int(token)

    def encode(self, text: str, *, has_specials: bool) -> list[int]:
        """Token ids; a rendered chat prompt has its special tokens already."""
        return list(self.tokenizer.encode(text, add_special_tokens=not has_specials))

    def describe(self, token: int, value: float | None) -> TokenLogprob:
        """A token for a client: its text, its id, its bytes."""
        text = self.tokenizer.decode([token], skip_special_tokens=False)
        content = token_bytes(self.tokenizer, token)
        return TokenLogprob(token=text, token_id=token, logprob=value, token_bytes=content)


def load_checkpoint(
    options: TransformersOptions, model: Model, path: Path | None
) -> TextCheckpoint:
    """Read a checkpoint from its directory. Blocks. BackendUnavailable when it cannot be used."""
    with loading(model, path) as directory:
        device = device_of(options)
        arguments = loading_arguments(options, device)
        config = AutoConfig.from_pretrained(
            directory, local_files_only=True, trust_remote_code=options.trust_remote_code
        )
        sees = type(config) in AutoModelForImageTextToText._model_mapping
        causal = type(config) in AutoModelForCausalLM._model_mapping
        is_vision = sees and not causal
        kind = AutoModelForImageTextToText if is_vision else AutoModelForCausalLM
        network: Any = kind.from_pretrained(directory, attn_implementation="sdpa", **arguments)
        network = network.to(device).eval()
        processor = AutoProcessor.from_pretrained(directory) if is_vision else None
        tokenizer = processor.tokenizer if processor else AutoTokenizer.from_pretrained(directory)
    return TextCheckpoint(
        model_id=model.id,
        model=network,
        tokenizer=tokenizer,
        processor=processor,
        context_length=options.context_length or _context_length(config),
        eos_ids=_eos_ids(network, tokenizer),
        fingerprint=_fingerprint(network),
        sampling=checkpoint_sampling(directory),
    )


def _context_length(config: Any) -> int:
    text = config.get_text_config()
    return int(getattr(text, "max_position_embeddings", None) or FALLBACK_CONTEXT)


def _eos_ids(network: Any, tokenizer: Any) -> frozenset[int]:
    """Checkpoints name the end in up to three places."""
    found: set[int] = set()
    for value in (network.generation_config.eos_token_id, tokenizer.eos_token_id):
        values = value if isinstance(value, list | tuple) else [value]
        found |= {int(item) for item in values if item is not None}
    return frozenset(found)


def _fingerprint(network: Any) -> str:
    """Engine, version, and a hash of the configuration and the smallest weights."""
    digest = hashlib.sha256(network.config.to_json_string().encode())
    for name, weight in network.named_parameters():
        if weight.numel() <= 65_536:
            digest.update(name.encode())
            digest.update(weight.detach().to("cpu", torch.float32).numpy().tobytes())
    return f"transformers-{transformers.__version__}-{digest.hexdigest()[:12]}"
