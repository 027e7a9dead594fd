"""Which tests run one after the other in one process, and in which order they begin."""

from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath

OWN_SERVER = ("test_breakage.py", "test_ports.py", "test_stopped_database.py")
"""Files that share no server with the others of their folder."""
SHARED_SERVERS = ("tests/serve/kills", "tests/serve", "tests/clients")
"""Folders whose tests share one server: a second worker would start a second one."""
WITHOUT_SERVER = ("tests/engine", "tests/unit", "tests/api")
"""What takes longest first, so that no worker is left alone with it at the end."""


def group(test: str) -> str:
    """The file of a test's id, or the folder whose server it shares: both are slow to prepare."""
    path = PurePosixPath(test.partition("::")[0])
    folder = str(path.parent)
    return folder if folder in SHARED_SERVERS and path.name not in OWN_SERVER else str(path)


def places(tests: Iterable[str]) -> Mapping[str, float]:
    """Where each group begins. Those with a server lie between the others, one in ten: two
    servers that start at once are slow.
    """
    groups = dict.fromkeys(map(group, tests))
    alone = [each for each in groups if each.startswith(WITHOUT_SERVER)]
    alone.sort(key=lambda each: list(map(each.startswith, WITHOUT_SERVER)).index(True))
    served = [each for each in groups if each not in alone]
    found = {each: float(number) for number, each in enumerate(alone)}
    return found | {each: 10 * number - 0.5 for number, each in enumerate(served)}
