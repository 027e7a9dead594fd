"""The table of models in packages for the documentation, written from a configuration.

`python -m serve_app.launch.package_table CONFIG FILE` replaces the table between the two marks in a
file.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from serve_app.core.config import AppConfig
from serve_app.core.model_sources import PackageSource
from serve_app.launch.config_file import read_plan
from serve_app.launch.model_files_here import MB

BEGIN, END = "<!-- packages: begin -->", "<!-- packages: end -->"
HEAD = "| models | packages | licence | origin | size | SHA-256 |\n|---|---|---|---|---|---|"
SETTINGS = (".json", ".txt", ".yaml", ".yml", ".param")


def package_table(config: AppConfig) -> str:
    """Markdown: a row for everything that is in packages. Hashes of settings are left out where
    there are others.
    """
    sources: dict[str, tuple[PackageSource, list[str]]] = {}
    for family in config.families:
        for model in family.models:
            if model.packaged is not None:
                row = sources.setdefault(model.packaged.folder, (model.packaged, []))
                row[1].append(model.id)
    return "\n".join((HEAD, *(_row(*each) for each in sources.values()))) + "\n"


def replaced(text: str, config: AppConfig) -> str:
    """A document with the table of today between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{package_table(config)}{end}{after}"


def _row(source: PackageSource, models: list[str]) -> str:
    cells = (
        ", ".join(f"`{id}`" for id in models),
        ", ".join(f"`{package}`" for package in source.package),
        source.licence,
        f"<{source.origin}>",
        f"{source.size_bytes / MB:.1f} MB",
        "<br>".join(_hashes(source)),
    )
    return f"| {' | '.join(cells)} |"


def _hashes(source: PackageSource) -> Iterator[str]:
    weights = [name for name in source.files if not name.endswith(SETTINGS)]
    for name in weights or source.files:
        yield f"{name}: `{source.files[name].sha256}`"


def main(config: str, file: str) -> None:
    """Rewrite the table in a file."""
    path = Path(file)
    path.write_text(replaced(path.read_text(), read_plan(Path(config)).application.args))


if __name__ == "__main__":
    main(*sys.argv[1:])
