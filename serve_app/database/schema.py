"""The tables. Times are unix seconds (UTC) as floats, so that SQLite and Postgres agree on them."""

from typing import Any

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from serve_app.database.provider_schema import AuditRow as AuditRow
from serve_app.database.provider_schema import ProviderRow as ProviderRow
from serve_app.database.provider_schema import ProviderSecretRow as ProviderSecretRow
from serve_app.database.table import Number as Number
from serve_app.database.table import Table as Table
from serve_app.database.usage_schema import UsageRow as UsageRow
from serve_app.database.usage_schema import UsageTotalRow as UsageTotalRow


class TokenRow(Table):
    """A credential. Only its SHA-256 and a masked form are kept. Ids are never reused."""

    __tablename__ = "tokens"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    name: Mapped[str]
    provider: Mapped[str]
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    masked: Mapped[str]
    prefix: Mapped[str]
    scopes: Mapped[list[Any]]
    owner: Mapped[str] = mapped_column(index=True)
    source: Mapped[str]
    created_at: Mapped[float]
    last_used: Mapped[float | None]
    expires_at: Mapped[float | None]
    budget: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))


class UserRow(Table):
    """Somebody who can sign in. `password` is an argon2id hash with its parameters."""

    __tablename__ = "users"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    username: Mapped[str] = mapped_column(unique=True)
    password: Mapped[str | None]
    role: Mapped[str]
    must_change_password: Mapped[bool]
    created_at: Mapped[float]
    last_changed_at: Mapped[float]


class WebSessionRow(Table):
    """A signed-in browser, by the SHA-256 of its cookie's id."""

    __tablename__ = "web_sessions"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    csrf_token: Mapped[str]
    created_at: Mapped[float]
    seen_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)


class LoginFailureRow(Table):
    """A failed sign-in, counted by user name and by address."""

    __tablename__ = "login_failures"
    __table_args__ = (Index("login_failures_by_subject", "subject", "at"),)

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    subject: Mapped[str]
    at: Mapped[float]


