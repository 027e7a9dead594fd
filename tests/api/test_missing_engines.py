"""What is wrong with a request is told before what the server lacks."""

from typing import Any

import pytest

from tests.api.conftest import FAMILIES, MakeContext, client_of
from tests.images import data_url, png

IMAGE = data_url(png())
BROKEN = data_url(png()[:300])
NOISE = data_url(b"RIFF\x24\x10\x00\x00WAVEfmt " + b"\x07" * 400)
NO_VIDEO = data_url(png())
BOX = {"width": 1, "height": 1}
WITHOUT_ENGINE: list[tuple[str, str, dict[str, Any]]] = [
    ("/v1/images/upscale", "image", {"image": BROKEN}),
    ("/v1/images/depth", "image", {"image": BROKEN}),
    ("/v1/images/segment", "image", {"image": BROKEN}),
    ("/v1/images/process", "image", {"image": BROKEN, "steps": [{"type": "crop", **BOX}]}),
    (
        "/v1/audio/process",
        "audio",
        {"audio": NOISE, "steps": [{"type": "convert", "format": "mp3"}]},
    ),
    ("/v1/images/faceswap", "source_face", {"source_face": BROKEN, "target": IMAGE}),
    ("/v1/images/faceswap", "target", {"source_face": IMAGE, "target": BROKEN}),
    ("/v1/images/edits", "image", {"image": BROKEN, "prompt": "a"}),
    ("/v1/images/edits", "mask", {"image": IMAGE, "prompt": "a", "mask": BROKEN}),
    ("/v1/images/inpaint", "mask", {"image": IMAGE, "prompt": "a", "mask": BROKEN}),
    ("/v1/images/variations", "image", {"image": BROKEN}),
    ("/v1/audio/stems", "audio", {"audio": NOISE}),
    ("/v1/audio/convert", "source_audio", {"source_audio": NOISE, "voice_name": "a"}),
    ("/v1/audio/clone", "ref_audio", {"text": "a", "ref_audio": NOISE}),
    ("/v1/video/upscale", "video", {"video": NO_VIDEO}),
    ("/v1/video/process", "video", {"video": NO_VIDEO, "steps": [{"type": "crop", **BOX}]}),
    ("/v1/video/interpolate", "video", {"video": NO_VIDEO}),
    ("/v1/video/interpolate", "end_image", {"init_image": IMAGE, "end_image": BROKEN}),
    ("/v1/video/subtitle", "video", {"video": NO_VIDEO}),
    ("/v1/video/dub", "video", {"video": NO_VIDEO, "target_lang": "de"}),
    ("/v1/pipelines/video-dub", "video", {"video": NO_VIDEO, "target_lang": "de"}),
    ("/v1/video/generations", "image", {"prompt": "a", "image": BROKEN}),
    ("/v1/video/generations", "video", {"prompt": "a", "video": NO_VIDEO}),
    (
        "/v1/pipelines/story",
        "character_references[1]",
        {"story": "a", "character_references": [IMAGE, BROKEN]},
    ),
]


@pytest.mark.parametrize(("path", "param", "body"), WITHOUT_ENGINE)
async def test_what_is_wrong_with_a_medium_is_told_before_an_engine_is_missing(
    make_context: MakeContext, path: str, param: str, body: dict[str, Any]
) -> None:
    families = [family for family in FAMILIES if family["name"] == "chat"]
    async with client_of(make_context(families=families)) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


async def test_with_good_media_the_missing_engine_is_told(make_context: MakeContext) -> None:
    families = [family for family in FAMILIES if family["name"] == "chat"]
    async with client_of(make_context(families=families)) as client:
        for path in ("/v1/images/upscale", "/v1/images/depth", "/v1/images/variations"):
            answer = await client.post(path, json={"image": IMAGE})
            assert answer.status_code == 503, answer.text
