"""Which tests run one after the other in one process, and in which order they begin."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

SERVERS = "servers"
WITH_SERVER = ("tests/serve", "tests/clients")
"""Folders whose tests start servers: one worker has them all, because a second server that starts
beside the first, or works beside it, makes both too slow for their clients."""
WITHOUT_SERVER = ("tests/engine", "tests/unit", "tests/api")
"""What takes longest first, so that no worker is left alone with it at the end."""


def group(test: str) -> str:
    """The file of a test's id, whose fixtures are slow to prepare, or what all with servers are."""
    path = PurePosixPath(test.partition("::")[0])
    return SERVERS if str(path).startswith(WITH_SERVER) else str(path)


def places(tests: Iterable[str]) -> Mapping[str, int]:
    """Where each group begins: that with the servers takes longest of all."""

    def place(each: str) -> int:
        return -1 if each == SERVERS else list(map(each.startswith, WITHOUT_SERVER)).index(True)

    groups = sorted(dict.fromkeys(map(group, tests)), key=place)
    return {each: number for number, each in enumerate(groups)}
