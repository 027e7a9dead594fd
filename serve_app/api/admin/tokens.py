"""/admin/api/tokens."""

import time
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import Field, field_validator
from sqlalchemy.orm import Session

from serve_app.access.token_store import (
    NewToken,
    add_token,
    all_tokens,
    revoke_token,
    set_budget,
)
from serve_app.access.tokens import API_OWNER, Scope, generate_token
from serve_app.access.users import find_user
from serve_app.api.admin.fields import SUCCESS, AdminBody, Label, RowId
from serve_app.api.admin.times import optional_rfc3339, rfc3339
from serve_app.api.context import ContextDep, PrincipalDep
from serve_app.api.json_answer import json_response
from serve_app.core.budget import Budget
from serve_app.core.errors import InvalidRequest
from serve_app.database.schema import TokenRow

router = APIRouter(tags=["admin"])
DAY_S = 86_400.0
LONGEST_DAYS = 3650


class TokenBody(AdminBody):
    """A new token. It expires at `expires_at` or after `expires_in_days`."""

    name: Label
    provider: Label = "openai"
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1, max_length=2)] = ("inference",)
    expires_at: datetime | None = None
    expires_in_days: Annotated[int, Field(strict=True, ge=1, le=LONGEST_DAYS)] | None = None
    user: Label | None = None
    budget: Budget | None = None

    @field_validator("expires_at", mode="before")
    @classmethod
    def _is_a_text(cls, value: object) -> object:
        if value is not None and not isinstance(value, str):
            raise ValueError("an RFC 3339 time is needed, such as '2030-01-31T12:00:00Z'")
        return value

    def expiry(self, now: float) -> float | None:
        """The unix second at which the token ends. InvalidRequest."""
        if self.expires_in_days is not None:
            if self.expires_at is not None:
                raise InvalidRequest(
                    "send 'expires_in_days' or 'expires_at', not both", param="expires_in_days"
                )
            return now + self.expires_in_days * DAY_S
        if self.expires_at is None:
            return None
        if self.expires_at.tzinfo is None:
            raise InvalidRequest("a time zone is needed, such as 'Z'", param="expires_at")
        at = self.expires_at.timestamp()
        if at <= now:
            raise InvalidRequest("this time is in the past", param="expires_at")
        # A year past 9999 could not be shown.
        return min(at, now + 100 * 366 * DAY_S)


class TokenChangeBody(AdminBody):
    """What of a token can be changed."""

    budget: Budget | None = None


@router.get("/admin/api/tokens")
async def list_tokens(context: ContextDep) -> Response:
    """List all tokens, masked."""
    rows = await context.database.read(all_tokens)
    return json_response([token_object(row, row.masked) for row in rows])


@router.post("/admin/api/tokens")
async def create_token(body: TokenBody, context: ContextDep, principal: PrincipalDep) -> Response:
    """Create a token. Only this response shows it."""
    now = time.time()
    owner = body.user or principal.owner
    new = NewToken(
        generate_token(),
        body.name,
        sorted(set(body.scopes), reverse=True),
        owner,
        provider=body.provider,
        expires_at=body.expiry(now),
        budget=body.budget,
    )

    def work(session: Session) -> TokenRow:
        if owner not in (API_OWNER, principal.owner) and find_user(session, owner) is None:
            raise InvalidRequest(f"no user is named {owner!r}", param="user")
        return add_token(session, new, now=now)

    row = await context.database.write(work)
    await context.access.credentials.refresh()
    return json_response(token_object(row, new.token), headers={"Cache-Control": "no-store"})


@router.patch("/admin/api/tokens/{id}")
async def change_token(id: RowId, body: TokenChangeBody, context: ContextDep) -> Response:
    """Change what a token may use; `{}` as the budget removes all limits."""
    budget = body.budget
    if budget is None:
        raise InvalidRequest("there is nothing to change", remedy="send 'budget'", param="budget")
    row = await context.database.write(lambda session: set_budget(session, id, budget))
    await context.access.credentials.refresh()
    return json_response(token_object(row, row.masked))


@router.delete("/admin/api/tokens/{id}")
async def delete_token(id: RowId, context: ContextDep) -> Response:
    """Revoke a token immediately."""
    await context.database.write(lambda session: revoke_token(session, id))
    await context.access.credentials.refresh()
    return json_response(SUCCESS)


def token_object(row: TokenRow, shown: str) -> dict[str, Any]:
    """A token on the wire; `shown` is the token itself or its masked form."""
    return {
        "id": row.id,
        "name": row.name,
        "provider": row.provider,
        "token": shown,
        "prefix": row.prefix,
        "scopes": row.scopes,
        "owner": row.owner,
        "created_at": rfc3339(row.created_at),
        "last_used": optional_rfc3339(row.last_used),
        "expires_at": optional_rfc3339(row.expires_at),
        "source": row.source,
        "budget": row.budget,
    }
