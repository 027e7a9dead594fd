"""Cues as an ASS file, which libass renders: three styles, karaoke from the times of words.

The format: http://www.tcax.org/docs/ass-specs.htm
"""

from collections.abc import Sequence
from dataclasses import dataclass

from serve_app.core.audio.transcription import TranscriptSegment
from serve_app.core.image.images import Size
from serve_app.core.video.processing import SubtitleStyle

FONT = "Aileron"
"""The font that Pillow brings along; libass looks for what it lacks among the system's."""
WHITE, YELLOW, BLACK, SHADE = "&H00FFFFFF", "&H0000E5FF", "&H00000000", "&H80000000"
SMALLEST_PX = 10
LEAST_MARGIN_PX = 4


@dataclass(frozen=True)
class AssStyle:
    """`height` and `outline` are shares of the image's shorter side; `first` is the colour of
    words that are spoken, `second` of those to come.
    """

    height: float
    outline: float
    first: str = WHITE
    second: str = WHITE
    has_box: bool = False


LOOKS: dict[SubtitleStyle, AssStyle] = {
    "default": AssStyle(height=0.065, outline=0.006),
    "karaoke": AssStyle(height=0.075, outline=0.007, first=YELLOW),
    "minimal": AssStyle(height=0.05, outline=0.0, has_box=True),
}


def ass(cues: Sequence[TranscriptSegment], style: SubtitleStyle, size: Size) -> str:
    """The file, for an image of this size."""
    look, side = LOOKS[style], min(size.width, size.height)
    height = max(SMALLEST_PX, round(look.height * side))
    margin = max(LEAST_MARGIN_PX, round(0.05 * side))
    # Border style 4 is a box around the whole cue, in the colour of the shadow.
    border, outline = (4, 2.0) if look.has_box else (1, max(1.0, look.outline * side))
    fields = (
        f"Default,{FONT},{height},{look.first},{look.second},{BLACK},{SHADE},"
        f"0,0,0,0,100,100,0,0,{border},{outline:.1f},0,2,{margin},{margin},{margin},1"
    )
    lines = [_dialogue(cue, style) for cue in cues if cue.text.strip()]
    return "\n".join([*_head(size), f"Style: {fields}", "", *EVENTS, *lines, ""])


EVENTS = (
    "[Events]",
    "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text",
)


def _head(size: Size) -> list[str]:
    return [
        "[Script Info]",
        "ScriptType: v4.00+",
        "WrapStyle: 0",
        "ScaledBorderAndShadow: yes",
        f"PlayResX: {size.width}",
        f"PlayResY: {size.height}",
        "",
        "[V4+ Styles]",
        "Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, "
        "BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, "
        "BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding",
    ]


def _dialogue(cue: TranscriptSegment, style: SubtitleStyle) -> str:
    text = _sung(cue) if style == "karaoke" and cue.words else _plain(cue.text)
    if cue.speaker:
        text = f"{_plain(f'[{cue.speaker}]')} {text}"
    end = max(cue.end, cue.start + 0.01)
    return f"Dialogue: 0,{_time(cue.start)},{_time(end)},Default,,0,0,0,,{text}"


def _sung(cue: TranscriptSegment) -> str:
    """Every word changes its colour while it is spoken; pauses belong to the word before. Where
    the words are not found in the text, the text is shown as it is.
    """
    parts, position, at_s = [], 0, cue.start
    for number, word in enumerate(cue.words):
        found = cue.text.find(word.word.strip(), position)
        if found < 0:
            return _plain(cue.text)
        end = found + len(word.word.strip())
        is_last = number == len(cue.words) - 1
        until = cue.end if is_last else cue.words[number + 1].start
        wait, sung = max(0.0, word.start - at_s), max(0.0, until - max(at_s, word.start))
        pause = f"{{\\k{round(wait * 100)}}}" if wait >= 0.005 else ""
        text = cue.text[position:] if is_last else cue.text[position:end]
        parts.append(f"{pause}{{\\kf{round(sung * 100)}}}{_plain(text)}")
        position, at_s = end, max(at_s, until)
    return "".join(parts)


def _plain(text: str) -> str:
    """Text that means nothing to libass: a word joiner after a backslash makes it a plain one."""
    escaped = text.replace("\\", "\\\u2060").replace("{", "\\{").replace("}", "\\}")
    return "\\N".join(escaped.splitlines())


def _time(seconds: float) -> str:
    hundredths = max(0, round(seconds * 100))
    minutes, rest = divmod(hundredths, 6000)
    return f"{minutes // 60}:{minutes % 60:02}:{rest // 100:02}.{rest % 100:02}"
