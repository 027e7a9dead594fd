"""The table of tasks for the documentation, written from their rows, operations and routes.

`python -m serve_app.launch.task_table FILE` replaces the table between the two marks in a file.
"""

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from serve_app.api.v1.parts import paths_of
from serve_app.core.operation import OPERATIONS
from serve_app.core.tasks import TASKS, Task

BEGIN, END = "<!-- tasks: begin -->", "<!-- tasks: end -->"
HEAD = "| task | type | capabilities | operations | routes |\n|---|---|---|---|---|"


def task_table() -> str:
    """Markdown: a row for every task."""
    return "\n".join((HEAD, *map(_row, TASKS))) + "\n"


def replaced(text: str) -> str:
    """A document with the table of today between its marks."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*{re.escape(END)}", re.DOTALL)
    return pattern.sub(lambda _: f"{BEGIN}\n{task_table()}{END}", text)


def _row(task: Task) -> str:
    row = TASKS[task]
    capabilities = (*filter(None, [row.coarse]), *row.capabilities)
    operations = [kind.name for kind in OPERATIONS.values() if kind.task == task]
    routes = [f"/{path}" for path in paths_of(lambda operation: operation.task == task)]
    cells = (task, _listed(filter(None, [row.type])), _listed(capabilities))
    return f"| {' | '.join((*cells, _listed(sorted(operations)), _listed(routes)))} |"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def main(file: str) -> None:
    """Rewrite the table in a file."""
    path = Path(file)
    path.write_text(replaced(path.read_text()))


if __name__ == "__main__":
    main(sys.argv[1])
