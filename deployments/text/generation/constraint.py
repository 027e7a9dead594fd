"""Constrained decoding: llguidance masks the tokens that a JSON schema, or a grammar, forbids."""

import json
from collections.abc import Callable
from typing import Any

import llguidance
import llguidance.hf
import llguidance.torch
import torch
from llguidance.gbnf_to_lark import gbnf_to_lark

from serve_app.core.errors import InvalidRequest

# Free white space lets a weak model spend all its tokens on blanks.
COMPACT: Any = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
    # What is left out has been told before.
    "lenient": True,
}
ANY_OBJECT: dict[str, Any] = {"type": "object"}


class Constraints:
    """Makes constraints for one tokenizer; wrapping the tokenizer is done once, when needed."""

    def __init__(self, tokenizer: Any, *, vocabulary: int, eos_ids: list[int]) -> None:
        self._tokenizer = tokenizer
        self._vocabulary = vocabulary
        self._eos_ids = eos_ids
        self._wrapped: llguidance.LLTokenizer | None = None

    def json(self, schema: dict[str, Any], *, param: str, after: int | None = None) -> "Constraint":
        """A constraint to JSON of this schema, that begins behind the token `after`. InvalidRequest
        when llguidance cannot follow the schema.
        """

        def grammar() -> str:
            return llguidance.LLMatcher.grammar_from_json_schema(
                json.dumps(schema), overrides=COMPACT
            )

        return self._constraint(grammar, "the schema", param=param, after=after)

    def gbnf(self, text: str, *, param: str, after: int | None = None) -> "Constraint":
        """A constraint to a grammar as llama.cpp writes them, whose first rule is `root`.
        InvalidRequest for what is none.
        """

        def grammar() -> str:
            return llguidance.LLMatcher.grammar_from_lark(_lark(text))

        return self._constraint(grammar, "the grammar", param=param, after=after)

    def _constraint(
        self, make: Callable[[], str], subject: str, *, param: str, after: int | None
    ) -> "Constraint":
        if self._wrapped is None:
            self._wrapped = llguidance.hf.from_tokenizer(
                self._tokenizer, n_vocab=self._vocabulary, eos_token=self._eos_ids or None
            )
        try:
            grammar = make()
            problem = llguidance.LLMatcher.validate_grammar(grammar, self._wrapped)
        except ValueError as error:
            problem = str(error)
        if problem:
            raise InvalidRequest(
                f"{subject} cannot be followed: {problem.strip()[:300]}", param=param
            )
        matcher = llguidance.LLMatcher(self._wrapped, grammar, log_level=0)
        if matcher.is_error():
            raise InvalidRequest(f"{subject} is too large to be followed", param=param)
        return Constraint(matcher, self._vocabulary, eos_ids=self._eos_ids, after=after)


def _lark(gbnf: str) -> str:
    """The grammar as llguidance reads it. ValueError for a text that is none."""
    try:
        return gbnf_to_lark(gbnf)
    except Exception as error:
        # Most of what its parser raises is of no class of its own.
        raise ValueError(str(error)) from error


class Constraint:
    """Where one choice is in its grammar. Before the token `after`, all but the end is free."""

    def __init__(
        self,
        matcher: llguidance.LLMatcher,
        vocabulary: int,
        *,
        eos_ids: list[int],
        after: int | None,
    ) -> None:
        self._matcher = matcher
        self._vocabulary = vocabulary
        self._eos_ids = eos_ids
        self._after = after
        self._mask = llguidance.torch.allocate_token_bitmask(1, vocabulary)

    def copy(self) -> "Constraint":
        """An independent constraint at the same place."""
        return Constraint(
            self._matcher.deep_copy(), self._vocabulary, eos_ids=self._eos_ids, after=self._after
        )

    def apply(self, logits: torch.Tensor) -> torch.Tensor:
        """The logits with every token that may not come next at minus infinity."""
        if self._after is not None:
            ends = torch.tensor(self._eos_ids, dtype=torch.long, device=logits.device)
            return logits.index_fill(-1, ends, -torch.inf)
        llguidance.torch.fill_next_token_bitmask(self._matcher, self._mask, 0)
        words = self._mask[0]
        bits = (words.unsqueeze(-1) >> torch.arange(32, dtype=torch.int32)) & 1
        allowed = bits.flatten()[: logits.numel()].bool().to(logits.device)
        return logits.masked_fill(~allowed, -torch.inf)

    def consume(self, token: int) -> None:
        """Move on by one chosen token."""
        if self._after is None:
            self._matcher.consume_token(token)
        elif token == self._after:
            self._after = None
