"""Voices on the local default: saved, cloned, converted to, and taken out of a video."""

import base64
import os
import tempfile
from collections.abc import Iterator
from math import log2
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from deployments.audio.audio_decoding import speech_blocks
from deployments.audio.pitch import median_pitch
from serve_app.launch.processes import descendants
from tests.clients.conftest import Server
from tests.listening import words_of
from tests.material import COUNTING, clip, counting, decoded

SENTENCE = "the old sailor buys seven green apples"
LIGHT_MB = 250


def pitch_hz(data: bytes) -> float:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "heard.wav"
        file.write_bytes(data)
        found = median_pitch(speech_blocks(file, param="file"), lambda: False)
    assert found is not None
    return found


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module")
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=120, trust_env=False) as client:
        yield client


def post(http: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    answer = http.post(path, json=body)
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


@pytest.fixture(scope="module")
def low(http: httpx.Client) -> bytes:
    """A man's voice."""
    body = {"input": SENTENCE, "voice": "en-us", "response_format": "wav"}
    return http.post("/v1/audio/speech", json=body).content


@pytest.fixture(scope="module")
def high() -> bytes:
    """A woman's voice, which the speech recognition of the local default understands."""
    return counting()


def test_a_saved_voice_is_listened_to_cloned_and_converted_to(
    http: httpx.Client, low: bytes, high: bytes
) -> None:
    answer = http.post("/v1/audio/voices", data={"name": "ann"}, files={"audio": ("ann.wav", high)})
    assert answer.status_code == 200, answer.text
    heard = set(words_of(answer.json()["voice"]["transcript"]))
    assert len(heard & set(COUNTING.split())) == 7

    cloned = post(http, "/v1/audio/clone", text=SENTENCE, voice_name="ann")
    assert "signal processing" in cloned["warnings"][0]
    spoken = http.post(
        "/v1/audio/speech", json={"input": SENTENCE, "voice": "ann", "response_format": "wav"}
    )
    fields = {"source_audio": b64(low), "voice_name": "ann", "response_format": "b64_wav"}
    converted = post(http, "/v1/audio/convert", **fields)
    assert "signal processing" in converted["warnings"][0]
    for audio in (
        http.get(cloned["data"][0]["url"]).content,
        spoken.content,
        base64.b64decode(converted["data"][0]["b64_wav"]),
    ):
        assert abs(12 * log2(pitch_hz(audio) / pitch_hz(high))) < 1
    assert abs(12 * log2(pitch_hz(low) / pitch_hz(high))) > 6


def test_a_voice_out_of_a_video(http: httpx.Client, high: bytes, tmp_path: Path) -> None:
    audio = decoded(high)
    moments = np.arange(round(audio.duration_s * 16_000)) / 16_000 * audio.sample_rate
    samples = np.interp(moments, np.arange(len(audio.samples)), audio.samples)
    video = clip(tmp_path / "eve.mp4", 4.0, audio=bytes((samples * 32767).astype("<i2").tobytes()))
    body = post(http, "/v1/audio/voices/extract", name="eve", video=b64(video.read_bytes()))
    assert len(set(words_of(body["voice"]["transcript"])) & set(COUNTING.split())) >= 6
    taken = http.get(body["voice"]["audio_url"]).content
    assert abs(12 * log2(pitch_hz(taken) / pitch_hz(high))) < 1


def test_replicas_that_process_voices_are_light(http: httpx.Client, low: bytes) -> None:
    post(http, "/v1/audio/convert", source_audio=b64(low), target_voice=b64(low))
    post(http, "/v1/audio/clone", text=SENTENCE, ref_audio=b64(low))
    sizes = {name: resident_mb(name) for name in ("convert", "espeak")}
    assert all(0 < size < LIGHT_MB for size in sizes.values()), sizes


def resident_mb(family: str) -> float:
    """Of the family's largest replica; 0 without one."""
    sizes = [0.0]
    for pid in descendants(os.getpid()):
        try:
            title = Path(f"/proc/{pid}/cmdline").read_text()
            pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        except OSError:
            continue
        if title.startswith(f"ray::ServeReplica:default:{family}"):
            sizes.append(pages * os.sysconf("SC_PAGE_SIZE") / 1024**2)
    return max(sizes)
