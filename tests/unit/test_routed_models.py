"""Models of providers are found as the directory knows them now."""

from collections.abc import Mapping

from serve_app.catalog.routed import MOST_KNOWN, RoutedModels
from serve_app.core.config import AppConfig
from serve_app.core.operation import OperationRunner
from serve_app.core.upstreams.directory import NoUpstreams
from serve_app.core.upstreams.exchange import UpstreamListing
from serve_app.core.upstreams.provider import ProviderType


class Runner(OperationRunner):
    """Is not asked here."""


class Directory(NoUpstreams):
    def __init__(self) -> None:
        self.types: dict[str, ProviderType] = {"far": "openai"}
        self.models: dict[str, UpstreamListing] = {}

    def providers(self) -> Mapping[str, ProviderType]:
        return self.types

    def listed(self, id: str) -> UpstreamListing | None:
        return self.models.get(id)

    def every(self) -> Mapping[str, UpstreamListing]:
        return self.models


def found_in(directory: Directory) -> RoutedModels:
    return RoutedModels(AppConfig(), lambda _: None, runner=Runner(), directory=directory)


def test_an_entry_is_made_once_until_the_directory_changes() -> None:
    directory = Directory()
    models = found_in(directory)
    first = models.upstream("far/m", "chat")
    assert first is not None
    assert models.upstream("far/m", "chat") is first
    assert models.upstream("far/m", "embeddings") is not first
    directory.types = {"far": "anthropic"}
    changed = models.upstream("far/m", "chat")
    assert changed is not None
    assert (first.family.options.engine, changed.family.options.engine) == ("openai", "anthropic")
    listing = UpstreamListing(id="m", task="embeddings", capabilities=("embeddings",), created=5)
    directory.models = {"far/m": listing}
    listed = models.upstream("far/m", None)
    assert listed is not None
    assert (listed.model.created, listed.family.options.task) == (5, "embeddings")
    directory.types = {}
    assert models.upstream("far/m", "chat") is None


def test_names_that_callers_make_up_are_not_kept_without_end() -> None:
    models = found_in(Directory())
    for number in range(3 * MOST_KNOWN):
        assert models.upstream(f"far/{number}", "chat") is not None
    assert len(models._entries) == MOST_KNOWN
