"""`Call`: a request, who makes it, and the dialect that it is made in.

Errors and warnings of operations name fields of the core. Here and in the dialect, and nowhere
else, they are made to name those of the dialect that is spoken.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request

from serve_app.access.tokens import Principal
from serve_app.api.answers import Tell
from serve_app.api.context import Context, get_context, get_principal
from serve_app.api.dialect import Dialect, dialect_in
from serve_app.core.errors import AppError
from serve_app.core.operation import Operation


@dataclass(frozen=True)
class Call:
    """What a route is given besides its body."""

    context: Context
    principal: Principal
    request: Request
    dialect: Dialect

    @property
    def timeout_s(self) -> float:
        """How long it waits for its job."""
        limits = self.context.config.jobs.sync_timeout_s
        return limits.get(self.dialect.name, self.dialect.sync_timeout_s)

    def telling(self, operation: Operation[Any, Any]) -> Tell:
        """How warnings of the operation are told."""
        return partial(self.dialect.told, operation=operation.name)


async def get_call(request: Request) -> Call:
    """The call that a request, which the gate has let in, makes."""
    context, principal = await get_context(request), await get_principal(request)
    return Call(context, principal, request, dialect_in(request.scope))


CallDep = Annotated[Call, Depends(get_call)]


@contextmanager
def dialect_errors(dialect: Dialect, operation: str) -> Iterator[None]:
    """Within it, errors about a field of the operation, or of a job (`JOB`), name the dialect's."""
    try:
        yield
    except AppError as error:
        raise error.about(dialect.own_field(error.param, operation)) from error.__cause__
