"""The table of settings for the documentation, written from the configuration's own classes.

`python -m serve_app.launch.settings_table FILE` replaces the table between the two marks in a file.
"""

import re
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, IPvAnyNetwork
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from serve_app.core.config import AppConfig, Defaults
from serve_app.core.options.engine import Section

BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
ELSEWHERE = frozenset({"families", "pipelines"})
"""Lists, which have pages of their own."""


def settings_table() -> str:
    """Markdown: every section with what it is for, and its settings with values and defaults."""
    parts = []
    for name, field in AppConfig.model_fields.items():
        section = field.annotation
        if name in ELSEWHERE or not (isinstance(section, type) and issubclass(section, Section)):
            continue
        parts.append(f"**`{name}`**: {_purpose(section)}\n")
        parts.append("| setting | values | default |\n|---|---|---|")
        default = field.get_default(call_default_factory=True, validated_data={})
        parts += [_row(path, item, value) for path, item, value in _leaves(section, default, name)]
        parts.append("")
    return "\n".join(parts).rstrip() + "\n"


def replaced(text: str) -> str:
    """A document with the table of today between its marks."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{settings_table()}{END}", text)


def _leaves(
    section: type[Section], default: Any, path: str
) -> Iterator[tuple[str, FieldInfo, Any]]:
    for name, field in section.model_fields.items():
        value = getattr(default, name)
        if isinstance(value, Section):
            yield from _leaves(type(value), value, f"{path}.{name}")
        else:
            yield f"{path}.{name}", field, value
    if section is Defaults:
        yield f"{path}.<task>", FieldInfo(annotation=str | None), None


def _row(path: str, field: FieldInfo, default: Any) -> str:
    return f"| `{path}` | {_values(field)} | {_shown(default)} |"


def _values(field: FieldInfo) -> str:
    limits = [_limit(rule) for rule in field.metadata]
    return " ".join((_type(field.annotation), *filter(None, limits)))


def _limit(rule: Any) -> str:
    for name, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
        if getattr(rule, name, None) is not None:
            return f"{sign} {getattr(rule, name):g}"
    return ""


def _type(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        kinds = [_type(kind) for kind in get_args(annotation) if kind is not type(None)]
        return " or ".join((*kinds, "null"))
    if get_origin(annotation) is tuple:
        return f"list of {_type(get_args(annotation)[0])}"
    if get_origin(annotation) is dict:
        return f"map of names to {_type(get_args(annotation)[1])}"
    if get_origin(annotation) is Annotated:
        kind, *rules = get_args(annotation)
        limits = [_limit(limit) for rule in rules for limit in getattr(rule, "metadata", ())]
        return " ".join((_type(kind), *filter(None, limits)))
    names: dict[Any, str] = {
        bool: "true, false",
        int: "integer",
        float: "number",
        str: "text",
        Path: "path",
        IPvAnyNetwork: "address or network",
    }
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)).lower())


def _shown(default: Any) -> str:
    if default is None or default is PydanticUndefined or default == ():
        return "" if default is PydanticUndefined else "`null`" if default is None else "`[]`"
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    return f"`{default:g}`" if isinstance(default, float) else f"`{default}`"


def _purpose(section: type[BaseModel]) -> str:
    return " ".join(typing.cast("str", section.__doc__).split())


def main(file: str) -> None:
    """Rewrite the table in a file."""
    path = Path(file)
    path.write_text(replaced(path.read_text()))


if __name__ == "__main__":
    main(sys.argv[1])
