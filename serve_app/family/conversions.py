"""What makes of the files in packages the one that an engine reads, each imported where it is
chosen.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from serve_app.core.conversions import ConversionName

Conversion = Callable[[Sequence[Path], Path], None]
"""Takes the source files, in the order of the configuration, and where to write. Blocks. It raises
an exception whose text says what is wrong with the files, without their paths.
"""


def conversion(name: ConversionName) -> Conversion:
    """The one of that name."""
    match name:
        case "safetensors":
            from deployments.tensor_files import as_safetensors

            return as_safetensors
