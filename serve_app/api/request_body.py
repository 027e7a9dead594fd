"""`Body`: a request body that knows which of its fields have no effect."""

from collections.abc import Iterable

from pydantic import ConfigDict

from serve_app.api.wire_object import WireObject
from serve_app.blobs.spooled_text import STAND_IN

HEADER_CHARACTERS = 1000


class Body(WireObject):
    """A request body: unknown fields are kept, so that they can be reported as ignored.

    `without_effect` names declared fields that this version accepts and does not act on.
    """

    model_config = ConfigDict(extra="allow")

    def without_effect(self) -> Iterable[str]:
        """Declared fields that were sent and have no effect."""
        return ()

    def sent(self, *names: str) -> list[str]:
        """Those of the declared fields that were sent."""
        return [name for name in names if getattr(self, name) is not None]

    def ignored_names(self) -> list[str]:
        """Unknown fields and those without effect."""
        return [*(self.model_extra or {}), *self.without_effect()]

    def ignored(self, *idle: str) -> dict[str, str]:
        """The `X-Ignored-Fields` header, empty when nothing was ignored. `idle` are fields that
        have no effect where the answer comes from.
        """
        return ignored_header([*self.ignored_names(), *self.sent(*idle)])


def ignored_header(names: Iterable[str]) -> dict[str, str]:
    """`X-Ignored-Fields` for these names; a header carries printable ASCII only, and no name of a
    megabyte, nor what stands in for it.
    """
    kept = [name for name in names if name.isascii() and name.isprintable()]
    kept = [name for name in kept if not name.startswith(STAND_IN)]
    value = ",".join(dict.fromkeys(kept))
    if len(value) > HEADER_CHARACTERS:
        value = value[:HEADER_CHARACTERS].rpartition(",")[0] or value[:HEADER_CHARACTERS]
    return {"X-Ignored-Fields": value} if value else {}
