"""Images in words with tiny random checkpoints: BLIP, and LLaVA through its chat template."""

import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from transformers import BlipForConditionalGeneration, BlipForQuestionAnswering, BlipProcessor

from deployments.image.transformers_captioning import TransformersCaptioning
from deployments.text.transformers_chat import TransformersChat
from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.chat_describer import ChatDescriber
from serve_app.catalog.engine_runner import EngineRunner
from serve_app.core.config import Model
from serve_app.core.errors import (
    BackendUnavailable,
    ContextLengthExceeded,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedCapability,
)
from serve_app.core.image.captioning import DescribeImage, ImageDescription
from serve_app.core.message import Progress
from serve_app.core.options.text import TransformersOptions
from tests.engine.tiny_chat import IMAGE_MARK, save_vision
from tests.engine.tiny_encoders import WORDS
from tests.engine.tiny_vision import gradient, last, save_blip, stored
from tests.images import huge_png, png
from tests.notices import texts_of

MODEL = Model(id="tiny", source="tiny")


@pytest.fixture(scope="session")
def captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_blip(tmp_path_factory.mktemp("captioner"))


@pytest.fixture(scope="session")
def answerer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_blip(tmp_path_factory.mktemp("answerer"), answers=True)


@pytest.fixture(scope="session")
def llava(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vision(tmp_path_factory.mktemp("llava"))


@pytest.fixture
def blobs(tmp_path: Path) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path / "blobs")


def engine_of(path: Path, blobs: FsspecBlobStore) -> TransformersCaptioning:
    options = TransformersOptions(task="captioning", device="cpu", threads=1)
    return TransformersCaptioning(options, MODEL, path=path, blobs=blobs)


async def described(
    engine: Any, blobs: FsspecBlobStore, image: Image.Image | bytes, **fields: Any
) -> ImageDescription:
    blob = await stored(blobs, image)
    fields = {"max_tokens": 8} | fields
    result = await last(engine.describe_image(DescribeImage(model="tiny", image=blob, **fields)))
    assert isinstance(result, ImageDescription)
    return result


def expected(network: Any, path: Path, **inputs: Any) -> str:
    processor = BlipProcessor.from_pretrained(path)
    with torch.inference_mode():
        ids = network.generate(**processor(return_tensors="pt", **inputs), max_new_tokens=8)
    return str(processor.decode(ids[0], skip_special_tokens=True)).strip()


async def test_the_librarys_own_caption(captioner: Path, blobs: FsspecBlobStore) -> None:
    image = gradient(40, 30)
    network = BlipForConditionalGeneration.from_pretrained(captioner).eval()
    wanted = expected(network, captioner, images=image)
    assert set(wanted.split()) <= set(WORDS)
    assert wanted
    found = await described(engine_of(captioner, blobs), blobs, image)
    assert found.text == wanted


async def test_the_librarys_own_answer(answerer: Path, blobs: FsspecBlobStore) -> None:
    image = gradient(40, 30)
    network = BlipForQuestionAnswering.from_pretrained(answerer).eval()
    wanted = expected(network, answerer, images=image, text="is the cat red")
    found = await described(engine_of(answerer, blobs), blobs, image, question="is the cat red")
    assert found.text == wanted


async def test_an_answerer_also_captions(answerer: Path, blobs: FsspecBlobStore) -> None:
    found = await described(engine_of(answerer, blobs), blobs, gradient(9, 9))
    assert set(found.text.split()) <= set(WORDS)


async def test_a_captioner_refuses_questions(captioner: Path, blobs: FsspecBlobStore) -> None:
    with pytest.raises(UnsupportedCapability, match="answers no questions") as caught:
        await described(engine_of(captioner, blobs), blobs, gradient(9, 9), question="why")
    assert caught.value.param == "question"


