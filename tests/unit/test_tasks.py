"""Whatever is said per task is said of every task, and of no other."""

import ast
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from serve_app.api.v1.parts import ENDPOINTS
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import Defaults, Model
from serve_app.core.operation import OPERATIONS, Operation
from serve_app.core.options.every_engine import AnyEngineOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.core.settings import Storage
from serve_app.core.tasks import TASKS, Capability, Task
from serve_app.family.engines import make_engine
from serve_app.family.engines.given import CommonArguments, EngineSetup
from serve_app.launch.task_table import BEGIN, END, replaced

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/engines.md"
NAMES: set[Task] = set(get_args(Task))
IN_OTHERS: set[Task] = {"translation", "diarization", "captioning", "video", "sound"}
"""Done in the course of jobs and pipelines, by no route alone."""
SEVERAL = 3


def operations_of(task: Task) -> set[type[Operation[Any]]]:
    return {kind for kind in OPERATIONS.values() if kind.task == task}


def engine_options() -> list[Any]:
    union, *_ = get_args(AnyEngineOptions)
    return [kind for kind in get_args(union) if kind is not FakeOptions]


def tasks_of(options: Any) -> set[str]:
    return set(get_args(options.model_fields["task"].annotation))


def test_every_task_has_a_row() -> None:
    assert set(TASKS) == NAMES


def test_labels_tell_tasks_apart() -> None:
    assert len({row.label for row in TASKS.values()}) == len(TASKS)


def test_capabilities_are_those_that_a_configuration_may_name() -> None:
    named = {name for row in TASKS.values() for name in row.capabilities}
    assert named <= set(get_args(Capability))


@pytest.mark.parametrize("task", sorted(NAMES))
def test_a_task_has_operations_and_an_engine_that_does_them(task: Task, tmp_path: Path) -> None:
    blobs = FsspecBlobStore(tmp_path)
    given = EngineSetup(
        Storage(data_dir=tmp_path), CommonArguments(model=Model(id="m"), path=None, blobs=blobs)
    )
    engine = make_engine(FakeOptions(task=task), given)
    verbs = {kind.verb for kind in operations_of(task)}
    assert verbs
    assert {verb for verb in verbs if not callable(getattr(engine, verb, None))} == set()


def test_every_operation_is_of_a_task_or_of_a_pipeline() -> None:
    assert {kind.task for kind in OPERATIONS.values()} - {None} == NAMES


def test_a_task_whose_families_have_models_has_a_default() -> None:
    assert list(Defaults.known_keys()) == [task for task, row in TASKS.items() if row.has_models]


def test_every_task_has_a_route_of_its_own_or_is_done_in_others() -> None:
    asked = {operation.task for endpoint in ENDPOINTS for operation in endpoint.operations}
    assert asked - {None} == NAMES - IN_OTHERS


def test_the_page_has_todays_tasks() -> None:
    text = PAGE.read_text()
    assert BEGIN in text
    assert END in text
    assert replaced(text) == text, "run: python -m serve_app.launch.task_table docs/engines.md"


def test_the_table_of_engines_says_their_tasks() -> None:
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| ([a-z, ]+) \|", PAGE.read_text()))
    for options in engine_options():
        told = set(rows[options.model_fields["engine"].default].split(", "))
        assert told == tasks_of(options), options


def tables(module: Path) -> list[set[str]]:
    """The strings of each dictionary's keys, and of each list, tuple or set."""
    found = []
    for node in ast.walk(ast.parse(module.read_text())):
        parts = node.keys if isinstance(node, ast.Dict) else getattr(node, "elts", ())
        found.append({p.value for p in parts if isinstance(p, ast.Constant)} & NAMES)
    return found


@pytest.mark.parametrize("folder", ["serve_app", "pipelines", "benchmarks"])
def test_no_other_table_names_tasks(folder: str) -> None:
    modules = set((ROOT / folder).rglob("*.py")) - {ROOT / "serve_app/core/tasks.py"}
    # Each engine's options say what the engine does.
    modules -= set((ROOT / "serve_app/core/options").iterdir())
    assert modules
    named = {
        str(module.relative_to(ROOT)): names
        for module in modules
        for names in tables(module)
        if len(names) >= SEVERAL
    }
    assert named == {}
