"""Plain pages. Every text that is not ours goes through `escape`."""

from collections.abc import Sequence
from html import escape
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse

from serve_app.core.errors import InvalidRequest

FORM_FIELDS = 20
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",
}
PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title} - Polyphony</title>
<style>body{{font-family:sans-serif;margin:2em auto;max-width:60em}}label{{display:block}}
td,th{{padding:.2em .8em;text-align:left}}.error{{color:#a00}}</style></head>
<body><h1>{title}</h1>
{body}
</body></html>
"""


def page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    """A whole page; `body` is HTML, `title` is text."""
    return HTMLResponse(PAGE.format(title=escape(title), body=body), status, headers=HEADERS)


def error_line(text: str | None) -> str:
    """What went wrong with a form, nothing for None."""
    return f'<p class="error" role="alert">{escape(text)}</p>\n' if text else ""


def table(titles: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A table of texts; None is an empty cell."""
    head = "".join(f"<th>{escape(title)}</th>" for title in titles)
    lines = [
        "".join(f"<td>{'' if cell is None else escape(str(cell))}</td>" for cell in row)
        for row in rows
    ]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table><tr>{head}</tr>\n{body}\n</table>"


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a URL-encoded form; of a field sent twice, the last. InvalidRequest."""
    body = await request.body()
    try:
        fields = parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FORM_FIELDS)
    except ValueError:
        raise InvalidRequest("the form is not valid URL-encoded UTF-8") from None
    return dict(fields)
