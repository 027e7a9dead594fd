"""What one node keeps for itself is refused on a cluster."""

import pytest

from serve_app.core.settings import Storage
from serve_app.launch.storage_check import check_storage

POSTGRES = "postgresql://u:p@h/d"


def test_one_node_may_keep_everything_itself() -> None:
    check_storage(Storage(), nodes=1)


@pytest.mark.parametrize(
    ("storage", "setting"),
    [
        (Storage(), "storage.database_url"),
        (Storage(blobs_url="s3://bucket"), "storage.database_url"),
        (Storage(database_url=POSTGRES), "storage.blobs_url"),
        (Storage(database_url=POSTGRES, blobs_url="file:///mnt"), "storage.blobs_url"),
    ],
)
def test_a_cluster_is_told_which_setting_to_change(storage: Storage, setting: str) -> None:
    with pytest.raises(ValueError, match=f"^{setting}: .* has 3;"):
        check_storage(storage, nodes=3)


def test_a_cluster_with_shared_storage_starts() -> None:
    check_storage(Storage(database_url=POSTGRES, blobs_url="s3://bucket/x"), nodes=3)
