"""The dialect of docs/examples, in the place that its page gives it."""

import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from serve_app.api.dialect import Dialect

EXAMPLE = Path(__file__).parents[1] / "docs/examples/dialect"
PLACE = "serve_app.api.lite"


def example() -> Dialect:
    """The dialect, imported as if its folder was `serve_app/api/lite`."""
    if PLACE not in sys.modules:
        folders = [str(EXAMPLE)]
        spec = spec_from_file_location(
            PLACE, EXAMPLE / "__init__.py", submodule_search_locations=folders
        )
        assert spec is not None
        assert spec.loader is not None
        sys.modules[PLACE] = module_from_spec(spec)
        spec.loader.exec_module(sys.modules[PLACE])
    found: Dialect = import_module(f"{PLACE}.dialect").LITE
    return found
