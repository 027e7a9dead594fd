"""The parts of the native dialect: every module of its folders that brings routes, as `router`, or
answers, as `ANSWERS`. None is listed anywhere; `RUNS` are the operations of routes without answers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from serve_app.api.answers import Answer
from serve_app.api.v1 import audio, images, jobs, library, text, video
from serve_app.core.operation import Operation

PARTS: tuple[ModuleType, ...] = tuple(
    import_module(module.name)
    for folder in (text, images, audio, video, jobs, library)
    for module in iter_modules(folder.__path__, f"{folder.__name__}.")
)


@dataclass(frozen=True)
class Endpoint:
    """Where operations are asked for: a path as the capabilities list it, without its first `/`."""

    path: str
    operations: frozenset[type[Operation[Any]]]


def routes_of(part: ModuleType) -> list[BaseRoute]:
    """Those that a part brings."""
    return list(part.router.routes) if hasattr(part, "router") else []


def answers_of(part: ModuleType) -> tuple[Answer[Any, Any, Any], ...]:
    """What a part answers operations with."""
    answers: tuple[Answer[Any, Any, Any], ...] = getattr(part, "ANSWERS", ())
    return answers


def _endpoints_of(part: ModuleType) -> list[Endpoint]:
    operations = frozenset(
        (*(answer.operation for answer in answers_of(part)), *getattr(part, "RUNS", ()))
    )
    posted = (
        route
        for route in routes_of(part)
        if isinstance(route, APIRoute) and "POST" in route.methods
    )
    return [Endpoint(route.path[1:], operations) for route in posted if operations]


ENDPOINTS = tuple(endpoint for part in PARTS for endpoint in _endpoints_of(part))
"""Of every route that runs operations."""


def paths_of(supports: Callable[[type[Operation[Any]]], bool]) -> list[str]:
    """The paths where an operation is asked for that is done, in the order of the parts."""
    return [e.path for e in ENDPOINTS if any(map(supports, e.operations))]
