"""`Dialect`: all that the server knows of one HTTP API, in one value. `Dialects` finds the one that
a path belongs to, and what holds on the path.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Literal

from starlette.routing import BaseRoute
from starlette.types import Scope

from serve_app.access.rate_limits import RouteClass
from serve_app.api.answers import AnswerBody, Answers, Finished
from serve_app.api.served_files import ServedFiles
from serve_app.core.config import AppConfig
from serve_app.core.error_fields import root_of
from serve_app.core.errors import AppError
from serve_app.core.jobs import Job
from serve_app.core.notices import Notice, with_field
from serve_app.core.operation import OPERATIONS
from serve_app.core.operations import Unreadable, core_fields
from serve_app.observability.classes import Category

Access = Literal["open", "download", "artifact", "scrape", "inference", "own", "admin"]
"""Who is let in: everybody; everybody where files are public, or artifacts; whoever may scrape; the
scope `inference`; every signed-in user, but nobody without a credential; the scope `admin`.
"""
RenderError = Callable[[AppError, str], dict[str, Any]]
"""The JSON body of an error on a path."""
ErrorStatus = Callable[[AppError], int]
"""The status of an answer with an error."""
RenderJob = Callable[[Job, "Dialect", ServedFiles], Awaitable[dict[str, Any]]]
"""A job as its callback tells it; in any process."""
Configure = Callable[["Dialect", AppConfig], "Dialect"]
"""The dialect as the operator wants it."""
ANY = "*"
REST = "**"
REMEMBERED = 1024
"""Paths whose dialect and rule are kept in mind."""
DIALECT = "polyphony.dialect"
JOB = "job"
"""In `Dialect.fields`, beside the names of operations: what is asked for of jobs."""
JOB_FIELDS = frozenset({"id", "ref_id", "tag", "priority", "callback_url"})


OwnNames = str | tuple[str, ...]
"""What a field is called here; several fields may be one of the core's, as width and height."""


def core_status(error: AppError) -> int:
    """That of the error's class."""
    return error.status


@dataclass(frozen=True)
class PathRule:
    """What holds on the requests of a method whose path fits: of its segments `*` is any one, and
    `**` at the end any number. Such a path may also be a route's own, as `/v1/jobs/{id}`. `GET`
    is HEAD, too; `*` is every method. `category` is what a request counts as that was refused
    before it became an operation. Of an open path the body is always small; `most_bytes` is the
    limit of bodies that are neither that nor a medium.
    """

    method: str
    pattern: str
    access: Access = "inference"
    rate_class: RouteClass = "default"
    category: Category | None = None
    is_counted: bool = True
    is_logged: bool = True
    is_page: bool = False
    is_small: bool = False
    most_bytes: int | None = None

    def fits(self, method: str, path: str) -> bool:
        """Whether the rule holds on a request."""
        is_of_method = self.method in (ANY, "GET" if method == "HEAD" else method)
        return is_of_method and fits(self.pattern, path)


@dataclass(frozen=True)
class SessionPages:
    """The paths of the pages that a session of the web begins with."""

    sign_in: str
    change_password: str


