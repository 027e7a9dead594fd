"""How pytest-xdist hands tests to its workers."""

from xdist.scheduler import LoadScopeScheduling

from tests.grouping import group


class ByServer(LoadScopeScheduling):
    """A file's tests stay together, and so do those of a server."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)
