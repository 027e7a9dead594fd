"""The names that the web UI and its front ends give to tasks, `task(0a1b2c)`, and the `ref_id`s of
their jobs, in which there can be no brackets.
"""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from serve_app.api.job_body import is_short_name
from serve_app.core.jobs import RefId

TASK = re.compile(r"task\(([^()]+)\)")
PREFIX = "task:"


def ref_id_of(name: str) -> str:
    """What the job of a task is called."""
    found = TASK.fullmatch(name)
    return PREFIX + found[1] if found else name


def task_name_of(ref_id: str) -> str:
    """What its client calls a task."""
    return f"task({ref_id.removeprefix(PREFIX)})" if ref_id.startswith(PREFIX) else ref_id


def _read(value: Any) -> Any:
    return (ref_id_of(value) if isinstance(value, str) else value) or None


def _written(value: str | None) -> str | None:
    return None if value is None else task_name_of(value)


TaskName = Annotated[
    Annotated[RefId, Field(strict=True), AfterValidator(is_short_name)] | None,
    BeforeValidator(_read),
    PlainSerializer(_written),
]
"""Front ends that have none send an empty one."""
