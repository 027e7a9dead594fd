"""Conditional requests by entity tag, as RFC 9110 section 13 has them. Stored files have no
`Last-Modified`, so that conditions on dates do not apply.
"""

import re

from starlette.datastructures import Headers

TAG = re.compile(r'(W/)?("[^"]*")')


def is_precondition_met(headers: Headers, etag: str) -> bool:
    """Whether `If-Match`, where it is sent, names the strong tag: a weak one never does."""
    return _named(headers, "if-match", etag, weakly=False) is not False


def is_not_modified(headers: Headers, etag: str) -> bool:
    """Whether `If-None-Match` names the tag: the client has these bytes. `W/` makes no difference
    here, and proxies that compress put it there.
    """
    return _named(headers, "if-none-match", etag, weakly=True) is True


def is_same_file(headers: Headers, etag: str) -> bool:
    """Whether a range may be taken: `If-Range` is absent or the strong tag. A weak one and a date
    say nothing about single bytes.
    """
    return headers.get("if-range", etag).strip() == etag


def _named(headers: Headers, name: str, etag: str, *, weakly: bool) -> bool | None:
    """Whether a list of tags holds this one; None without a list."""
    given = ",".join(headers.getlist(name)).strip()
    if not given:
        return None
    if given == "*":
        return True
    return any(tag[2] == etag and (weakly or not tag[1]) for tag in TAG.finditer(given))
