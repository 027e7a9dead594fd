"""The names that LLM for Unity 2.5 has for formats of prompts, told from a chat template. It looks
an answer up as a key, so that any other text breaks its chats.
"""

UNKNOWN = "chatml"
MARKS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("phi-4", ("<|im_start|>", "<|im_sep|>")),
    ("qwen3", ("<|im_start|>", "enable_thinking")),
    ("chatml", ("<|im_start|>",)),
    ("llama3 chat", ("<|start_header_id|>",)),
    ("llama chat", ("[INST]", "<<SYS>>")),
    ("mistral instruct", ("[INST]",)),
    ("gemma", ("<start_of_turn>",)),
    ("deepseek-r1", ("<｜Assistant｜>", "</think>")),  # noqa: RUF001 - DeepSeek's own
    ("deepseek-v3", ("<｜Assistant｜>",)),  # noqa: RUF001 - DeepSeek's own
    ("deepseek-v2", ("<｜end▁of▁sentence｜>", "Assistant:")),  # noqa: RUF001 - DeepSeek's own
    ("phi-3", ("<|user|>", "<|end|>")),
    ("zephyr", ("<|user|>",)),
    ("alpaca", ("### Instruction",)),
    ("vicuna", ("USER:",)),
)
"""What stands in the template of each, the surer ones first."""
RELATIVES = {
    "phi-3": (("phi-4-mini", "phi-4-mini"), ("phi-3.5", "phi-3.5")),
    "llama3 chat": (("bitnet", "bitnet"),),
    "chatml": (("qwen3", "qwen3"),),
}
"""Formats that look alike: which one it is, is in the name of the model."""


def format_name(template: str, model: str) -> str:
    """The name that is nearest to a template, `chatml` for one that is like none."""
    name = next((name for name, marks in MARKS if all(mark in template for mark in marks)), UNKNOWN)
    folded = model.lower()
    return next((own for part, own in RELATIVES.get(name, ()) if part in folded), name)
