"""/admin/api/usage: what tokens and users have used of models."""

import csv
import io
from collections.abc import Iterable
from datetime import date
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from serve_app.api.context import ContextDep
from serve_app.api.json_answer import json_response
from serve_app.core.amounts import Amounts
from serve_app.core.bounds import INT64
from serve_app.core.errors import InvalidRequest
from serve_app.metering.usage_reading import (
    GROUPINGS,
    Grouping,
    UsageLine,
    UsagePage,
    UsageQuery,
    read_usage,
)

router = APIRouter(tags=["admin"])
CSV = "text/csv"
EVERYTHING = "day,token,user,model,provider"
MOST_LINES = 100_000
Name = Annotated[str | None, Query(max_length=1000)]


def usage_query(
    first_day: Annotated[date | None, Query(alias="from")] = None,
    last_day: Annotated[date | None, Query(alias="to")] = None,
    model: Name = None,
    provider: Name = None,
    user: Name = None,
    token: Annotated[int | None, Query(ge=0, lt=INT64)] = None,
    group_by: Annotated[str, Query(max_length=100)] = EVERYTHING,
    limit: Annotated[int, Query(ge=1, le=MOST_LINES)] = 100,
    offset: Annotated[int, Query(ge=0, lt=INT64)] = 0,
) -> UsageQuery:
    """The query parameters. InvalidRequest for what there is no grouping by."""
    return UsageQuery(
        group_by=_groupings(group_by),
        first_day=first_day.isoformat() if first_day else None,
        last_day=last_day.isoformat() if last_day else None,
        model=model,
        provider=provider,
        user=user,
        token=token,
        limit=limit,
        offset=offset,
    )


@router.get("/admin/api/usage")
async def list_usage(
    request: Request,
    query: Annotated[UsageQuery, Depends(usage_query)],
    context: ContextDep,
    format: Annotated[Literal["json", "csv"] | None, Query()] = None,
) -> Response:
    """List what was used, the newest day first, as JSON or CSV. Days are UTC."""
    await context.meter.flush()
    page = await context.database.read(partial(read_usage, query=query))
    is_csv = format == "csv" or (format is None and CSV in request.headers.get("accept", ""))
    if is_csv:
        named = {"Content-Disposition": 'attachment; filename="usage.csv"'}
        return Response(_csv(query, page), media_type=CSV, headers=named)
    return json_response(
        {
            "data": [_line_object(line, page) for line in page.lines],
            "totals": amounts_object(page.whole),
            "currency": context.config.usage.currency,
            "group_by": query.group_by,
            "total": page.total,
            "limit": query.limit,
            "offset": query.offset,
        }
    )


def amounts_object(amounts: Amounts) -> dict[str, float]:
    """Amounts on the wire."""
    return {
        "requests": amounts.requests,
        "prompt_tokens": amounts.prompt_tokens,
        "completion_tokens": amounts.completion_tokens,
        "cached_tokens": amounts.cached_tokens,
        "reasoning_tokens": amounts.reasoning_tokens,
        "images": amounts.images,
        "audio_seconds": round(amounts.audio_s, 3),
        "video_seconds": round(amounts.video_s, 3),
        "cost": round(amounts.cost, 9),
    }


def _groupings(text: str) -> tuple[Grouping, ...]:
    wanted = [name.strip() for name in text.split(",")]
    for name in wanted:
        if name not in GROUPINGS:
            raise InvalidRequest(
                f"unknown grouping {name!r}",
                remedy=f"groupings: {', '.join(GROUPINGS)}",
                param="group_by",
            )
    return tuple(name for name in GROUPINGS if name in wanted)


def _line_object(line: UsageLine, page: UsagePage) -> dict[str, Any]:
    """The name of a token is shown beside its id; one that is not known any more has none."""
    group: dict[str, Any] = {}
    for name, value in line.group.items():
        group[name] = value
        if name == "token":
            group |= {"token": value or None, "token_name": page.names.get(value)}
    return group | amounts_object(line.amounts)


def _csv(query: UsageQuery, page: UsagePage) -> str:
    text = io.StringIO()
    names = _csv_names(query.group_by)
    writer = csv.DictWriter(text, [*names, *amounts_object(Amounts())], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(_line_object(line, page) for line in page.lines)
    return text.getvalue()


def _csv_names(group_by: Iterable[Grouping]) -> list[str]:
    return [n for name in group_by for n in ((name, "token_name") if name == "token" else (name,))]
