"""Tells Serve's routers which models a replica has in memory, so that requests find them there.

Serve's own multiplexing (Ray 2.60) does this for models that its own cache holds; that cache
evicts models in use, so ours is `EnginePool`, and only the announcement is Serve's.
"""

from collections.abc import Callable

from ray.serve._private.common import RequestRoutingInfo
from ray.serve.context import _get_global_client, _get_internal_replica_context


def announcer() -> Callable[[list[str]], None]:
    """To be called in a replica: what tells the ids of the models that it holds or loads."""
    context = _get_internal_replica_context()  # type: ignore[no-untyped-call]
    client = _get_global_client()
    assert client is not None

    def announce(model_ids: list[str]) -> None:
        client.record_request_routing_info(
            RequestRoutingInfo(replica_id=context.replica_id, multiplexed_model_ids=model_ids)
        )

    return announce
