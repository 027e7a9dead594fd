"""The routes of the table: each row's operation, and its queued twin."""

from fastapi.responses import Response
from starlette.routing import BaseRoute

from serve_app.api.ai_server.arguments import Arguments
from serve_app.api.ai_server.calls import accepted, prepared, queued, waited, wants_job
from serve_app.api.ai_server.operation_route import ANY_VERB, POST, Done, Perform, operation_routes
from serve_app.api.ai_server.table import ROWS, Row
from serve_app.api.call import Call


def _waiting(row: Row) -> Perform:
    async def perform(call: Call, arguments: Arguments) -> Done | Response:
        if wants_job(call):
            ready = await prepared(call, row, arguments, is_queued=True)
            return accepted(*await queued(call, ready))
        body, job = await waited(call, await prepared(call, row, arguments, is_queued=False))
        return body, job.id

    return perform


def _queueing(row: Row) -> Perform:
    async def perform(call: Call, arguments: Arguments) -> Done:
        body, job = await queued(call, await prepared(call, row, arguments, is_queued=True))
        return body, job.id

    return perform


def _routes_of(row: Row) -> list[BaseRoute]:
    does = row.body.__doc__ or row.name
    twin = f"Queue {row.name}. The answer says where its job is asked for."
    return [
        *operation_routes(
            row.name,
            _waiting(row),
            does=does,
            tag=row.tag,
            verbs=POST if row.posts else ANY_VERB,
            body=row.body,
            files=row.files,
        ),
        *operation_routes(
            row.queue_name,
            _queueing(row),
            does=twin,
            tag=row.tag,
            verbs=POST if row.queue_posts else ANY_VERB,
            body=row.body,
            files=row.files,
        ),
    ]


ROUTES = [route for row in ROWS for route in _routes_of(row)]
