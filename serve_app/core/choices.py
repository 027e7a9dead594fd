"""What of a request is left to the server."""


def explicit(text: str | None) -> str | None:
    """The text as it is; None for nothing, a blank and `auto`, which leave the choice to the
    server.
    """
    return None if text is None or text.strip().lower() in ("", "auto") else text
