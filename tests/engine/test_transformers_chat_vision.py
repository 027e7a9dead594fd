import asyncio
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image
from transformers import AutoProcessor, LlavaForConditionalGeneration

from deployments.text.transformers_chat import TransformersChat
from serve_app.core.errors import InvalidRequest, PayloadTooLarge, UnsupportedCapability
from serve_app.core.media import Blob
from serve_app.core.text.chat import (
    AudioPart,
    Chat,
    ChatMessage,
    ImagePart,
    Part,
    Sampling,
    TextFormat,
    TextPart,
    Tool,
    ToolChoice,
)
from tests.engine.tiny_chat import Answer, engine_of, read, save_vision
from tests.images import huge_png

GREEDY = Sampling(temperature=0.0, max_tokens=12)
COLOURS = {"red": (200, 20, 30), "blue": (10, 40, 220)}


def blob_of(path: Path) -> Blob:
    content = path.read_bytes()
    return Blob(sha256=hashlib.sha256(content).hexdigest(), mime="image/png", size=len(content))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pictures")
    paths = {
        name: folder / f"{name}.png"
        for name in (*COLOURS, "seen through", "turned", "torn", "huge")
    }
    for name, colour in COLOURS.items():
        image = Image.new("RGB", (20, 30), colour)
        image.paste((255, 255, 0), (0, 0, 9, 9))
        image.save(paths[name])
    image = Image.open(paths["red"])
    image.convert("RGBA").save(paths["seen through"])
    upright = Image.Exif()
    upright[0x0112] = 6
    image.transpose(Image.Transpose.ROTATE_90).save(paths["turned"], exif=upright)
    paths["huge"].write_bytes(huge_png())
    paths["torn"].write_bytes(paths["red"].read_bytes()[:40])
    return paths


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_vision(tmp_path_factory.mktemp("vision"))


@pytest.fixture(scope="module")
def engine(checkpoint: Path, images: dict[str, Path]) -> Iterator[TransformersChat]:
    engine = engine_of(checkpoint, {blob_of(path).sha256: path for path in images.values()})
    yield engine
    asyncio.run(engine.close())


def direct(checkpoint: Path, text: str, *paths: Path) -> tuple[str, int]:
    """What the model says greedily, and the length of its prompt."""
    processor = AutoProcessor.from_pretrained(checkpoint)
    model = LlavaForConditionalGeneration.from_pretrained(checkpoint).eval()
    images = [Image.open(path).convert("RGB") for path in paths] or None
    inputs = processor(text=[text], images=images, return_tensors="pt")
    with torch.no_grad():
        output = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    length = inputs["input_ids"].shape[1]
    return processor.tokenizer.decode(output[0][length:], skip_special_tokens=True), length


def looking_at(*parts: Part, sampling: Sampling = GREEDY) -> Chat:
    message = ChatMessage(role="user", content=parts)
    return Chat(model="tiny", messages=(message,), sampling=sampling)


def image(path: Path) -> ImagePart:
    return ImagePart(image=blob_of(path))


async def seen(engine: TransformersChat, *parts: Part) -> Answer:
    return await read(engine.chat(looking_at(*parts)))


async def test_an_image_is_answered_as_by_generate(
    engine: TransformersChat, checkpoint: Path, images: dict[str, Path]
) -> None:
    texts = set()
    for name in COLOURS:
        answer = await seen(engine, TextPart(text="What? "), image(images[name]))
        text, length = direct(checkpoint, "What? <image>\nA: ", images[name])
        assert answer.text() == text
        assert answer.usage.prompt_tokens == length
        texts.add(text)
    assert len(texts) == 2


async def test_several_images_keep_their_places(
    engine: TransformersChat, checkpoint: Path, images: dict[str, Path]
) -> None:
    red, blue = images["red"], images["blue"]
    texts = []
    for first, second in ((red, blue), (blue, red)):
        answer = await seen(engine, image(first), TextPart(text=" or "), image(second))
        texts.append(direct(checkpoint, "<image> or <image>\nA: ", first, second)[0])
        assert answer.text() == texts[-1]
    assert texts[0] != texts[1]


