"""Whether what is configured to keep things can be reached from every node of the cluster."""

from urllib.parse import urlsplit

from serve_app.core.settings import Storage


def check_storage(storage: Storage, *, nodes: int) -> None:
    """ValueError, naming the setting, for a file or a directory of one node on a cluster."""
    if nodes <= 1:
        return
    if storage.database_location.startswith("sqlite"):
        raise ValueError(
            f"storage.database_url: SQLite works on one node only, and this cluster has {nodes}; "
            "set a Postgres database (postgresql://…)"
        )
    if urlsplit(storage.blobs_location).scheme in ("", "file", "local"):
        raise ValueError(
            f"storage.blobs_url: a directory works on one node only, and this cluster has {nodes}; "
            "set an object store (s3://…)"
        )
