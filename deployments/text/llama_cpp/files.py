"""Which files of a model llama.cpp loads."""

from pathlib import Path

from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable
from serve_app.core.options.text import LlamaCppOptions

PROJECTOR = "mmproj"
"""What the name of a file begins with that makes a text model see."""
FIRST_OF_SEVERAL = "-00001-of-"


def weights_file(model: Model, path: Path | None, options: LlamaCppOptions) -> Path:
    """The model's GGUF file; of one that is split, the first. BackendUnavailable without one."""
    if path is None:
        raise BackendUnavailable(
            f"model {model.id!r} has no source",
            remedy="set it to a GGUF file, or a directory or hub repository with one",
        )
    if path.is_file():
        return path
    if options.file is not None:
        return _inside(model, path, options.file)
    found = [p for p in sorted(path.rglob("*.gguf")) if not p.name.startswith(PROJECTOR)]
    firsts = [p for p in found if FIRST_OF_SEVERAL in p.name]
    if len(found) == 1 or len(firsts) == 1:
        return firsts[0] if firsts else found[0]
    if not found:
        raise BackendUnavailable(
            f"model {model.id!r} has no GGUF file", remedy="name a source with one"
        )
    names = ", ".join(p.name for p in found)
    raise BackendUnavailable(
        f"model {model.id!r} has several GGUF files: {names}", remedy="name one as 'file'"
    )


def beside(model: Model, weights: Path, name: str) -> Path:
    """A file that the options name: a path, or one in the directory of the weights."""
    given = Path(name).expanduser()
    return given.absolute() if given.exists() else _inside(model, weights.parent, name)


def _inside(model: Model, directory: Path, name: str) -> Path:
    path = directory / name
    if not path.is_file():
        raise BackendUnavailable(
            f"model {model.id!r} has no file {name!r}", remedy="correct the name in its options"
        )
    return path
