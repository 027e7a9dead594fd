"""Cues and subtitle files from timed segments."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Literal

from serve_app.core.transcription import Segment, Word

Granularity = Literal["sentence", "subtitle"]
CUE_CHARACTERS = 70
CUE_LONGEST_S = 7.0
CUE_SHORTEST_S = 1.0
SENTENCE_LONGEST_S = 30.0
SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f\u2026][\"'\u201d\u2019)\]]*$")


def cues(segments: Iterable[Segment], granularity: Granularity) -> tuple[Segment, ...]:
    """Segments cut to be read: `subtitle` cues have at most 70 characters and last 1 to 7 s,
    `sentence` ones end with sentences and last at most 30 s. Cuts fall between words; where words
    have no times these are spread by their length.
    """
    fits = _fits_subtitle if granularity == "subtitle" else _fits_sentence
    groups = [group for s in segments for group in _groups(s, _timed_words(s), fits)]
    made = [_cue(source, group) for source, group in groups]
    numbered = [cue.model_copy(update={"id": i}) for i, cue in enumerate(made)]
    return tuple(_readable(numbered) if granularity == "subtitle" else numbered)


def srt(segments: Sequence[Segment]) -> str:
    """SubRip: numbered cues, comma before the milliseconds."""
    blocks = [
        f"{i}\n{_time(s.start, ',')} --> {_time(s.end, ',')}\n{_spoken(s)}\n"
        for i, s in enumerate(segments, start=1)
    ]
    return "\n".join(blocks)


def vtt(segments: Sequence[Segment]) -> str:
    """WebVTT; `&`, `<` and `>` are escaped and `-->` cannot occur inside a cue."""
    blocks = [
        f"{_time(s.start, '.')} --> {_time(s.end, '.')}\n{_escaped(_spoken(s))}\n" for s in segments
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _groups(
    segment: Segment, words: list[Word], fits: Callable[[list[Word], Word], bool]
) -> list[tuple[Segment, list[Word]]]:
    groups: list[list[Word]] = []
    for word in words:
        if groups and fits(groups[-1], word):
            groups[-1].append(word)
        else:
            groups.append([word])
    return [(segment, group) for group in groups]


def _fits_subtitle(group: list[Word], word: Word) -> bool:
    length = len(_text(group)) + 1 + len(word.word.strip())
    return length <= CUE_CHARACTERS and word.end - group[0].start <= CUE_LONGEST_S


def _fits_sentence(group: list[Word], word: Word) -> bool:
    has_ended = SENTENCE_END.search(group[-1].word.strip()) is not None
    return not has_ended and word.end - group[0].start <= SENTENCE_LONGEST_S


def _timed_words(segment: Segment) -> list[Word]:
    if segment.words:
        return list(segment.words)
    texts = segment.text.split()
    total = sum(len(text) + 1 for text in texts) or 1
    words, position = [], 0
    for text in texts:
        start, position = position, position + len(text) + 1
        span = segment.end - segment.start
        words.append(
            Word(
                word=text,
                start=segment.start + span * start / total,
                end=segment.start + span * position / total,
            )
        )
    return words


def _cue(source: Segment, words: list[Word]) -> Segment:
    return source.model_copy(
        update={
            "start": words[0].start,
            "end": words[-1].end,
            "text": _text(words),
            "words": tuple(words) if source.words else (),
        }
    )


def _readable(segments: list[Segment]) -> list[Segment]:
    """A cue too short to read stays on screen longer, up to the next one."""
    result = []
    for i, segment in enumerate(segments):
        end = max(segment.end, segment.start + CUE_SHORTEST_S)
        if i + 1 < len(segments):
            end = max(segment.end, min(end, segments[i + 1].start))
        result.append(segment.model_copy(update={"end": end}))
    return result


def _text(words: list[Word]) -> str:
    return " ".join(word.word.strip() for word in words)


def _spoken(segment: Segment) -> str:
    text = " ".join(segment.text.split())
    return f"[{segment.speaker}] {text}" if segment.speaker else text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(seconds: float, mark: str) -> str:
    whole = round(max(0.0, seconds) * 1000)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
