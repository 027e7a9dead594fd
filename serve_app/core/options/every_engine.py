"""The options of every engine: one union, discriminated by `engine`, of those of each modality."""

from typing import Annotated

from pydantic import Field

from serve_app.core.options.audio import AudioEngineOptions
from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.image import ImageEngineOptions
from serve_app.core.options.text import TextEngineOptions
from serve_app.core.options.video import VideoEngineOptions

AnyEngineOptions = Annotated[
    FakeOptions | TextEngineOptions | ImageEngineOptions | AudioEngineOptions | VideoEngineOptions,
    Field(discriminator="engine"),
]
