"""Stages that were recorded by versions which kept them as pickles, made records of today's form.

Nothing that a pickle names is imported or run: of each object only its name and fields are read.
"""

import base64
import io
import json
import logging
import pickle
from typing import Any

from sqlalchemy import column, select, table, update
from sqlalchemy.orm import Session
from typing_extensions import override

from serve_app.database.connection import Database
from serve_app.jobs.recorded import FORM, PLAIN

logger = logging.getLogger(__name__)

PICKLED = "py_pickle"
JSON = "portable_json"
"""What DBOS calls the two."""
OUR_MODULES = ("serve_app.", "pipelines.")
UNREADABLE = json.dumps({"form": 0})


class PickledObject:
    """An object of a pickle: what its class was made of, and its fields."""

    made_of: tuple[Any, ...]
    fields: dict[str, Any]

    def __new__(cls, *made_of: object) -> "PickledObject":
        """As the pickle's instructions call the class."""
        remains = super().__new__(cls)
        remains.made_of, remains.fields = made_of, {}
        return remains

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.fields = state["__dict__"]


class FormerUnpickler(pickle.Unpickler):
    """Sees remains in place of our classes, and refuses every other."""

    @override
    def find_class(self, module: str, name: str) -> type[PickledObject]:
        if not module.startswith(OUR_MODULES):
            raise pickle.UnpicklingError(f"{module}.{name} is no class of this server")
        return type(name, (PickledObject,), {})


async def rewrite_pickles(database: Database, workflow: str) -> None:
    """Put the records of a workflow, which nobody runs now, into today's form."""

    def work(session: Session) -> None:
        steps = table(
            "operation_outputs",
            *(column(name) for name in ("workflow_uuid", "function_id", "output", "error")),
            column("serialization"),
            schema=None if database.is_sqlite else "dbos",
        )
        mine = (steps.c.workflow_uuid == workflow, steps.c.serialization == PICKLED)
        for number, output, error in session.execute(
            select(steps.c.function_id, steps.c.output, steps.c.error).where(*mine)
        ).all():
            # Of DBOS's own JSON, which holds the record as a string.
            record = json.dumps(former_record(output, error))
            session.execute(
                update(steps)
                .where(*mine, steps.c.function_id == number)
                .values(output=record, error=None, serialization=JSON)
            )

    await database.write(work)


def former_record(output: str | None, error: str | None) -> str:
    """The record of a stage whose result, or failure, was pickled; one that says that it cannot be
    read where that is so.
    """
    try:
        if error is not None:
            (failure,) = _unpickled(error).made_of
            return json.dumps({"form": FORM, "failure": _content(failure)})
        result = None if output is None else _written(_unpickled(output))
        return json.dumps({"form": FORM, "result": result})
    except Exception as unreadable:  # A pickle that is no good can raise anything.
        logger.warning("a stage's record cannot be read: %r", unreadable)
        return UNREADABLE


def _unpickled(text: str) -> Any:
    return FormerUnpickler(io.BytesIO(base64.b64decode(text))).load()


def _written(value: Any) -> Any:
    """As `write_result` writes a message, whose version was the first."""
    if type(value) in PLAIN:
        return value
    if isinstance(value, list):
        return [_written(item) for item in value]
    if isinstance(value, tuple):
        return {"tuple": [_written(item) for item in value]}
    name, content = type(value).__name__, _content(value)
    if name == "Blob":
        # Only extracted audio was recorded without its warnings.
        name, content = "ExtractedAudio", {"audio": content}
    return {"message": name, "version": 1, "content": content}


def _content(value: Any) -> Any:
    """As pydantic writes it."""
    if isinstance(value, PickledObject):
        return _content(value.fields)
    if isinstance(value, dict):
        return {key: _content(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [_content(item) for item in value]
    if isinstance(value, bytes):
        return base64.urlsafe_b64encode(value).decode()
    # JSON has no infinite numbers; pydantic reads them from strings.
    return str(value) if value in (float("inf"), float("-inf")) or value != value else value
