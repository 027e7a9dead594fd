"""Cues and subtitle files from timed segments."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, NamedTuple

from serve_app.core.audio.transcription import TranscriptSegment, Word

Granularity = Literal["sentence", "subtitle"]
CUE_CHARACTERS = 70
CUE_LONGEST_S = 7.0
CUE_SHORTEST_S = 1.0
SENTENCE_LONGEST_S = 30.0
WORD = re.compile(
    r"[\u2e80-\u9fff\uac00-\ud7af\uf900-\uffef]|[^\s\u2e80-\u9fff\uac00-\ud7af\uf900-\uffef]+"
)
"""What can be cut apart where words have no times: any ideograph, kana or syllable for itself."""
SENTENCE_END = re.compile(r"[.!?\u3002\uff01\uff1f\u2026][\"'\u201d\u2019)\]]*$")


def cues(
    segments: Iterable[TranscriptSegment], granularity: Granularity
) -> tuple[TranscriptSegment, ...]:
    """Segments cut to be read: `subtitle` cues have at most 70 characters and last 1 to 7 s,
    `sentence` ones end with sentences and last at most 30 s. Cuts fall between words; where words
    have no times these are spread by their length.
    """
    is_subtitle = granularity == "subtitle"
    fits = _fits_subtitle if is_subtitle else _fits_sentence
    longest_s = CUE_LONGEST_S if is_subtitle else SENTENCE_LONGEST_S
    made = [
        _cue(segment, group, longest_s)
        for segment in segments
        for group in _groups(_pieces(segment), fits)
    ]
    read = _readable(made) if is_subtitle else made
    return tuple(cue.model_copy(update={"id": i}) for i, cue in enumerate(read))


def timed(segments: Iterable[TranscriptSegment]) -> tuple[TranscriptSegment, ...]:
    """Segments whose words all have times: where they have none these are spread by length, so
    that cues of them can be sung along.
    """
    return tuple(
        segment
        if segment.words
        else segment.model_copy(update={"words": tuple(_timed_words(segment))})
        for segment in segments
    )


def srt(segments: Sequence[TranscriptSegment]) -> str:
    """SubRip: numbered cues, comma before the milliseconds."""
    blocks = [
        f"{i}\n{_time(s.start, ',')} --> {_time(s.end, ',')}\n{_spoken(s)}\n"
        for i, s in enumerate(segments, start=1)
    ]
    return "\n".join(blocks)


def vtt(segments: Sequence[TranscriptSegment]) -> str:
    """WebVTT; `&`, `<` and `>` are escaped and `-->` cannot occur inside a cue."""
    blocks = [
        f"{_time(s.start, '.')} --> {_time(s.end, '.')}\n{_escaped(_spoken(s))}\n" for s in segments
    ]
    return "\n".join(["WEBVTT\n", *blocks])


class WordPart(NamedTuple):
    """A word, or a part of one that must be cut; `text` begins with a space where one stands."""

    word: Word
    text: str


def _groups(
    pieces: Iterable[WordPart], fits: Callable[[list[WordPart], WordPart], bool]
) -> list[list[WordPart]]:
    groups: list[list[WordPart]] = []
    for piece in pieces:
        if groups and fits(groups[-1], piece):
            groups[-1].append(piece)
        else:
            groups.append([piece])
    return groups


def _fits_subtitle(group: list[WordPart], piece: WordPart) -> bool:
    is_short = len(_text([*group, piece])) <= CUE_CHARACTERS
    return is_short and piece.word.end - group[0].word.start <= CUE_LONGEST_S


def _fits_sentence(group: list[WordPart], piece: WordPart) -> bool:
    has_ended = SENTENCE_END.search(group[-1].text.strip()) is not None
    return not has_ended and piece.word.end - group[0].word.start <= SENTENCE_LONGEST_S


def _pieces(segment: TranscriptSegment) -> Iterator[WordPart]:
    """The segment's words as they stand in its text: some scripts have no spaces between them."""
    position = 0
    for word in segment.words or _timed_words(segment):
        text = word.word.strip()
        found = segment.text.find(text, position)
        has_space = found < 0 or segment.text[position:found] != ""
        position = max(position, found + len(text))
        for number, part in enumerate(_parts(word, text)):
            said = part.word.strip()
            yield WordPart(part, f" {said}" if has_space and number == 0 else said)


def _parts(word: Word, text: str) -> list[Word]:
    """The word itself, or equally long parts of one that no cue can hold."""
    if len(text) <= CUE_CHARACTERS:
        return [word]
    shares = [text[i : i + CUE_CHARACTERS] for i in range(0, len(text), CUE_CHARACTERS)]
    per_character = (word.end - word.start) / len(text)
    return [
        Word(
            word=share,
            start=word.start + i * CUE_CHARACTERS * per_character,
            end=word.start + (i * CUE_CHARACTERS + len(share)) * per_character,
        )
        for i, share in enumerate(shares)
    ]


def _timed_words(segment: TranscriptSegment) -> list[Word]:
    texts = [match.group() for match in WORD.finditer(segment.text)]
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


def _cue(source: TranscriptSegment, pieces: list[WordPart], longest_s: float) -> TranscriptSegment:
    start = pieces[0].word.start
    return source.model_copy(
        update={
            "start": start,
            "end": min(pieces[-1].word.end, start + longest_s),
            "text": _text(pieces),
            "words": tuple(piece.word for piece in pieces) if source.words else (),
        }
    )


def _readable(cues: list[TranscriptSegment]) -> list[TranscriptSegment]:
    """A cue too short to read stays on screen longer. Where the next one comes too soon they
    become one; if that cannot be, the next one waits.
    """
    result: list[TranscriptSegment] = []
    for cue in cues:
        if result:
            shown = _shown(result[-1], until=cue.start)
            if shown.end - shown.start < CUE_SHORTEST_S:
                if (both := _merged(shown, cue)) is not None:
                    result[-1] = both
                    continue
                shown = _shown(shown, until=None)
            result[-1] = shown
            start = max(cue.start, shown.end)
            cue = cue.model_copy(update={"start": start, "end": max(cue.end, start)})
        result.append(cue)
    return [*result[:-1], *(_shown(cue, until=None) for cue in result[-1:])]


def _shown(cue: TranscriptSegment, *, until: float | None) -> TranscriptSegment:
    """The cue for at least a second, but not beyond `until` if that is after its end."""
    end = max(cue.end, cue.start + CUE_SHORTEST_S)
    if until is not None:
        end = max(cue.end, min(end, until))
    return cue.model_copy(update={"end": end})


def _merged(one: TranscriptSegment, other: TranscriptSegment) -> TranscriptSegment | None:
    """Both as one cue, None when that is too long or two speak."""
    text = f"{one.text} {other.text}"
    is_long = len(text) > CUE_CHARACTERS or other.end - one.start > CUE_LONGEST_S
    if is_long or one.speaker != other.speaker:
        return None
    words = (*one.words, *other.words) if one.words and other.words else ()
    return one.model_copy(update={"end": other.end, "text": text, "words": words})


def _text(pieces: list[WordPart]) -> str:
    return "".join(piece.text for piece in pieces).strip()


def _spoken(segment: TranscriptSegment) -> str:
    text = " ".join(segment.text.split())
    return f"[{segment.speaker}] {text}" if segment.speaker else text


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(seconds: float, mark: str) -> str:
    whole = round(max(0.0, seconds) * 1000)
    hours, rest = divmod(whole, 3_600_000)
    minutes, rest = divmod(rest, 60_000)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
