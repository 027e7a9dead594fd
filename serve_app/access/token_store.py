"""The tokens of the database: made, listed, revoked, and mirrored from the environment.

Every function runs inside one transaction of its caller and may be repeated with it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from serve_app.access.tokens import API_OWNER, Scope, masked, shown_prefix, token_digest
from serve_app.core.budget import Budget
from serve_app.core.errors import Conflict, NotFound
from serve_app.database.revisions import announce_change
from serve_app.database.schema import TokenRow

ENVIRONMENT = "environment"
STORE = "store"
REVOKED = "revoked"
"""The source of tokens that are kept only to tell their users why they are refused."""
REVISION = "access_revision"
USED_EVERY_S = 60.0


@dataclass(frozen=True)
class NewToken:
    """What a token is to be; times are unix seconds."""

    token: str
    name: str
    scopes: Sequence[Scope]
    owner: str
    provider: str = "openai"
    expires_at: float | None = None
    source: str = STORE
    budget: Budget | None = None


def announce(session: Session) -> None:
    """Tell every replica that credentials were revoked or added."""
    announce_change(session, REVISION)


def add_token(session: Session, new: NewToken, *, now: float) -> TokenRow:
    """The row of a token that did not exist yet, or was revoked."""
    digest = token_digest(new.token).hex()
    session.execute(delete(TokenRow).where(TokenRow.digest == digest, TokenRow.source == REVOKED))
    row = TokenRow(
        name=new.name,
        provider=new.provider,
        digest=digest,
        masked=masked(new.token),
        prefix=shown_prefix(new.token),
        scopes=list(new.scopes),
        owner=new.owner,
        source=new.source,
        created_at=now,
        last_used=None,
        expires_at=new.expires_at,
        budget=_stored(new.budget),
    )
    session.add(row)
    session.flush()
    announce(session)
    return row


def all_tokens(session: Session) -> list[TokenRow]:
    """Every token in force, and those that have expired, by id."""
    kept = select(TokenRow).where(TokenRow.source != REVOKED)
    return list(session.scalars(kept.order_by(TokenRow.id)))


def revoked_digests(session: Session) -> frozenset[bytes]:
    """Of every token that was revoked."""
    revoked = select(TokenRow.digest).where(TokenRow.source == REVOKED)
    return frozenset(map(bytes.fromhex, session.scalars(revoked)))


def revoke_token(session: Session, token_id: int) -> None:
    """NotFound for an unknown id, Conflict for a token of the environment."""
    row = session.get(TokenRow, token_id)
    if row is None or row.source == REVOKED:
        raise NotFound(f"no token has the id {token_id!r}")
    if row.source == ENVIRONMENT:
        raise Conflict(
            f"token {token_id} comes from the environment",
            remedy="remove it from API_TOKENS or ADMIN_TOKEN and restart the server",
        )
    row.source, row.scopes = REVOKED, []
    announce(session)


def set_budget(session: Session, token_id: int, budget: Budget) -> TokenRow:
    """Limit what a token may use; without any limit, it may use everything. NotFound for an unknown
    id.
    """
    row = session.get(TokenRow, token_id)
    if row is None or row.source == REVOKED:
        raise NotFound(f"no token has the id {token_id!r}")
    row.budget = _stored(budget)
    announce(session)
    return row


def revoke_tokens_of(session: Session, owner: str) -> None:
    """End every stored token of a user."""
    theirs = update(TokenRow).where(TokenRow.owner == owner, TokenRow.source == STORE)
    session.execute(theirs.values(source=REVOKED, scopes=[]))
    announce(session)


def record_use(session: Session, token_id: int, *, now: float) -> None:
    """Set `last_used`, unless another replica did so within the minute."""
    is_due = or_(TokenRow.last_used.is_(None), TokenRow.last_used <= now - USED_EVERY_S)
    session.execute(update(TokenRow).where(TokenRow.id == token_id, is_due).values(last_used=now))


def mirror_environment(session: Session, environment: Mapping[str, str], *, now: float) -> None:
    """Make the tokens of source environment those that `API_TOKENS` (a comma list, scope
    inference) and `ADMIN_TOKEN` (scopes inference and admin) name now.
    """
    wanted = {token_digest(new.token).hex(): new for new in tokens_in(environment)}
    for row in session.scalars(select(TokenRow)):
        new = wanted.pop(row.digest, None)
        if new is not None:
            row.name, row.scopes, row.owner = new.name, list(new.scopes), new.owner
            row.source, row.expires_at = ENVIRONMENT, None
        elif row.source == ENVIRONMENT:
            session.delete(row)
    for new in wanted.values():
        add_token(session, new, now=now)
    announce(session)


def _stored(budget: Budget | None) -> dict[str, Any] | None:
    return budget.shown() or None if budget is not None else None


def tokens_in(environment: Mapping[str, str]) -> list[NewToken]:
    """The tokens that the environment names; of one named twice, the last has the say."""

    def new(token: str, name: str, *scopes: Scope) -> NewToken:
        return NewToken(token.strip(), name, scopes, API_OWNER, source=ENVIRONMENT)

    listed = environment.get("API_TOKENS", "").split(",")
    found = [new(token, "API_TOKENS", "inference") for token in listed]
    found.append(new(environment.get("ADMIN_TOKEN", ""), "ADMIN_TOKEN", "inference", "admin"))
    return [each for each in found if each.token]
