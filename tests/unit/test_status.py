"""What several replicas say of one model, joined."""

from serve_app.core.status import LoadState, ModelStatus, over_replicas


def status(name: str, state: LoadState, **fields: object) -> ModelStatus:
    return ModelStatus.model_validate({"id": name, "state": state, **fields})


def test_the_replica_that_is_nearest_to_memory_speaks_for_a_model() -> None:
    joined = over_replicas(
        [
            status("a", "unloaded", requests=2, loads=1, last_used=5.0),
            status("a", "ready", requests=3, loads=2, last_used=4.0, memory_mb=7.0),
            status("a", "failed", cause="no"),
            status("b", "failed", cause="gone"),
            status("b", "unloaded"),
        ]
    )
    assert joined == (
        status("a", "ready", requests=5, loads=3, last_used=5.0, memory_mb=7.0),
        status("b", "failed", cause="gone"),
    )


def test_one_replica_is_repeated() -> None:
    only = status("a", "loading", bytes_done=1, bytes_total=2)
    assert over_replicas([only]) == (only,)