async def test_choices_and_seeds_work_with_images(
    engine: TransformersChat, images: dict[str, Path]
) -> None:
    sampling = Sampling(temperature=1.0, seed=1, n=2, max_tokens=8)
    request = looking_at(image(images["red"]), sampling=sampling)
    answers = [await read(engine.chat(request)) for _ in range(2)]
    texts = [[answer.text(index) for index in answer.indices] for answer in answers]
    assert texts[0] == texts[1]
    assert texts[0][0] != texts[0][1]


async def test_an_answer_about_an_image_can_be_json(
    engine: TransformersChat, images: dict[str, Path]
) -> None:
    form = TextFormat(type="json_schema", json_schema={"enum": ["red", "blue"]})
    request = looking_at(image(images["red"])).model_copy(update={"response_format": form})
    assert (await read(engine.chat(request))).text() in ('"red"', '"blue"')


async def test_a_call_can_be_forced_about_an_image(
    engine: TransformersChat, images: dict[str, Path]
) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    system = ChatMessage(role="system", content=(TextPart(text="Be brief."),))
    request = looking_at(image(images["red"]), sampling=Sampling(seed=1, max_tokens=200))
    forced = request.model_copy(
        update={
            "messages": (system, *request.messages),
            "tools": (Tool(name="paint", parameters=schema),),
            "tool_choice": ToolChoice(mode="required"),
        }
    )
    ((name, arguments),) = (await read(engine.chat(forced))).calls()
    assert name == "paint"
    assert json.loads(arguments)["colour"] in ("red", "blue")


async def test_a_model_that_sees_also_reads(engine: TransformersChat, checkpoint: Path) -> None:
    answer = await seen(engine, TextPart(text="Why?"))
    assert answer.text() == direct(checkpoint, "Why?\nA: ")[0]


@pytest.mark.parametrize("variant", ["seen through", "turned"])
async def test_images_are_turned_upright_and_made_opaque(
    engine: TransformersChat, images: dict[str, Path], variant: str
) -> None:
    plain = await seen(engine, image(images["red"]))
    assert (await seen(engine, image(images[variant]))).text() == plain.text()


async def test_an_image_that_cannot_be_decoded_is_the_callers_fault(
    engine: TransformersChat, images: dict[str, Path]
) -> None:
    with pytest.raises(InvalidRequest, match="cannot be decoded") as caught:
        await seen(engine, TextPart(text="What?"), image(images["torn"]))
    assert caught.value.param == "messages[0].content[1]"
    assert "/" not in caught.value.message


async def test_an_image_of_too_many_pixels_is_refused_before_it_is_decoded(
    engine: TransformersChat, images: dict[str, Path]
) -> None:
    with pytest.raises(PayloadTooLarge, match="64000000 pixels") as caught:
        await seen(engine, TextPart(text="What?"), image(images["huge"]))
    assert caught.value.param == "messages[0].content[1]"


async def test_an_audio_is_refused_and_not_left_out(engine: TransformersChat) -> None:
    audio = AudioPart(audio=Blob(sha256="0" * 64, mime="audio/wav", size=44))
    with pytest.raises(UnsupportedCapability, match="takes no audio input") as caught:
        await seen(engine, TextPart(text="What?"), audio)
    assert caught.value.param == "messages[0].content[1]"


async def test_a_text_with_the_mark_of_an_image_is_the_callers_fault(
    engine: TransformersChat, images: dict[str, Path]
) -> None:
    with pytest.raises(InvalidRequest, match="placeholders") as caught:
        await seen(engine, TextPart(text="what is <image> here?"), image(images["red"]))
    assert caught.value.param == "messages"
