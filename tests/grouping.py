"""Which tests run one after the other in one process, and in which order they begin."""

from collections.abc import Iterable, Mapping

WITH_SERVER = ("tests/clients/", "tests/serve/")
"""Folders whose tests start servers. One worker has all of a folder, so that its servers do not
start and work beside each other, which would make them too slow for their clients.
"""
WITHOUT_SERVER = (
    "tests/api/test_openapi.py",
    "tests/engine/",
    "tests/unit/",
    "tests/api/",
    "tests/upstreams/",
)
"""What takes longest first, so that no worker is left alone with it at the end."""


def group(test: str) -> str:
    """The file of a test's id, whose fixtures are slow to prepare, or the folder with servers."""
    return next(filter(test.startswith, WITH_SERVER), test.partition("::")[0])


def places(tests: Iterable[str]) -> Mapping[str, int]:
    """Where each group begins: those with servers take longest of all."""
    order = (*WITH_SERVER, *WITHOUT_SERVER)

    def place(each: str) -> int:
        return list(map(each.startswith, order)).index(True)

    groups = sorted(dict.fromkeys(map(group, tests)), key=place)
    return {each: number for number, each in enumerate(groups)}
