"""The names that LLM for Unity 2.5 has for formats of prompts, told from a chat template. It looks
an answer up as a key, so that any other text breaks its chats.
"""

from typing import NamedTuple

UNKNOWN = "chatml"


class Format(NamedTuple):
    """A format, and what stands in the templates that are of it."""

    name: str
    marks: tuple[str, ...]


FORMATS = (
    Format("phi-4", ("<|im_start|>", "<|im_sep|>")),
    Format("qwen3", ("<|im_start|>", "enable_thinking")),
    Format("chatml", ("<|im_start|>",)),
    Format("llama3 chat", ("<|start_header_id|>",)),
    Format("bitnet", ("<|eot_id|>", "capitalize")),
    Format("llama chat", ("[INST]", "<<SYS>>", "###")),
    Format("llama", ("[INST]", "<<SYS>>")),
    Format("mistral chat", ("[INST]", "###")),
    Format("mistral instruct", ("[INST]",)),
    Format("gemma", ("<start_of_turn>",)),
    Format("deepseek-r1", ("<｜Assistant｜>", "</think>")),  # noqa: RUF001 - DeepSeek's own
    Format("deepseek-v3", ("<｜Assistant｜>",)),  # noqa: RUF001 - DeepSeek's own
    Format("deepseek-v2", ("<｜end▁of▁sentence｜>", "Assistant:")),  # noqa: RUF001 - DeepSeek's own
    Format("deepseek-v2", ("User: ", "Assistant: ")),
    Format("phi-4-mini", ("<|tool|>", "<|end|>")),
    Format("phi-3.5", ("<|system|>", "<|end|>")),
    Format("phi-3", ("<|user|>", "<|end|>")),
    Format("zephyr", ("<|user|>",)),
    Format("alpaca", ("### Instruction",)),
    Format("vicuna", ("USER:",)),
)
"""The surer ones first. `llama chat` and `mistral chat` are those with a heading `###` before who
speaks.
"""
RELATIVES = {
    "phi-3": (("phi-4-mini", "phi-4-mini"), ("phi-3.5", "phi-3.5")),
    "llama3 chat": (("bitnet", "bitnet"),),
    "chatml": (("qwen3", "qwen3"),),
}
"""Formats that look alike: which one it is, is in the name of the model."""
NAMED = {
    "chatml": "chatml",
    "hermes": "chatml",
    "qwen": "chatml",
    "qwen3": "qwen3",
    "alpaca": "alpaca",
    "gemma": "gemma",
    "mistral": "mistral chat",
    "llama-2": "llama chat",
    "llama v2": "llama chat",
    "llama-3": "llama3 chat",
    "llama v3": "llama3 chat",
    "phi-2": "phi",
    "phi-3": "phi-3",
    "phi-3.5": "phi-3.5",
    "phi-4": "phi-4",
    "phi-4-mini": "phi-4-mini",
    "deepseek-v2": "deepseek-v2",
    "deepseek-llm": "deepseek-v2",
    "deepseek-v2.5": "deepseek-v3",
    "deepseek-v3": "deepseek-v3",
    "deepseek-r1": "deepseek-r1",
    "vicuna": "vicuna",
    "zephyr": "zephyr",
    "bitnet": "bitnet",
}
"""Of models without a template, by the longest of these that is in their names; as LLM for Unity
tells the formats of such files.
"""


def format_name(template: str, model: str) -> str:
    """The name that is nearest to a template, `chatml` for one that is like none. Where there is
    none, the name of the model decides.
    """
    folded = model.lower()
    if not template.strip():
        found = [part for part in NAMED if part in folded]
        return NAMED[max(found, key=len)] if found else UNKNOWN
    name = next((f.name for f in FORMATS if all(mark in template for mark in f.marks)), UNKNOWN)
    return next((own for part, own in RELATIVES.get(name, ()) if part in folded), name)
