"""`Content-Disposition` of a form's part, in every spelling that HTTP libraries send.

RFC 7578 wants `name="file"; filename="a.png"`. .NET sends names without quotes and `filename*=` of
RFC 8187 beside `filename=`, urllib3 before 1.25 `filename*=` alone, and many leave quotes and
backslashes of a file's name as they are.
"""

from collections.abc import Iterator


def parameters(header: bytes) -> dict[str, str]:
    """The parameters by name in lower case. Of a name that is there twice the first counts, and
    `name*` stands in for a missing `name`; its text is not decoded, because no field that the
    server knows has letters that would be encoded.
    """
    plain: dict[str, str] = {}
    extended: dict[str, str] = {}
    for key, value in _pairs(header.decode("utf-8", "replace")):
        if key.endswith("*"):
            extended.setdefault(key[:-1], value.rpartition("'")[2])
        else:
            plain.setdefault(key, value)
    return extended | plain


def _pairs(header: str) -> Iterator[tuple[str, str]]:
    position = header.find(";")
    while position != -1:
        equals = header.find("=", position)
        if equals == -1:
            return
        # A parameter without a value is none: the name begins after the last semicolon.
        key = header[position + 1 : equals].rpartition(";")[2].strip().lower()
        start = equals + 1
        while start < len(header) and header[start] in " \t":
            start += 1
        if header[start : start + 1] == '"':
            value, position = _quoted(header, start + 1)
        else:
            end = header.find(";", start)
            value = header[start:] if end == -1 else header[start:end]
            value, position = value.strip(), end
        yield key, value


def _quoted(header: str, start: int) -> tuple[str, int]:
    """The text from `start` up to the quote that a semicolon or the end follows, and where the
    semicolon is: a quote before other text is one that nobody escaped.
    """
    quote = header.find('"', start)
    while quote != -1:
        rest = quote + 1
        while rest < len(header) and header[rest] in " \t":
            rest += 1
        is_last = rest == len(header)
        is_escaped = header[quote - 1] == "\\" and header[quote - 2] != "\\"
        if is_last or (header[rest] == ";" and not is_escaped):
            text = header[start:quote]
            return text.replace('\\"', '"').replace("\\\\", "\\"), -1 if is_last else rest
        quote = header.find('"', quote + 1)
    return header[start:], -1
