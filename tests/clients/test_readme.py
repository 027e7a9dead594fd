"""The lines of the README and the API pages, run as printed on the local default."""

import re
import subprocess
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image

from tests.clients.conftest import ROOT, Server, environment
from tests.material import COUNTING

PAGES = (
    "README.md",
    *(f"docs/{name}.md" for name in ("text", "audio", "images", "video", "api", "clients")),
)
SHORTHANDS = "docs/api.md"
RESULTS = ROOT / "docs/results"
ADDRESS = "http://127.0.0.1:8000"
WITHOUT_A_HUB = ("/v1/images/depth",)
IMAGES = {
    "image.png": (512, 512),
    "boat.webp": (256, 256),
    "stormy.webp": (320, 240),
    "boat-close.webp": (480, 400),
    "marked.png": (320, 240),
    "larger.png": (640, 480),
    "cutout.png": (320, 240),
    "swapped.png": (320, 240),
}
RECORDINGS = (
    *("spoken.mp3", "counting.mp3", "morning.wav", "fox.mp3", "converted.wav", "vocals.wav"),
    "counting.ogg",
)
VIDEOS = {
    "pan.mp4": (320, 240),
    "animated.mp4": (320, 240),
    "larger.mp4": (640, 480),
    "marked.mkv": (480, 360),
    "smoother.mp4": (320, 240),
    "talking.mp4": (320, 240),
    "subtitled.mp4": (320, 240),
    "dubbed.mp4": (320, 240),
    "story.mp4": (384, 256),
}
SPEAKING = ("talking.mp4", "subtitled.mp4", "dubbed.mp4", "story.mp4")


def blocks(page: str) -> list[str]:
    """A page's console blocks that are for a running server."""
    found = re.findall(r"(?ms)^```console\n(.*?)^```$", (ROOT / page).read_text())
    return [block for block in found if "make " not in block]


def lines(page: str) -> tuple[str, list[str]]:
    """The shorthands that a page uses, its own or the API page's, and the lines to run."""
    own = [block for block in blocks(page) if block.startswith("server=")]
    (shorthands,) = own or lines(SHORTHANDS)[:1]
    others = "".join(block for block in blocks(page) if block not in own)
    return shorthands, others.replace("\\\n", " ").splitlines()


class Ran:
    """Where the lines ran, and what each printed."""

    def __init__(self, folder: Path, printed: dict[str, str]) -> None:
        self.folder = folder
        self.printed = printed

    def of(self, part: str) -> str:
        """What the one line with this text printed."""
        (line,) = (line for line in self.printed if part in line)
        return self.printed[line]


def run(line: str, shorthands: str, folder: Path) -> str:
    """What a line prints in a shell in the folder."""
    done = subprocess.run(
        ("bash", "-c", f"set -eo pipefail\n{shorthands}\n{line}"),
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def ran(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """All lines, one after the other; a line that two pages have is run once."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / ".venv").symlink_to(ROOT / ".venv")
    (folder / "docs").symlink_to(ROOT / "docs")
    printed: dict[str, str] = {}
    for shorthands, line in ((lines(page)[0], line) for page in PAGES for line in lines(page)[1]):
        if line not in printed:
            printed[line] = run(line, shorthands.replace(ADDRESS, server.url), folder)
    return Ran(folder, printed)


@pytest.mark.parametrize("page", PAGES)
def test_shorthands_are_the_same_everywhere(page: str) -> None:
    shorthands, found = lines(page)
    assert f"server={ADDRESS}\n" in shorthands
    assert set(shorthands.splitlines()) <= set(lines(SHORTHANDS)[0].splitlines())
    assert len(found) > 2


def test_every_answer_is_one(ran: Ran) -> None:
    for line, text in ran.printed.items():
        if any(route in line for route in WITHOUT_A_HUB):
            assert '"code":"backend_unavailable"' in text
            assert "HF_HUB_OFFLINE" in text
        else:
            assert '"error":{' not in text, f"{line}\n{text}"
            assert '"responseStatus":{' not in text, f"{line}\n{text}"


def test_text(ran: Ran) -> None:
    assert '"object":"chat.completion"' in ran.of('"model": "auto"')
    assert ran.of('"stream": true').rstrip().endswith("data: [DONE]")


@pytest.mark.parametrize("name", RECORDINGS)
def test_recordings(ran: Ran, name: str) -> None:
    with av.open(str(ran.folder / name)) as audio:
        assert sum(frame.samples / frame.sample_rate for frame in audio.decode(audio=0)) > 0.4


def test_speech_is_transcribed(ran: Ran) -> None:
    """A word of it at least: espeak-ng says nothing twice alike, and Whisper writes some numbers in
    digits.
    """
    number, times, *text = (ran.folder / "counting.srt").read_text().splitlines()
    assert number == "1"
    assert " --> " in times
    known = {*COUNTING.split(), *"1234567"}
    assert known & set(re.findall(r"[a-z]+|\d", " ".join(text).lower()))


@pytest.mark.parametrize("name", IMAGES)
def test_images(ran: Ran, name: str) -> None:
    for folder in {ran.folder, RESULTS} if (RESULTS / name).exists() else {ran.folder}:
        with Image.open(folder / name) as image:
            image.load()
            assert image.size == IMAGES[name]


@pytest.mark.parametrize("name", VIDEOS)
def test_videos(ran: Ran, name: str) -> None:
    for folder in {ran.folder, RESULTS} if (RESULTS / name).exists() else {ran.folder}:
        with av.open(str(folder / name)) as video:
            frames: list[Any] = list(video.decode(video=0))
            assert (frames[0].width, frames[0].height) == VIDEOS[name]
            assert len(frames) > 20
            assert bool(video.streams.audio) == (name in SPEAKING)


def test_a_job_runs_to_its_end(ran: Ran) -> None:
    assert ran.of("respond-async").startswith("HTTP/1.1 202")
    assert '"status":"succeeded"' in ran.of("take-1/events")
