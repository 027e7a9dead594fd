"""What Anthropic's models take, by their ids.

Facts: https://platform.claude.com/docs/en/about-claude/models/migration-guide and
https://platform.claude.com/docs/en/build-with-claude/adaptive-thinking. Ids of Bedrock and of
gateways have the same words in them, with others around.
"""

import re
from dataclasses import dataclass

VERSION = re.compile(r"claude-(?:[a-z]{1,20}-)?(\d{1,2})(?:[.-](\d{1,2}))?(?!\d)")
NEWEST = (99, 0)


@dataclass(frozen=True)
class ClaudeModel:
    """What one of them takes. Names without a number are taken for new."""

    version: tuple[int, int]

    @property
    def takes_sampling(self) -> bool:
        """Whether there is a temperature to choose; later models choose it themselves."""
        return self.version < (4, 7)

    @property
    def thinks_by_budget(self) -> bool:
        """Whether thinking is given a number of tokens; later models are told an effort."""
        return self.version < (4, 6)

    @property
    def most_tokens(self) -> int:
        """What is asked for where the caller names no number, which the API must have: what the
        smallest model of that time can say.
        """
        return 4096 if self.version < (3, 5) else 8192 if self.version < (3, 7) else 32_000


def claude_model(model: str) -> ClaudeModel:
    """What the model of an id takes."""
    found = VERSION.search(model.lower())
    if found is None:
        return ClaudeModel(NEWEST)
    return ClaudeModel((int(found[1]), int(found[2] or 0)))
