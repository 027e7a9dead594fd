"""Speech out and speech in through the official client: what is spoken is understood."""

import base64
import io
import json
from pathlib import Path
from typing import Literal

import av
import httpx
import openai
import pytest

from tests.clients.conftest import Server
from tests.listening import words_of
from tests.material import COUNTING, counting

SENTENCE = COUNTING
FORMATS: tuple[Literal["mp3", "opus", "aac", "flac", "wav"], ...] = (
    "mp3",
    "opus",
    "aac",
    "flac",
    "wav",
)


def speak(client: openai.OpenAI, text: str = SENTENCE) -> bytes:
    return client.audio.speech.create(
        model="tts-1", voice="alloy", input=text, response_format="wav"
    ).content


def seconds(audio: bytes) -> float:
    """The length of encoded audio, by decoding it."""
    with av.open(io.BytesIO(audio)) as container:
        frames = [(frame.samples, frame.sample_rate) for frame in container.decode(audio=0)]
    return sum(samples / rate for samples, rate in frames)


def test_every_format_has_the_same_length(client: openai.OpenAI) -> None:
    pcm = client.audio.speech.create(
        model="tts-1", voice="alloy", input=SENTENCE, response_format="pcm"
    ).content
    expected = len(pcm) / 2 / 24_000
    assert 0.8 < expected < 6
    for name in FORMATS:
        audio = client.audio.speech.create(
            model="tts-1", voice="alloy", input=SENTENCE, response_format=name
        )
        assert seconds(audio.content) == pytest.approx(expected, abs=0.15), name


def test_speech_arrives_in_parts(client: openai.OpenAI) -> None:
    text = "This is a sentence that takes a while to say. " * 4
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input=text, response_format="pcm"
    ) as response:
        parts = list(response.iter_bytes())
    assert len(parts) > 1
    assert sum(map(len, parts)) > 7 * 2 * 24_000


def test_speech_events_join_to_the_audio(client: openai.OpenAI) -> None:
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts",
        voice="nova",
        input=SENTENCE,
        response_format="mp3",
        stream_format="sse",
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    *deltas, done = [json.loads(line.removeprefix("data: ")) for line in lines]
    assert {delta["type"] for delta in deltas} == {"speech.audio.delta"}
    audio = b"".join(base64.b64decode(delta["audio"]) for delta in deltas)
    assert done["type"] == "speech.audio.done"
    assert done["usage"]["seconds"] == pytest.approx(seconds(audio), abs=0.15)


def test_speech_can_be_streamed_into_a_file(client: openai.OpenAI, tmp_path: Path) -> None:
    file = tmp_path / "speech.flac"
    with client.audio.speech.with_streaming_response.create(
        model="tts-1-hd", voice="onyx", input=SENTENCE, response_format="flac", speed=2.0
    ) as response:
        response.stream_to_file(file)
    assert 0.5 < seconds(file.read_bytes()) < 2.5


def test_the_stream_and_batch_routes(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=120, trust_env=False) as http:
        with http.stream("POST", "/v1/audio/speech/stream", json={"input": SENTENCE}) as answer:
            pcm = answer.read()
        items = [{"input": SENTENCE}, {"input": "x", "voice": "nobody-at-all"}]
        batch = http.post("/v1/audio/speech/batch", json={"items": items, "voice": "echo"}).json()
    assert answer.headers["content-type"] == "audio/pcm"
    assert 0.8 < len(pcm) / 2 / 24_000 < 6
    first, second = batch["data"]
    assert 0.8 < seconds(base64.b64decode(first["b64_wav"])) < 6
    assert second["error"]["param"] == "voice"


