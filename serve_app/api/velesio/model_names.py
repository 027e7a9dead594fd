"""Names of models in requests of this dialect."""

STANDARD_NAMES = frozenset({"completion", "gpt-3.5-turbo"})
"""What clients send that know of no model here."""


def wanted_model(name: str | None) -> str | None:
    """The model that a request names; None is the default one."""
    return None if name in STANDARD_NAMES else name
