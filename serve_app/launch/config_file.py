"""Reads a Serve configuration file and says in one line per error what is wrong with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError

from serve_app.access.callers import is_loopback
from serve_app.core.config import AppConfig
from serve_app.core.options.engine import Section

IMPORT_PATH = "serve_app.build:build"


class ConfigurationError(Exception):
    """The file cannot be used; each of `lines` says one thing that is wrong."""

    def __init__(self, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class HttpOptions(Section):
    """Serve's `http_options`, as far as they matter with HAProxy."""

    host: str = "127.0.0.1"
    port: int = Field(default=8000, ge=1, le=65535)
    request_timeout_s: float | None = None
    keep_alive_timeout_s: int = Field(default=90, ge=1)


class ApplicationEntry(Section):
    """One of Serve's `applications`."""

    name: str = "default"
    import_path: Literal["serve_app.build:build"]
    route_prefix: Literal["/"] = "/"
    args: AppConfig


class ServeFile(Section):
    """The part of Serve's schema that a server of one application needs."""

    proxy_location: Literal["HeadOnly", "EveryNode"] = "EveryNode"
    http_options: HttpOptions = HttpOptions()
    logging_config: dict[str, Any] | None = None
    applications: tuple[ApplicationEntry]


@dataclass(frozen=True)
class LaunchPlan:
    """What is to be started."""

    file: ServeFile
    http: HttpOptions

    @property
    def application(self) -> ApplicationEntry:
        """The one application."""
        return self.file.applications[0]


def read_plan(path: Path, *, host: str | None = None, port: int | None = None) -> LaunchPlan:
    """The file's content, with the bind address replaced where one is given.

    Raises ConfigurationError.
    """
    content = _parse(path)
    try:
        file = ServeFile.model_validate(content)
        given = {"host": host, "port": port}
        changes = {name: value for name, value in given.items() if value is not None}
        http = HttpOptions.model_validate(file.http_options.model_dump() | changes)
    except ValidationError as error:
        raise ConfigurationError(*(f"{path}: {line}" for line in error_lines(error))) from None
    _check_bind(http.host, is_open=not file.applications[0].args.auth.required)
    return LaunchPlan(file, http)


def error_lines(error: ValidationError) -> Iterator[str]:
    """`families.0.options: …`, one line per error, without the names of union branches."""
    for item in error.errors(include_url=False):
        # Forms of a source, which pydantic names by their tags, are nothing in the file.
        path = [part for part in map(str, item["loc"]) if not part.startswith("<")]
        if "options" in path:
            # After `options` pydantic names the engine whose options it tried.
            del path[path.index("options") + 1 : path.index("options") + 2]
        message = item["msg"].removeprefix("Value error, ")
        where = f"{'.'.join(path)}: " if path else ""
        yield f"{where}{message[:1].lower()}{message[1:]}"


def _parse(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ConfigurationError(f"{path}: {line}{error.problem or error.context}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: {' '.join(str(error).split())}") from None


def _check_bind(host: str, *, is_open: bool) -> None:
    if is_open and host != "localhost" and not is_loopback(host):
        raise ConfigurationError(
            f"http_options.host: {host!r} is not a loopback address while auth.required is false; "
            "use 127.0.0.1, or set auth.required to true and API_TOKENS in the environment"
        )