class SettingRow(Table):
    """A setting that is changed while the server runs, or a counter that replicas watch."""

    __tablename__ = "settings"

    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class JobRow(Table):
    """One run of an operation. `revision` grows with every change a client can see."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index("jobs_by_ref", "owner", "ref_id", unique=True),
        Index("jobs_by_key", "owner", "idempotency_key", unique=True),
        Index("jobs_in_line", "status", "queue", "priority", "number"),
        {"sqlite_autoincrement": True},
    )

    number: Mapped[int] = mapped_column(Number, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    operation: Mapped[str]
    request: Mapped[dict[str, Any]]
    output: Mapped[dict[str, Any]]
    dialect: Mapped[str] = mapped_column(server_default="v1")
    owner: Mapped[str] = mapped_column(index=True)
    tag: Mapped[str | None]
    ref_id: Mapped[str | None]
    model: Mapped[str | None]
    queue: Mapped[str]
    priority: Mapped[int]
    status: Mapped[str]
    executor: Mapped[str | None] = mapped_column(index=True)
    cancel_requested: Mapped[bool]
    attempts: Mapped[int]
    revision: Mapped[int]
    created_at: Mapped[float]
    started_at: Mapped[float | None]
    finished_at: Mapped[float | None] = mapped_column(index=True)
    progress: Mapped[dict[str, Any]]
    stages: Mapped[list[Any]]
    warnings: Mapped[list[Any]]
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    files: Mapped[dict[str, Any]]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    callback_url: Mapped[str | None]
    callback_tries: Mapped[int]
    callback_due_at: Mapped[float | None] = mapped_column(index=True)
    call_digest: Mapped[str | None] = mapped_column(String(64))
    idempotency_key: Mapped[str | None]
    left_at: Mapped[float | None]
    is_awaited: Mapped[bool]
    asked_for: Mapped[str | None]
    partial: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    token: Mapped[int | None] = mapped_column(BigInteger)
    hops: Mapped[int | None] = mapped_column(BigInteger)


class DirectJobRow(Table):
    """A call that is answered at once: who asked, and how it ended, without what was asked for and
    what was answered. `seen_at` is when the process that answers it has last written here.
    """

    __tablename__ = "direct_jobs"

    number: Mapped[int] = mapped_column(Number, primary_key=True)
    id: Mapped[str] = mapped_column(unique=True)
    operation: Mapped[str]
    model: Mapped[str | None]
    owner: Mapped[str]
    dialect: Mapped[str]
    ref_id: Mapped[str | None]
    tag: Mapped[str | None]
    status: Mapped[str]
    error: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    cancel_requested: Mapped[bool]
    began_at: Mapped[float]
    ended_at: Mapped[float | None]
    seen_at: Mapped[float] = mapped_column(index=True)


class ExecutorRow(Table):
    """A process that runs jobs. Its lease is `seen_at`; on one machine its process tells sooner."""

    __tablename__ = "executors"

    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    process: Mapped[str]
    seen_at: Mapped[float]


class ArchiveRow(Table):
    """One generated file. Its bytes are the blob `sha256`, which other rows may share."""

    __tablename__ = "archive"

    filename: Mapped[str] = mapped_column(primary_key=True)
    type: Mapped[str]
    mime: Mapped[str]
    size: Mapped[int] = mapped_column(Number)
    sha256: Mapped[str] = mapped_column(String(64))
    created: Mapped[float] = mapped_column(index=True)
    prompt: Mapped[str | None]
    negative_prompt: Mapped[str | None]
    model: Mapped[str | None]
    operation: Mapped[str | None]
    parameters: Mapped[dict[str, Any]]
    seed: Mapped[int | None] = mapped_column(Number)
    width: Mapped[int | None]
    height: Mapped[int | None]
    duration: Mapped[float | None]
    owner: Mapped[str] = mapped_column(index=True)
    tag: Mapped[str | None]
    job_id: Mapped[str | None] = mapped_column(index=True)
    preview: Mapped[str | None] = mapped_column(String(64))


class BlobReferenceRow(Table):
    """Who still needs a blob: `holder` is `archive:<file>`, `job:<id>`, `stages:<id>` (of a running
    job), `profile:<id>` or `upload:<owner>`, and `upload` for those of nobody; `derived:<name>` for
    what was made of stored files. Bytes that nobody holds are deleted, unless they were written
    again after `since`. `used_at` is of uploads and of what was derived.
    """

    __tablename__ = "blob_references"

    sha256: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(primary_key=True, index=True)
    mime: Mapped[str]
    size: Mapped[int] = mapped_column(Number)
    since: Mapped[float]
    used_at: Mapped[float | None] = mapped_column(index=True)


class ProfileRow(Table):
    """A saved character, environment or voice. `next_item` numbers its files, never reused."""

    __tablename__ = "profiles"
    __table_args__ = (
        Index("profiles_by_name", "kind", "name", unique=True),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(Number, primary_key=True)
    kind: Mapped[str]
    name: Mapped[str]
    description: Mapped[str]
    transcript: Mapped[str]
    owner: Mapped[str]
    created_at: Mapped[float]
    next_item: Mapped[int]


class ProfileItemRow(Table):
    """A file of a profile: `role` is `image`, `audio` (a voice's own audio) or `clip`; `text` is
    its label or its transcript.
    """

    __tablename__ = "profile_items"

    profile_id: Mapped[int] = mapped_column(
        ForeignKey("profiles.id", ondelete="CASCADE"), primary_key=True
    )
    number: Mapped[int] = mapped_column(primary_key=True)
    role: Mapped[str]
    text: Mapped[str]
    sha256: Mapped[str] = mapped_column(String(64))
    mime: Mapped[str]
    size: Mapped[int] = mapped_column(Number)
