"""How code models are asked to fill a gap."""

from collections.abc import Container

# Prefix, suffix and middle marks.
FILL_MARKS = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # noqa: RUF001 - DeepSeek's own
)


def marks_of(vocabulary: Container[str]) -> tuple[str, str, str] | None:
    """Those that a vocabulary has; None for a model that does not fill gaps."""
    for marks in FILL_MARKS:
        if all(mark in vocabulary for mark in marks):
            return marks
    return None