@pytest.mark.parametrize("question", [None, "How many?"])
async def test_a_model_with_a_chat_template_is_asked_through_it(
    question: str | None, llava: Path, blobs: FsspecBlobStore
) -> None:
    image = gradient(16, 16)
    found = await described(engine_of(llava, blobs), blobs, image, question=question)
    assert "Describe this image" not in found.text
    options = TransformersOptions(task="chat", device="cpu", threads=1)
    chat = TransformersChat(options, MODEL, path=llava, blobs=blobs)
    try:
        same = await described(ChatDescriber(EngineRunner(chat)), blobs, image, question=question)
    finally:
        await chat.close()
    assert same.text == found.text


async def test_progress_counts_tokens_and_an_end_by_the_limit_is_said(
    captioner: Path, blobs: FsspecBlobStore
) -> None:
    engine = engine_of(captioner, blobs)
    blob = await stored(blobs, gradient(40, 30))
    request = DescribeImage(model="tiny", image=blob, max_tokens=3)
    *progress, end = [event async for event in engine.describe_image(request)]
    assert [(p.phase, p.current, p.total) for p in progress] == [
        ("describe", count, 3) for count in (1, 2, 3)
    ]
    assert texts_of(end.warnings) == ("text: cut off after 3 tokens",)


async def test_cancelling_stops_after_a_token(captioner: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(captioner, blobs)
    steps: list[int] = []

    def slowly(*_: Any) -> None:
        steps.append(1)
        time.sleep(0.02)

    engine._network.text_decoder.register_forward_hook(slowly)
    blob = await stored(blobs, gradient(40, 30))
    request = DescribeImage(model="tiny", image=blob, max_tokens=29)
    async with aclosing(engine.describe_image(request)) as events:
        assert isinstance(await anext(events), Progress)
    left_at = len(steps)
    # Closing has waited for the thread: no step comes after it.
    assert left_at < 29
    await described(engine, blobs, gradient(9, 9), max_tokens=2)
    assert len(steps) - left_at <= 2


@pytest.mark.parametrize(
    ("kind", "question", "error"),
    [
        ("answerer", "red " * 40, ContextLengthExceeded),
        ("llava", f"{IMAGE_MARK} {IMAGE_MARK}", InvalidRequest),
    ],
)
async def test_questions_that_cannot_be_asked(
    kind: str,
    question: str,
    error: type[InvalidRequest],
    blobs: FsspecBlobStore,
    request: pytest.FixtureRequest,
) -> None:
    engine = engine_of(request.getfixturevalue(kind), blobs)
    with pytest.raises(error) as caught:
        await described(engine, blobs, gradient(9, 9), question=question)
    assert caught.value.param == "question"


async def test_more_tokens_than_the_model_has_places_for(
    captioner: Path, blobs: FsspecBlobStore
) -> None:
    found = await described(engine_of(captioner, blobs), blobs, gradient(40, 30), max_tokens=500)
    assert set(found.text.split()) <= set(WORDS)


@pytest.mark.parametrize("size", [(1, 1), (1, 60), (500, 3)])
async def test_odd_sizes(size: tuple[int, int], captioner: Path, blobs: FsspecBlobStore) -> None:
    found = await described(engine_of(captioner, blobs), blobs, gradient(*size).convert("RGBA"))
    assert set(found.text.split()) <= set(WORDS)


async def test_bad_images_are_refused_and_the_engine_lives_on(
    captioner: Path, blobs: FsspecBlobStore
) -> None:
    engine = engine_of(captioner, blobs)
    for data, error in ((huge_png(), PayloadTooLarge), (png(size=(30, 30))[:60], InvalidRequest)):
        with pytest.raises(error) as caught:
            await described(engine, blobs, data)
        assert caught.value.param == "image"
    found = await described(engine, blobs, gradient(3, 3))
    assert set(found.text.split()) <= set(WORDS)


async def test_what_is_no_checkpoint_says_so(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    with pytest.raises(BackendUnavailable, match="'tiny' cannot be loaded by transformers"):
        engine_of(tmp_path, blobs)
