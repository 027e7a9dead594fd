"""Cues and subtitle files."""

import itertools

import pytest

from serve_app.core.audio.transcription import TranscriptSegment, Word
from serve_app.core.video.subtitles import cues, srt, vtt

HELLO = TranscriptSegment(id=0, start=0.0, end=1.5, text="Hello, <b>you</b> & me")
LATE = TranscriptSegment(
    id=1, start=3661.0005, end=3662.25, text="two\n\nlines --> here", speaker="SPK_1"
)


def spoken(text: str, *, start: float = 0.0, word_s: float = 0.5) -> TranscriptSegment:
    """A segment whose words last equally long."""
    words = tuple(
        Word(word=f" {word}", start=start + k * word_s, end=start + (k + 1) * word_s)
        for k, word in enumerate(text.split())
    )
    return TranscriptSegment(id=0, start=start, end=words[-1].end, text=text, words=words)


def texts(segments: tuple[TranscriptSegment, ...]) -> list[str]:
    return [segment.text for segment in segments]


def test_subrip() -> None:
    assert srt([HELLO, LATE]) == (
        "1\n00:00:00,000 --> 00:00:01,500\nHello, <b>you</b> & me\n"
        "\n"
        "2\n01:01:01,000 --> 01:01:02,250\n[SPK_1] two lines --> here\n"
    )


def test_webvtt() -> None:
    assert vtt([HELLO, LATE]) == (
        "WEBVTT\n"
        "\n"
        "00:00:00.000 --> 00:00:01.500\nHello, &lt;b&gt;you&lt;/b&gt; &amp; me\n"
        "\n"
        "01:01:01.000 --> 01:01:02.250\n[SPK_1] two lines --&gt; here\n"
    )


def test_files_without_a_cue() -> None:
    assert srt([]) == ""
    assert vtt([]) == "WEBVTT\n"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0.0004, "00:00:00,000"),
        (0.0006, "00:00:00,001"),
        (59.9996, "00:01:00,000"),
        (3599.9999, "01:00:00,000"),
        (360_000.0, "100:00:00,000"),
        (-1.0, "00:00:00,000"),
    ],
)
def test_times_are_rounded_to_the_millisecond(seconds: float, written: str) -> None:
    cue = TranscriptSegment(id=0, start=seconds, end=seconds, text="x")
    assert srt([cue]) == f"1\n{written} --> {written}\nx\n"


def test_a_cue_has_at_most_seventy_characters_and_ends_between_words() -> None:
    said = "incomprehensibilities and other long words make many cues " * 5
    words = said.split()
    made = cues([spoken(said, word_s=0.1)], "subtitle")
    assert all(len(text) <= 70 for text in texts(made))
    assert " ".join(texts(made)).split() == words
    assert [cue.id for cue in made] == list(range(len(made)))
    for one, other in itertools.pairwise(made):
        assert len(one.text) + 1 + len(other.text.split()[0]) > 70


def test_a_cue_lasts_at_most_seven_seconds() -> None:
    made = cues([spoken("a b c d e f", word_s=3.0)], "subtitle")
    assert [(cue.start, cue.end, cue.text) for cue in made] == [
        (0.0, 6.0, "a b"),
        (6.0, 12.0, "c d"),
        (12.0, 18.0, "e f"),
    ]


def test_a_short_cue_stays_for_a_second() -> None:
    made = cues([spoken("yes", word_s=0.2), spoken("so", start=9.0)], "subtitle")
    assert [(cue.start, cue.end) for cue in made] == [(0.0, 1.0), (9.0, 10.0)]


def test_short_cues_that_follow_soon_become_one() -> None:
    said = [spoken("yes", word_s=0.2), spoken("no", start=0.5, word_s=0.2), spoken("so", start=9.0)]
    made = cues(said, "subtitle")
    assert [(cue.start, cue.end, cue.text) for cue in made] == [
        (0.0, 1.0, "yes no"),
        (9.0, 10.0, "so"),
    ]
    assert [cue.id for cue in made] == [0, 1]


def test_short_cues_of_two_speakers_wait_for_each_other() -> None:
    one = spoken("yes", word_s=0.2).model_copy(update={"speaker": "A"})
    other = spoken("no", start=0.5, word_s=0.2).model_copy(update={"speaker": "B"})
    made = cues([one, other], "subtitle")
    assert [(cue.start, cue.end, cue.speaker) for cue in made] == [(0.0, 1.0, "A"), (1.0, 2.0, "B")]


def test_scripts_without_spaces_get_none() -> None:
    text = "今天天气很好。我们去公园吧!" * 6
    timed = TranscriptSegment(
        id=0,
        start=0.0,
        end=20.0,
        text=text,
        words=tuple(
            Word(word=letter, start=0.2 * i, end=0.2 * (i + 1)) for i, letter in enumerate(text)
        ),
    )
    for segment in (timed, timed.model_copy(update={"words": ()})):
        for granularity in ("subtitle", "sentence"):
            made = cues([segment], granularity)
            assert "".join(texts(made)) == text
        made = cues([segment], "subtitle")
        assert all(len(cue.text) <= 70 and 1 <= cue.end - cue.start <= 7.0001 for cue in made)
        assert texts(cues([segment], "sentence"))[0] == "今天天气很好。"


def test_a_word_that_lasts_too_long_is_shown_as_long_as_a_cue_may_be() -> None:
    assert cues([spoken("well", word_s=50.0)], "subtitle")[0].end == 7.0
    assert cues([spoken("well", word_s=50.0)], "sentence")[0].end == 30.0


def test_sentences_end_with_their_marks() -> None:
    said = 'He said "no." Then (really?) 3.5 times! And so'
    assert texts(cues([spoken(said)], "sentence")) == [
        'He said "no."',
        "Then (really?)",
        "3.5 times!",
        "And so",
    ]


def test_a_sentence_lasts_at_most_thirty_seconds() -> None:
    made = cues([spoken("a b c d e f g", word_s=10.0)], "sentence")
    assert [(cue.start, cue.end) for cue in made] == [(0.0, 30.0), (30.0, 60.0), (60.0, 70.0)]


def test_words_without_times_share_the_segment_by_their_length() -> None:
    segment = TranscriptSegment(id=7, start=10.0, end=20.0, text="abcd. efgh.")
    made = cues([segment], "sentence")
    assert [(cue.id, cue.start, cue.end, cue.text) for cue in made] == [
        (0, 10.0, 15.0, "abcd."),
        (1, 15.0, 20.0, "efgh."),
    ]
    assert all(cue.words == () for cue in made)


def test_what_is_known_of_a_segment_stays_with_its_cues() -> None:
    segment = spoken("One. Two.").model_copy(update={"speaker": "A", "avg_logprob": -0.5})
    made = cues([segment], "sentence")
    assert [(cue.speaker, cue.avg_logprob) for cue in made] == [("A", -0.5)] * 2
    assert [[word.word for word in cue.words] for cue in made] == [[" One."], [" Two."]]


def test_a_segment_without_words_gives_no_cue() -> None:
    assert cues([TranscriptSegment(id=0, start=0.0, end=1.0, text="  ")], "subtitle") == ()
    assert cues([], "sentence") == ()


def test_a_word_longer_than_a_cue_is_cut() -> None:
    made = cues([spoken(f"a {'x' * 100} b", word_s=2.0)], "subtitle")
    assert texts(made) == ["a", "x" * 70, "x" * 30 + " b"]
    assert [round(cue.start, 6) for cue in made] == [0.0, 2.0, 3.4]