@dataclass(frozen=True)
class Dialect:
    """One HTTP API. The paths below its `prefixes` are its own; of its `rules` the first that fits
    holds, and where none does, `PathRule`'s defaults. `answers` write the results of operations. A
    synchronous call waits for its job for `sync_timeout_s`, unless `jobs.sync_timeout_s` says
    otherwise. Who has to sign in, or to change the password first, is sent to the `session_pages`
    of the first dialect that has some. From `file_paths`, patterns as those of rules, files are
    downloaded whose names in the store or the archive are the last segments: where a client names
    one as a medium, it is read from there. `fields` has, by the name of an operation, what a field
    of it is called here, for errors and warnings. Other fields are called as in the core where the
    dialect is `is_native` and what is `sent` for the operation has such a field, if that is known;
    else they are not named at all. `values` has, by such a field, what its
    values are called. `challenge` is the `WWW-Authenticate` of a 401; with
    `takes_bare_basic`, a Basic credential may be a token without a user name. `configure` is asked
    once for each app. `error_status` is for dialects in which errors have another status than in
    the core; `json_type` is the content type of errors.
    Jobs are read below `jobs_path`.
    """

    name: str
    prefixes: tuple[str, ...]
    routes: Sequence[BaseRoute]
    rules: tuple[PathRule, ...]
    render_error: RenderError
    render_job: RenderJob
    answers: Answers = field(default_factory=Answers)
    session_pages: SessionPages | None = None
    file_paths: tuple[str, ...] = ()
    sync_timeout_s: float = 600
    fields: Mapping[str, Mapping[str, OwnNames]] = field(default_factory=dict)
    sent: Mapping[str, frozenset[str]] = field(default_factory=dict)
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    is_native: bool = False
    challenge: str = "Bearer"
    takes_bare_basic: bool = False
    configure: Configure | None = None
    error_status: ErrorStatus = core_status
    json_type: str = "application/json"
    jobs_path: str = ""

    def configured(self, config: AppConfig) -> "Dialect":
        """The same as the configuration has it."""
        return self if self.configure is None else self.configure(self, config)

    def job_url(self, job_id: str, files: ServedFiles) -> str:
        """Where a job is read; absolute when the server knows its public address."""
        return f"{files.root}{self.jobs_path}/{job_id}"

    def own_field(self, param: str | None, operation: str) -> str | None:
        """What the caller calls a field that an error of the operation, or of its job, is about.
        What is a field of neither is one that other operations have, by which this one is done and
        which the caller knows nothing of, or the dialect's own already.
        """
        return next(iter(self.own_fields(param, operation)), None)

    def own_fields(self, param: str | None, operation: str) -> tuple[str, ...]:
        """The same, where the caller has several fields for one."""
        root = root_of(param)
        if param is None or root is None:
            return () if param is None else (param,)
        listed = self.fields.get(operation, {})
        if not _is_of(root, operation):
            if root not in JOB_FIELDS:
                is_foreign = operation in OPERATIONS and root in core_fields()
                return () if is_foreign and not _names(listed, root) else (param,)
            listed, operation = self.fields.get(JOB, {}), JOB
        place = param if param in listed else root
        own = listed.get(place, root if self._is_sent(root, operation) else ())
        names = (own,) if isinstance(own, str) else own
        return tuple(name + param[len(place) :] for name in names)

    def _is_sent(self, field: str, operation: str) -> bool:
        sent = self.sent.get(operation)
        return self.is_native and (sent is None or field in sent)

    def told(self, notices: Iterable[Notice], operation: str, *, is_own: bool = True) -> list[str]:
        """Warnings of the operation, each after what the caller calls the field that it is about.
        Unless the call `is_own`, what is a field of another dialect is not named.
        """
        return [self._told(notice, operation, is_own=is_own) for notice in notices]

    def _told(self, notice: Notice, operation: str, *, is_own: bool) -> str:
        field, root = notice.field, root_of(notice.field)
        names: tuple[str, ...] = ()
        if root is not None and _is_of(root, operation):
            names = self.own_fields(field, operation)
        elif field is not None and (self.is_native if root in core_fields() else is_own):
            names = (field,)
        text = notice.explained(self.values.get(field or "", {}))
        return with_field(", ".join(names) or None, text)

    async def body(
        self, job: Job, files: ServedFiles, *, is_listed: bool = False
    ) -> AnswerBody | None:
        """What the call of a job that ended well is answered, in a list with files by URL,
        whatever form was asked for. None without a result, for an operation that this dialect has
        no answer for, and where the answer needs an operation that cannot be read. What another
        dialect has kept with the job is not read.
        """
        answer = self.answers.of(job.operation_name)
        if answer is None or job.result is None:
            return None
        if answer.reads_operation and isinstance(job.operation, Unreadable):
            return None
        output = answer.output.read(job.output if job.dialect == self.name else {})
        finished = Finished(
            job=job,
            operation=job.operation,
            result=job.result,
            output=output.by_url() if is_listed else output,
            files=files,
            tell=partial(self.told, operation=job.operation_name, is_own=job.dialect == self.name),
        )
        return await answer.write(finished)


class Dialects:
    """The dialects of an app. A path that belongs to none of them is the first one's."""

    def __init__(self, dialects: Sequence[Dialect]) -> None:
        self.all = tuple(dialects)
        pages = (dialect.session_pages for dialect in self.all)
        self.session_pages = next(filter(None, pages), None)
        by_prefix = [(prefix, each) for each in self.all for prefix in each.prefixes]
        self._by_prefix = sorted(by_prefix, key=lambda pair: -len(pair[0]))
        self.of = lru_cache(REMEMBERED)(self._of)
        self.rule = lru_cache(REMEMBERED)(self._rule)

    def file_name(self, path: str) -> str | None:
        """The last segment of a path from which a dialect has files downloaded; None for others."""
        is_file = any(fits(pattern, path) for each in self.all for pattern in each.file_paths)
        return path.rpartition("/")[2] or None if is_file else None

    def _of(self, path: str) -> Dialect:
        """The dialect with the longest prefix that the path is below."""
        fitting = (dialect for prefix, dialect in self._by_prefix if is_below(path, prefix))
        return next(fitting, self.all[0])

    def _rule(self, method: str, path: str) -> PathRule:
        """What holds on a request; `path` is its route's pattern where that is known."""
        rules = self._of(path).rules
        return next((rule for rule in rules if rule.fits(method, path)), PathRule(method, path))


def _names(listed: Mapping[str, OwnNames], word: str) -> bool:
    """Whether a field is called so."""
    return any(word in ((names,) if isinstance(names, str) else names) for names in listed.values())


def _is_of(field: str, operation: str) -> bool:
    core = OPERATIONS.get(operation)
    return core is not None and field in core.known_fields()


def fits(pattern: str, path: str) -> bool:
    """Whether a path is of a pattern: `*` is any segment, `**` at the end any number of them."""
    wanted, given = pattern.split("/"), path.split("/")
    if wanted[-1] == REST:
        wanted.pop()
        given = given[: len(wanted)]
    return len(wanted) == len(given) and all(
        expected == found or (expected == ANY and found != "")
        for expected, found in zip(wanted, given, strict=True)
    )


def is_below(path: str, folder: str) -> bool:
    """Whether a path is this folder or in it."""
    return path == folder or path.startswith(f"{folder}/")


def dialect_in(scope: Scope) -> Dialect:
    """The dialect of a request that the gate has let in."""
    dialect: Dialect = scope[DIALECT]
    return dialect
