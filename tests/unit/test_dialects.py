"""What every dialect says of its paths, and that it says it of routes that exist."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import Route

from serve_app.api.dialect import Dialect, Dialects, PathRule
from serve_app.api.dialects import DIALECTS

ROOT = Path(__file__).parents[2]
SPOKEN = Dialects(DIALECTS)
FOLDERS = tuple(
    f"{file.parent.relative_to(ROOT)}/" for file in (ROOT / "serve_app/api").glob("*/dialect.py")
)
WORK = {"text", "images", "audio", "video"}
"""Tags of routes that ask a model for work."""


def asked(dialect: Dialect) -> list[tuple[str, str]]:
    """Method and pattern of every route of a dialect; the first also has the documentation."""
    described = FastAPI().routes if dialect is DIALECTS[0] else []
    routes = [route for route in (*dialect.routes, *described) if isinstance(route, Route)]
    return [(method, route.path) for route in routes for method in route.methods or ()]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_rule_holds_on_a_route(dialect: Dialect) -> None:
    held = {id(SPOKEN.rule(method, path)) for method, path in asked(dialect)}
    assert [rule for rule in dialect.rules if id(rule) not in held] == []


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_route_is_below_a_prefix_of_its_dialect_alone(dialect: Dialect) -> None:
    assert {path for _, path in asked(dialect) if SPOKEN.of(path) is not dialect} == set()
    routed = {path for _, path in asked(dialect)}
    for prefix in dialect.prefixes:
        assert any(SPOKEN.of(path) is Dialects([dialect]).of(prefix) for path in routed)


def test_every_route_that_asks_for_work_counts_as_something() -> None:
    routes = [route for dialect in DIALECTS for route in dialect.routes]
    without = {
        route.path
        for route in routes
        if isinstance(route, APIRoute)
        and "POST" in route.methods
        and WORK & set(route.tags)
        and SPOKEN.rule("POST", route.path).category is None
    }
    assert without == set()


KNOWN_PATHS = {
    "serve_app/blobs/store.py": "/v1/files",
    "serve_app/api/description.py": "/openapi.json",
    "serve_app/core/upstreams/upstream_calls.py": "/v1",
    "serve_app/upstreams/anthropic_form.py": "/models",
}
"""Of the files of all dialects, of the framework's own route that is replaced, and of Anthropic's
server, which is called.
"""


def neutral_texts() -> Iterator[tuple[str, str]]:
    """Every text of the server but docstrings, and the file where it is; without the dialects, and
    without what starts a server and is a client of it.
    """
    for file in sorted((ROOT / "serve_app").rglob("*.py")):
        path = str(file.relative_to(ROOT))
        if path.startswith((*FOLDERS, "serve_app/launch/")):
            continue
        tree = ast.parse(file.read_text())
        docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and id(node) not in docs:
                yield path, str(node.value)


def test_nothing_but_a_dialect_says_a_path_of_it() -> None:
    prefixes = "|".join(re.escape(prefix) for each in DIALECTS for prefix in each.prefixes)
    path = re.compile(rf"(?<![\w/])({prefixes})(?![\w-])")
    found = [(file, text) for file, text in neutral_texts() if path.search(text)]
    assert sorted(found) == sorted(KNOWN_PATHS.items())


def test_what_is_open_is_known_by_name() -> None:
    """A route that is added must not be open by mistake."""
    opened = {
        path
        for each in DIALECTS
        for method, path in asked(each)
        if SPOKEN.rule(method, path).access == "open"
    }
    assert opened == {
        *("/health", "/healthz", "/v1/health", "/login", "/logout", "/admin/api/login"),
        *("/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json"),
        "/up",
    }


def test_whose_a_path_is_is_decided_by_whole_segments() -> None:
    names = {path: SPOKEN.of(path).name for path in ("/admin", "/admin/x", "/metrics", "/login")}
    assert set(names.values()) == {"admin"}
    for path in ("/administrator", "/v1", "/v1/nothing", "/nothing", "/", "/metricsx"):
        assert SPOKEN.of(path).name == "v1"
    longer = replace(DIALECTS[0], name="longer", prefixes=("/v1/images",))
    assert Dialects((*DIALECTS, longer)).of("/v1/images/x") is longer
    assert Dialects((*DIALECTS, longer)).of("/v1/imagesx").name == "v1"


@pytest.mark.parametrize(
    ("method", "pattern", "given", "path", "fits"),
    [
        ("GET", "/a/*", "GET", "/a/b", True),
        ("GET", "/a/*", "HEAD", "/a/{name}", True),
        ("GET", "/a/*", "POST", "/a/b", False),
        ("GET", "/a/*", "GET", "/a/", False),
        ("GET", "/a/*", "GET", "/a/b/c", False),
        ("*", "/a/**", "PUT", "/a", True),
        ("*", "/a/**", "PUT", "/a/b/c", True),
        ("*", "/a/**", "PUT", "/ab", False),
        ("*", "/a", "PUT", "/a/", False),
        ("HEAD", "/a", "GET", "/a", False),
    ],
)
def test_a_rule_fits_by_segments(
    method: str, pattern: str, given: str, path: str, fits: bool
) -> None:
    assert PathRule(method, pattern).fits(given, path) == fits


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("POST", "/v1/chat/completions", "default"),
        ("GET", "/v1/files", "default"),
        ("GET", "/v1/files/", "default"),
        ("GET", "/v1/filesystem/x", "default"),
        ("GET", "/v1/jobsx", "default"),
        ("GET", "/v1/a/b/progress", "default"),
        ("POST", "/v1/embeddings", "embeddings"),
        ("POST", "/v1/rerank", "embeddings"),
        ("GET", "/v1/jobs", "read"),
        ("GET", "/v1/jobs/x/events", "read"),
        ("GET", "/v1/files/x.png", "read"),
        ("GET", "/v1/files/blob/{hash}", "read"),
        ("GET", "/v1/video/progress", "read"),
        ("HEAD", "/v1/files/{filename}", "read"),
        ("POST", "/v1/jobs/{id}/cancel", "read"),
    ],
)
def test_classes_of_routes(method: str, path: str, expected: str) -> None:
    assert SPOKEN.rule(method, path).rate_class == expected


def test_files_are_read_by_reading_them() -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        for path in ("/v1/files/{filename}", "/v1/files/upload"):
            rule = SPOKEN.rule(method, path)
            assert (rule.rate_class, rule.access) == ("default", "inference")


def test_only_single_files_are_downloads() -> None:
    assert SPOKEN.rule("GET", "/v1/files/{filename}").access == "download"
    assert SPOKEN.rule("HEAD", "/v1/files/{filename}").access == "download"
    assert SPOKEN.rule("GET", "/v1/files/blob/{hash}").access == "inference"


@pytest.mark.parametrize(
    ("method", "path", "category"),
    [
        ("POST", "/v1/chat/completions", "llm"),
        ("GET", "/v1/chat/completions", None),
        ("POST", "/v1/rerank", "embedding"),
        ("POST", "/v1/audio/translations", "asr"),
        ("POST", "/v1/audio/speech/stream", "tts"),
        ("POST", "/v1/images/generations", "image"),
        ("POST", "/v1/pipelines/video-dub", "video"),
        ("POST", "/v1/files/upload", None),
        ("GET", "/v1/images/progress", None),
        ("POST", "/v1/completions", "llm"),
    ],
)
def test_refused_requests_are_classed_by_path(method: str, path: str, category: str | None) -> None:
    assert SPOKEN.rule(method, path).category == category


def test_files_are_downloaded_from_the_paths_that_dialects_name() -> None:
    dated = replace(DIALECTS[0], name="dated", file_paths=("/artifacts/**", "/kept/*/*"))
    spoken = Dialects((*DIALECTS, dated))
    names = {
        "/v1/files/a.png": "a.png",
        "/artifacts/2026/11/30/0/a.png": "a.png",
        "/kept/x/a.png": "a.png",
    }
    assert {path: spoken.file_name(path) for path in names} == names
    for path in ("/v1/files/", "/v1/files/a/b", "/v1/filesa", "/artifacts/", "/kept/a", "/", ""):
        assert spoken.file_name(path) is None
    assert SPOKEN.file_name("/kept/x/a.png") is None
