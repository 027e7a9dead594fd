"""Segments by speaker, and the clustering behind the engines."""

import numpy as np
import pytest

from deployments.audio.audio_decoding import SPEECH_RATE
from deployments.audio.frame_levels import FRAMES_PER_S, levels_db
from deployments.audio.speaker_clustering import clustered
from deployments.audio.speaker_turns import diarization_of, piece_lengths, speech_regions, turns_of
from serve_app.core.audio.diarization import SpeakerTurn, by_speaker, speaker_name
from serve_app.core.audio.transcription import TranscriptSegment, Word
from serve_app.core.notices import Notice
from tests.notices import texts_of

TURNS = (
    SpeakerTurn(start=0.0, end=1.0, speaker="A"),
    SpeakerTurn(start=1.2, end=3.0, speaker="B"),
)


def spoken(text: str, *, start: float = 0.0, word_s: float = 0.5) -> TranscriptSegment:
    words = tuple(
        Word(word=word, start=start + k * word_s, end=start + (k + 1) * word_s)
        for k, word in enumerate(text.split())
    )
    return TranscriptSegment(id=4, start=start, end=words[-1].end, text=text, words=words)


@pytest.mark.parametrize(
    ("number", "name"), [(0, "A"), (25, "Z"), (26, "AA"), (27, "AB"), (51, "AZ"), (52, "BA")]
)
def test_names_of_speakers(number: int, name: str) -> None:
    assert speaker_name(number) == name


def test_a_segment_is_cut_between_words() -> None:
    parts = by_speaker(spoken("one two three four five"), TURNS)
    assert [(p.speaker, p.text, p.start, p.end) for p in parts] == [
        ("A", "one two", 0.0, 1.0),
        ("B", "three four five", 1.0, 2.5),
    ]
    assert [word.word for word in parts[1].words] == ["three", "four", "five"]


def test_who_speaks_most_of_a_segment_without_words_is_named() -> None:
    segment = TranscriptSegment(id=0, start=0.8, end=2.0, text="one two")
    assert [(p.speaker, p.text) for p in by_speaker(segment, TURNS)] == [("B", "one two")]


def test_a_script_without_spaces_is_not_cut_wrongly() -> None:
    words = tuple(Word(word=c, start=k, end=k + 1) for k, c in enumerate("你好吗"))
    segment = TranscriptSegment(id=0, start=0.0, end=3.0, text="你好吗", words=words)
    assert [part.text for part in by_speaker(segment, TURNS)] == ["你好吗"]


def test_in_a_pause_the_nearest_turn_counts() -> None:
    early = TranscriptSegment(id=0, start=1.01, end=1.07, text="so")
    late = TranscriptSegment(id=0, start=9.0, end=9.5, text="so")
    assert [by_speaker(s, TURNS)[0].speaker for s in (early, late)] == ["A", "B"]
    assert by_speaker(early, ())[0].speaker is None


@pytest.mark.parametrize("count", [1, 2, 5])
def test_as_many_clusters_as_voices(count: int) -> None:
    random = np.random.default_rng(count)
    who = [number % count for number in range(6 * count)]
    vectors = random.standard_normal((count, 64))[who] + 0.2 * random.standard_normal(
        (len(who), 64)
    )
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    for given in (None, count):
        labels = clustered(vectors.astype(np.float32), given, 0.7)
        assert len(set(zip(labels.tolist(), who, strict=True))) == count
    assert clustered(vectors[:1].astype(np.float32), 3, 0.7).tolist() == [0]


def test_levels_are_decibels_of_full_scale() -> None:
    moments = np.arange(SPEECH_RATE) / SPEECH_RATE
    found = levels_db((0.1 * np.sin(2 * np.pi * 440 * moments)).astype(np.float32))
    assert found.shape == (FRAMES_PER_S,)
    assert np.allclose(found[1:-2], 20 * np.log10(0.1) - 3.01, atol=0.2)
    assert len(levels_db(np.zeros(0, dtype=np.float32))) == 1


def test_regions_pieces_and_turns() -> None:
    level_db = np.full(1000, -80, dtype=np.float32)
    level_db[100:400] = -20
    level_db[200:210] = -80
    level_db[600:603] = -20
    level_db[700:950] = -20
    regions = speech_regions(level_db)
    assert regions == [(100, 400), (700, 950)]
    assert piece_lengths(regions).tolist() == [100, 100, 100, 125, 125]
    labels = np.array([7] * 150 + [3] * 150 + [3] * 250)
    turns = turns_of(regions, labels)
    assert [(turn.start, turn.end, turn.speaker) for turn in turns] == [
        (2.0, 5.0, "A"),
        (5.0, 8.0, "B"),
        (14.0, 19.0, "B"),
    ]
    said = Notice(text="as is")
    assert diarization_of(turns, 2, said).warnings == (said,)
    assert texts_of(diarization_of(turns, 3).warnings) == (
        "only 2 of 3 speakers could be distinguished",
    )
    assert speech_regions(np.zeros(0, dtype=np.float32)) == []
    assert speech_regions(np.full(500, -70, dtype=np.float32)) == []
