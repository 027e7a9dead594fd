"""Work of models that is part of a request and no job: whether there is a budget for it, and whom
it is charged to.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from serve_app.access.tokens import Principal
from serve_app.api.context import Context
from serve_app.core.costs import metered


async def check_budget(context: Context, principal: Principal) -> None:
    """BudgetExceeded when the caller's token has no budget left for any work."""
    if principal.budget is not None:
        await context.budgets.check(principal.token_number, principal.budget)


@contextmanager
def charged(context: Context, principal: Principal) -> Iterator[None]:
    """What models use that run in the block is the caller's."""
    with metered() as meter:
        try:
            yield
        finally:
            for (model, provider), amounts in meter.used.by_model.items():
                context.meter.add(principal.token_number, principal.owner, model, provider, amounts)
