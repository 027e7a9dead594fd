"""Which tests run one after the other in one process."""

from pathlib import PurePosixPath

from xdist.scheduler import LoadScopeScheduling

OWN_SERVER = ("test_breakage.py", "test_ports.py", "test_stopped_database.py")
"""Files that share no server with the others of their folder."""
SHARED_SERVERS = ("tests/serve/kills", "tests/serve", "tests/clients")
"""Folders whose tests share one server: a second worker would start a second one."""


class ByServer(LoadScopeScheduling):
    """A file's tests stay together, and so do those of a server, which is slow to start."""

    def _split_scope(self, nodeid: str) -> str:
        path = PurePosixPath(nodeid.partition("::")[0])
        folder = str(path.parent)
        return folder if folder in SHARED_SERVERS and path.name not in OWN_SERVER else str(path)
