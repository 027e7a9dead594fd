"""`CatalogEntry`: a model as requests mean it, and what runs it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from serve_app.catalog.counted_runs import CountedRunner
from serve_app.core.amounts import LOCAL, Ran
from serve_app.core.config import UPSTREAMS, Family, Model
from serve_app.core.operation import OperationRunner
from serve_app.core.text.chat import Chat, ChatEvent, Complete


class RunsOthers(OperationRunner):
    """Runs its operations on other models."""


@dataclass(frozen=True)
class CatalogEntry:
    """A model of the catalog: its canonical id, its configuration and what runs it. With
    `passes_on` it is a provider's, whose server may know fields that this one does not.
    """

    model: Model
    family: Family
    runner: OperationRunner
    passes_on: bool = False

    @property
    def id(self) -> str:
        """The canonical id, which is what core messages carry."""
        return self.model.id

    @property
    def ran(self) -> Ran:
        """As what its work is counted."""
        return self.id, self.model.owned_by if self.family.name == UPSTREAMS else LOCAL

    @property
    def counted(self) -> OperationRunner:
        """What runs it, and counts what it uses where that is metered. What asks other models has
        it counted by itself.
        """
        if isinstance(self.runner, RunsOthers):
            return self.runner
        return CountedRunner(self.runner, *self.ran)

    def stream_text(self, operation: Chat | Complete) -> AsyncIterator[ChatEvent]:
        """The events of a text model, which has no Progress."""
        return self.runner.run(operation)