def test_an_unknown_voice_lists_the_voices(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.audio.speech.create(model="tts-1", voice="nobody-at-all", input="x")
    assert caught.value.param == "voice"


def test_a_recording_is_understood(client: openai.OpenAI) -> None:
    answer = client.audio.transcriptions.create(model="whisper-1", file=("speech.wav", counting()))
    assert words_of(answer.text) == SENTENCE.split()


def test_what_is_spoken_is_understood(client: openai.OpenAI) -> None:
    sentence = "Every morning my grandmother walks to the market and buys fresh bread."
    answer = client.audio.transcriptions.create(
        model="whisper-1", file=("speech.wav", speak(client, sentence))
    )
    assert answer.text.replace(",", "").strip() == sentence


def test_verbose_transcripts_have_times_within_the_audio(client: openai.OpenAI) -> None:
    audio = speak(client)
    length = seconds(audio)
    answer = client.audio.transcriptions.create(
        model="whisper-1",
        file=("speech.wav", audio),
        response_format="verbose_json",
        timestamp_granularities=["word"],
    )
    assert float(answer.duration) == pytest.approx(length, abs=0.1)
    assert answer.words
    assert all(0 <= word.start <= word.end <= length + 0.1 for word in answer.words)


@pytest.mark.parametrize(("name", "sign"), [("srt", " --> "), ("vtt", "WEBVTT"), ("text", "3")])
def test_subtitle_and_text_formats(
    client: openai.OpenAI, name: Literal["srt", "vtt", "text"], sign: str
) -> None:
    answer: object = client.audio.transcriptions.create(
        model="whisper-1", file=("speech.wav", counting()), response_format=name
    )
    assert sign in str(answer)


def test_streamed_transcripts_join_to_the_whole(client: openai.OpenAI) -> None:
    text, done = "", None
    for event in client.audio.transcriptions.create(
        model="whisper-1", file=("speech.wav", speak(client)), stream=True
    ):
        if event.type == "transcript.text.delta":
            text += event.delta
        elif event.type == "transcript.text.done":
            done = event.text
    assert done == text


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_english_is_translated_to_itself(client: openai.OpenAI) -> None:
    answer = client.audio.translations.create(model="whisper-1", file=("a.wav", counting()))
    assert words_of(answer.text) == SENTENCE.split()


def test_audio_that_is_none(client: openai.OpenAI) -> None:
    with pytest.raises((openai.BadRequestError, openai.APIStatusError)) as caught:
        client.audio.transcriptions.create(model="whisper-1", file=("a.wav", b"no audio"))
    assert caught.value.status_code in (400, 415)


def clip(path: Path, audio: bytes) -> Path:
    """A short video: grey images and the given WAV audio."""
    with av.open(io.BytesIO(audio)) as source, av.open(str(path), "w") as video:
        image = video.add_stream("mpeg4", rate=10)
        image.width, image.height, image.pix_fmt = 64, 48, "yuv420p"
        track = video.add_stream("aac", rate=24_000)
        for _ in range(int(10 * seconds(audio)) + 1):
            video.mux(image.encode(av.VideoFrame(64, 48, "yuv420p")))
        video.mux(image.encode(None))
        resampler = av.AudioResampler(format="fltp", layout="mono", rate=24_000)
        for frame in source.decode(audio=0):
            for piece in resampler.resample(frame):
                video.mux(track.encode(piece))
        video.mux(track.encode(None))
    return path


def test_a_clip_is_dubbed(client: openai.OpenAI, server: Server, tmp_path: Path) -> None:
    video = clip(tmp_path / "clip.mp4", speak(client))
    with httpx.Client(base_url=server.url, timeout=120, trust_env=False) as http:
        upload = http.post("/v1/files/upload", files={"file": ("clip.mp4", video.read_bytes())})
        answer = http.post(
            "/v1/pipelines/video-dub",
            json={
                "video": upload.json()["url"],
                "source_lang": "en",
                "target_lang": "en",
                "burn_subtitles": False,
            },
        )
        assert answer.status_code == 200, answer.text
        dubbed = http.get(answer.json()["data"][0]["url"]).content
    with av.open(io.BytesIO(dubbed)) as container:
        assert container.streams.video
        assert container.streams.audio
    assert seconds(dubbed) > 0.5
