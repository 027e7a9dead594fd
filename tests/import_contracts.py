"""Kinds of import contracts that import-linter does not bring; pyproject.toml names them."""

from grimp import ImportGraph
from importlinter.contracts.independence import IndependenceContract
from importlinter.domain import fields
from importlinter.domain.contract import ContractCheck
from importlinter.domain.imports import ModuleExpression


class Dialects(IndependenceContract):
    """The folders of `package` that have a module `dialect` never import each other. A new one is
    covered without a word.
    """

    package = fields.StringField()
    modules = fields.SetField(subfield=fields.ModuleExpressionField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Whether it is kept."""
        folders = graph.find_children(str(self.package))
        self.modules = {  # type: ignore[assignment]
            ModuleExpression(folder) for folder in folders if f"{folder}.dialect" in graph.modules
        }
        return super().check(graph, verbose)
