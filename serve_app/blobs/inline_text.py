"""Media that callers write into a text, as base64 or percent-encoded: read piece by piece in one
pass, so that a long text neither holds other requests up nor is in memory twice.
"""

import binascii
import re
from collections.abc import Iterator

PIECE = 64 * 1024
"""Characters at a time; a piece is decoded in about 0.3 ms."""
HEADER_CHARACTERS = 4096
WHITE_SPACE = b" \t\n\r\v\f"
URL_SAFE = bytes.maketrans(b"-_", b"+/")
ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
LONGEST_PADDING = 2
CODE = re.compile(rb"%([0-9A-Fa-f]{2})")


class NotBase64(ValueError):
    """A character that base64 does not have, or has at its end only."""


class IncompleteBase64(ValueError):
    """Base64 that ends inside a byte."""


class NotStorable(ValueError):
    """NUL, or half of a surrogate pair."""


def beginning(pieces: Iterator[bytes]) -> bytes:
    """What comes first after white space, enough of it to hold the header of a data URL."""
    begun = b""
    for piece in pieces:
        begun = (begun + piece).lstrip()
        if len(begun) >= HEADER_CHARACTERS:
            break
    return begun


def text_pieces(text: str) -> Iterator[bytes]:
    """The text as UTF-8. NotStorable for what no database keeps."""
    for begin in range(0, len(text), PIECE):
        try:
            piece = text[begin : begin + PIECE].encode()
        except UnicodeEncodeError:
            raise NotStorable from None
        if b"\0" in piece:
            raise NotStorable
        yield piece


def unquoted(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Percent-encoded bytes decoded; what is no code stays as it is, of which `urllib` would make
    an exception each.
    """
    rest = b""
    for piece in pieces:
        piece = rest + piece
        cut = piece.rfind(b"%", -2)
        end = len(piece) if cut < 0 else cut
        rest = piece[end:]
        yield CODE.sub(_byte, piece[:end])
    yield rest


def _byte(code: re.Match[bytes]) -> bytes:
    return bytes.fromhex(code[1].decode())


def decoded(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Base64 decoded, of either alphabet and with white space anywhere; missing padding is
    forgiven. NotBase64 or IncompleteBase64 for anything else.
    """
    rest = padding = b""
    for piece in pieces:
        piece = piece.translate(URL_SAFE, WHITE_SPACE)
        letters = piece.rstrip(b"=")
        if letters and (padding or letters.translate(None, ALPHABET)):
            raise NotBase64
        padding += piece[len(letters) :]
        if len(padding) > LONGEST_PADDING:
            raise NotBase64
        rest += letters
        whole = len(rest) // 4 * 4
        yield binascii.a2b_base64(rest[:whole])
        rest = rest[whole:]
    if len(rest) == 1:
        raise IncompleteBase64
    yield binascii.a2b_base64(rest + b"=" * (-len(rest) % 4))
