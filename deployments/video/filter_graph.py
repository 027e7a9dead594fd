"""The steps of a request as one filter graph of ffmpeg's, built from numbers and names of our own
alone. Everything here blocks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from deployments.media.image_decoding import check_pixels
from deployments.media.image_encoding import saved_png
from deployments.media.image_processing import check_crop, scaled_size
from deployments.media.watermarks import placed, prepared_mark
from deployments.video.subtitle_burning import TO_STANDARD_RANGE
from deployments.video.trimming import Portion
from deployments.video.video_decoding import MAX_PIXELS, ProbedVideo
from deployments.video.video_encoding import even_size, exact_rate
from deployments.video.video_forms import VideoForm
from serve_app.core.errors import PayloadTooLarge
from serve_app.core.image.images import Size
from serve_app.core.image.processing_steps import CropStep, ScaleStep, WatermarkStep
from serve_app.core.notices import Notice
from serve_app.core.video.video_processing import ProcessVideo

SLOWEST_FPS, FASTEST_FPS = 1.0, 60.0
"""Of formats in which all frames last equally long."""


class FilterGraph(NamedTuple):
    """`text` leads from the image of input 0, and from one more input for each of `marks`, to the
    output `out`. `marks` are names of PNG files in the folder.
    """

    text: str
    size: Size
    marks: tuple[str, ...] = ()
    warnings: tuple[Notice, ...] = ()


class GraphMaker:
    """Makes the graph of one request; `marks` are the files of its watermarks, in their order. Only
    a `portion` of the video is seen.
    """

    def __init__(
        self,
        request: ProcessVideo,
        video: ProbedVideo,
        marks: Sequence[Path],
        folder: Path,
        portion: Portion,
    ) -> None:
        self._request = request
        self._video = video
        self._waiting = [*marks]
        self._folder = folder
        self._size = video.size.width, video.size.height
        self._chains: list[str] = []
        self._filters: list[str] = [*portion.filters()]
        self._marks: list[str] = []
        self._warnings: list[Notice] = []

    def graph(self, form: VideoForm, index: int, *, is_stretched: bool) -> FilterGraph:
        """For the image in the `index`th track; `is_stretched` is one whose pixels are not square.
        InvalidRequest and PayloadTooLarge with `param` `steps[i]` and what is in it.
        """
        if self._video.is_high_range:
            self._filters.append(TO_STANDARD_RANGE)
        if is_stretched:
            self._filters += [f"scale={self._size[0]}:{self._size[1]}", "setsar=1"]
        for number, step in enumerate(self._request.steps):
            self._add(step, f"steps[{number}]", form)
        self._end(form)
        chain = ",".join(self._filters)
        text = f"[0:{index}]" + "".join(self._chains) + chain + "[out]"
        size = Size(width=self._size[0], height=self._size[1])
        return FilterGraph(text, size, tuple(self._marks), tuple(self._warnings))

    def _add(self, step: Any, param: str, form: VideoForm) -> None:
        match step:
            case ScaleStep():
                self._scale(step, param)
            case CropStep():
                check_crop(step, self._size, param=param)
                if any(number % 2 for number in (step.x, step.y, step.width, step.height)):
                    # Colours of 4:2:0 are stored for two by two pixels.
                    self._filters.append("format=yuv444p")
                self._filters.append(f"crop={step.width}:{step.height}:{step.x}:{step.y}")
                self._size = step.width, step.height
            case WatermarkStep():
                self._mark(step, param)
            case _:
                return
        if max(self._size) > form.longest_side_px:
            raise PayloadTooLarge(
                f"{self._size[0]}x{self._size[1]} is more than the allowed "
                f"{form.longest_side_px} pixels on a side of this format",
                param=param,
            )

    def _scale(self, step: ScaleStep, param: str) -> None:
        width, height = scaled_size(self._size, step)
        even = even_size(Size(width=width, height=height))
        check_pixels(even.width, even.height, param=param, max_pixels=MAX_PIXELS)
        self._size = even.width, even.height
        flags = ":flags=neighbor" if step.resampling == "nearest" else ""
        self._filters += [f"scale={even.width}:{even.height}{flags}", "setsar=1"]

    def _mark(self, step: WatermarkStep, param: str) -> None:
        mark = prepared_mark(
            self._waiting.pop(0),
            step,
            self._size,
            param=f"{param}.image",
            max_pixels=self._request.max_pixels,
        )
        self._warnings += mark.warnings
        number = len(self._marks) + 1
        self._marks.append(f"mark{number}.png")
        saved_png(mark.image, self._folder / self._marks[-1])
        x, y = placed(mark.image.size, self._size, step)
        before = ",".join(self._filters) or "null"
        self._chains.append(f"{before}[before{number}];[before{number}][{number}:v]")
        # Left to itself it takes RGB for marks that are PNG, and a fifth longer.
        colours = "yuv420" if self._is_even() else "yuv444"
        self._filters = [f"overlay={x}:{y}:format={colours}"]

    def _end(self, form: VideoForm) -> None:
        if form.rates:
            rates = {rate: _hertz(rate) for rate in form.rates}
            nearest = min(rates, key=lambda rate: abs(rates[rate] - self._video.fps))
            self._filters.append(f"fps={nearest}")
        elif not form.is_timed:
            fps = min(max(self._video.fps, SLOWEST_FPS), FASTEST_FPS)
            self._filters.append(f"fps={exact_rate(fps)}")
        # H.264 has no odd sides in 4:2:0; other encoders round them.
        exact = form.encoder is None and not self._is_even()
        self._filters.append("format=yuv444p" if exact else "format=yuv420p")

    def _is_even(self) -> bool:
        return self._size[0] % 2 == self._size[1] % 2 == 0


def _hertz(rate: str) -> float:
    whole, _, part = rate.partition("/")
    return int(whole) / int(part or 1)
