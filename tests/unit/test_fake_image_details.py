"""What the fake image engine shows of what it is asked for, and images in two passes."""

import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as Stills
from PIL import ImageChops, ImageDraw

from deployments.fakes.images import FakeImages
from deployments.fakes.vision import FakeUpscaling
from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.catalog import Catalog
from serve_app.catalog.engine_runner import runner_of
from serve_app.catalog.image_facts import EVERY, image_facts
from serve_app.core.config import AppConfig, Model
from serve_app.core.errors import InvalidRequest, ModelNotFound
from serve_app.core.image.images import HiresPass, Images, ImageToImage, Inpaint, Size, TextToImage
from serve_app.core.image.samplers import FLOW, ImageFacts
from serve_app.core.image.sampling_names import SAMPLER_SLOT, SCHEDULE_SLOT
from serve_app.core.media import Blob, PreviewedProgress
from serve_app.core.message import Progress
from serve_app.core.options.fake import FakeOptions
from serve_app.core.status import ModelStatus
from tests.images import chunks
from tests.notices import texts_of

SMALL = Size(width=64, height=48)
FAMILIES = [
    {
        "name": "images",
        "options": {"engine": "fake", "task": "images"},
        "models": [{"id": "squares"}, {"id": "other"}],
    },
    {
        "name": "large",
        "options": {"engine": "fake", "task": "upscaling"},
        "models": [{"id": "repeater"}],
    },
]


class Studio:
    """A fake engine for images and one that enlarges, behind a catalog."""

    def __init__(self, folder: Path) -> None:
        self.blobs = FsspecBlobStore(folder)
        options = FakeOptions(task="images", loras={"ink": "/ink"}, vaes={"soft": "/soft"})
        engine = FakeImages(options, Model(id="squares"), blobs=self.blobs)
        large = FakeUpscaling(FakeOptions(task="upscaling"), Model(id="repeater"), blobs=self.blobs)
        runners = {"images": runner_of(engine), "large": runner_of(large)}
        config = AppConfig.model_validate({"families": FAMILIES})
        self.known: dict[str, ModelStatus] = {}
        self.catalog = Catalog(config, runners, statuses=self._statuses)

    async def _statuses(self) -> dict[str, ModelStatus]:
        return self.known

    async def events(self, **fields: Any) -> list[Any]:
        return [event async for event in self.catalog.run(request(**fields))]

    async def result(self, **fields: Any) -> Images:
        result = (await self.events(**fields))[-1]
        assert isinstance(result, Images)
        return result

    async def image(self, index: int = 0, **fields: Any) -> Stills.Image:
        made = await self.result(**fields)
        return await self.opened(made.images[index].image)

    async def opened(self, blob: Blob) -> Stills.Image:
        data = b"".join([chunk async for chunk in self.blobs.read(blob)])
        return Stills.open(io.BytesIO(data))

    async def stored(self, image: Stills.Image) -> Blob:
        target = io.BytesIO()
        image.save(target, "PNG")
        return await self.blobs.write(chunks(target.getvalue()), mime="image/png")


@pytest.fixture
def studio(tmp_path: Path) -> Studio:
    return Studio(tmp_path)


def request(**fields: Any) -> Any:
    kind = Inpaint if "mask" in fields else ImageToImage if "image" in fields else TextToImage
    values = {"model": "squares", "prompt": "a (red) boat", "seed": 5, "size": SMALL}
    return kind.model_validate(values | fields)


def difference(one: Stills.Image, other: Stills.Image) -> Any:
    return ImageChops.difference(one.convert("RGB"), other.convert("RGB"))


def is_same(one: Stills.Image, other: Stills.Image) -> bool:
    return difference(one, other).getbbox() is None


@pytest.mark.parametrize(
    "fields",
    [
        {"sampling": {"sampler": "euler"}},
        {"sampling": {"schedule": "karras"}},
        {"clip_skip": 2},
        {"weighs_words": True},
        {"is_tileable": True},
        {"loras": [{"registered": "ink", "weight": 0.5}]},
        {"vae_model": "soft"},
        {"variation": {"seed": 9, "strength": 0.5}},
        {"variation": {"seed": 9, "from_size": {"width": 32, "height": 32}}},
    ],
)
async def test_every_detail_changes_the_image(studio: Studio, fields: dict[str, Any]) -> None:
    assert not is_same(await studio.image(**fields), await studio.image())


async def test_a_variation_goes_from_one_seed_to_the_other(studio: Studio) -> None:
    ends = [await studio.image(variation={"seed": 9, "strength": s}) for s in (0, 1)]
    assert is_same(ends[0], await studio.image())
    assert is_same(ends[1], await studio.image(seed=9))
    second = await studio.result(count=2, variation={"seed": 9, "strength": 1})
    assert [image.variation_seed for image in second.images] == [9, 10]
    assert is_same(await studio.opened(second.images[1].image), await studio.image(seed=10))


async def test_a_weight_of_one_is_none(studio: Studio) -> None:
    weighed = await studio.image(prompt="a (red:1.0) boat", weighs_words=True)
    assert is_same(weighed, await studio.image(prompt="a red boat"))


async def test_a_sampler_that_it_has_not_is_said(studio: Studio) -> None:
    made = await studio.result(sampling={"sampler": "lms", "schedule": "beta"})
    assert texts_of(made.warnings) == (
        "sampling.sampler: 'lms' is not for this model; 'euler_a' was used",
        "sampling.schedule: 'beta' is not for this model; its own was used",
    )


async def test_an_unknown_lora_is_refused(studio: Studio) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await studio.result(loras=[{"registered": "oil"}])
    assert raised.value.param == "loras"


async def test_texts_of_the_caller_stand_in_the_files(studio: Studio) -> None:
    made = await studio.result(count=2, embedded_texts=("one", "two"))
    texts = [(await studio.opened(image.image)).info["parameters"] for image in made.images]
    assert texts == ["one", "two"]


async def test_batches_come_one_by_one_with_a_preview_each(studio: Studio) -> None:
    events = await studio.events(
        count=3, batch_size=2, can_end_early=True, preview_every_s=0, leaves_out=(0,)
    )
    made = [event for event in events if isinstance(event, Images)]
    assert [[image.seed for image in part.images] for part in made] == [[6], [6, 7]]
    steps = [event for event in events if isinstance(event, Progress)]
    assert (steps[0].current, steps[-1].current, steps[-1].total) == (5, 12, 12)
    previews = [step.preview for step in steps if isinstance(step, PreviewedProgress)]
    assert [preview.mime for preview in previews] == ["image/jpeg"] * 2
    assert (await studio.opened(previews[0])).size == (64, 48)


async def test_only_the_masked_part_is_changed(studio: Studio) -> None:
    source = Stills.new("RGB", (96, 64), (10, 200, 30))
    mask = Stills.new("L", source.size)
    ImageDraw.Draw(mask).rectangle((40, 20, 59, 39), fill=255)
    fields = {
        "image": await studio.stored(source),
        "mask": await studio.stored(mask),
        "size": SMALL,
        "region_padding": 4,
        "strength": 1.0,
        "mask_reading": "brightness",
    }
    made = await studio.image(**fields)
    assert made.size == source.size
    assert difference(made, source).getbbox() == (40, 20, 60, 40)
    inverted = await studio.image(**fields, inverts_mask=True)
    assert is_same(inverted.crop((40, 20, 60, 40)), source.crop((40, 20, 60, 40)))
    assert not is_same(inverted, source)
    soft = await studio.image(**fields, mask_blur=(3, 3))
    left, top, right, bottom = difference(soft, source).getbbox()
    assert left < 40 < 60 < right
    assert top < 20 < 40 < bottom


@pytest.mark.parametrize("fill", ["surroundings", "noise", "nothing"])
async def test_a_masked_part_is_filled(studio: Studio, fill: str) -> None:
    source = Stills.new("RGB", (64, 48), (10, 200, 30))
    ImageDraw.Draw(source).rectangle((20, 20, 39, 39), fill=(250, 0, 0))
    mask = Stills.new("L", source.size)
    ImageDraw.Draw(mask).rectangle((20, 20, 39, 39), fill=255)
    images = {"image": await studio.stored(source), "mask": await studio.stored(mask)}
    made = await studio.image(**images, strength=0, mask_fill=fill)
    own = await studio.image(**images, strength=0)
    assert is_same(own, source)
    changed = difference(made, source).getbbox()
    assert changed == (20, 20, 40, 40)
    middle = made.getpixel((30, 30))
    if fill == "surroundings":
        assert middle == pytest.approx((10, 200, 30), abs=12)
    if fill == "nothing":
        assert middle == (127, 127, 127)


@pytest.mark.parametrize("how", ["crop", "stretch", "nearest", "fill", "latent"])
async def test_ways_to_a_size(studio: Studio, how: str) -> None:
    source = Stills.new("RGB", (64, 32), (0, 0, 255))
    ImageDraw.Draw(source).rectangle((0, 0, 7, 31), fill=(255, 0, 0))
    size = {"width": 64, "height": 64}
    blob = await studio.stored(source)
    made = await studio.image(image=blob, size=size, strength=0, resize=how)
    assert made.size == (64, 64)
    edge, is_red = made.getpixel((1, 32)), how != "crop"
    assert edge == pytest.approx((255, 0, 0) if is_red else (0, 0, 255), abs=8)
    assert made.getpixel((60, 1)) == pytest.approx((0, 0, 255), abs=8)


@pytest.mark.parametrize("upscaler", ["latent", "lanczos", "nearest", "repeater"])
async def test_a_second_pass(studio: Studio, upscaler: str) -> None:
    hires = HiresPass(upscaler=upscaler, strength=0.25, steps=2, scale=1.5)
    events = await studio.events(hires=hires, count=2, steps=4, can_end_early=True)
    parts = [event for event in events if isinstance(event, Images)]
    assert [[image.seed for image in part.images] for part in parts] == [[5], [5, 6]]
    assert [image.size for image in parts[-1].images] == [Size(width=96, height=72)] * 2
    counts = [event.current for event in events if isinstance(event, Progress)]
    assert counts == sorted(counts)
    assert (counts[-1], events[0].total) == (16, 16)
    first = await studio.image(steps=4)
    second = await studio.image(steps=2, size={"width": 96, "height": 72})
    large = first.convert("RGB").resize((96, 72), Stills.Resampling.LANCZOS)
    wanted = Stills.blend(large, second.convert("RGB"), 0.25)
    made = await studio.opened(parts[-1].images[0].image)
    assert made.getpixel((6, 6)) == pytest.approx(wanted.getpixel((6, 6)), abs=3)


async def test_a_second_pass_with_its_own_prompt(studio: Studio) -> None:
    one = await studio.image(hires=HiresPass(strength=1.0))
    other = await studio.image(hires=HiresPass(strength=1.0, prompt="a house"))
    alone = await studio.image(prompt="a house", size={"width": 128, "height": 96})
    assert not is_same(one, other)
    assert is_same(other, alone)


@pytest.mark.parametrize("loras", [(), ({"registered": "ink", "weight": 0.5},)])
async def test_a_second_pass_with_its_own_loras(studio: Studio, loras: Any) -> None:
    hires = HiresPass.model_validate({"strength": 1.0, "loras": loras})
    first = [{"registered": "ink", "weight": 2.0}]
    made = await studio.image(loras=first, hires=hires)
    alone = await studio.image(loras=loras, size={"width": 128, "height": 96})
    assert is_same(made, alone)


async def test_a_second_pass_counts_the_steps_of_the_first(studio: Studio) -> None:
    fields = {"prompt": "a [red:green:6] boat", "weighs_words": True, "steps": 4}
    made = await studio.image(hires=HiresPass(strength=1.0), **fields)
    size = {"width": 128, "height": 96}
    alone = await studio.image(**fields, size=size, steps_before=4)
    assert is_same(made, alone)
    assert not is_same(made, await studio.image(**fields, size=size))


async def test_what_was_sampled_with_is_told(studio: Studio) -> None:
    """Of two passes the first one's."""
    asked = {"sampler": "lms", "schedule": "karras"}
    names = {"samplers": {"euler_a": "Euler a"}, "schedules": {"karras": "Karras"}}
    fields = {
        "sampling": asked,
        "embedded_texts": [f"{SAMPLER_SLOT}, {SAMPLER_SLOT}: {SCHEDULE_SLOT}"],
        "sampling_names": names | {"automatic": "Automatic"},
    }
    text = f"{SAMPLER_SLOT}, Euler a: Karras"
    hires = HiresPass.model_validate({"sampling": {"sampler": "ddim"}})
    for given in (fields, fields | {"hires": hires}):
        made = await studio.result(**given)
        assert made.sampling is not None
        assert (made.sampling.sampler, made.sampling.schedule) == ("euler_a", "karras")
        second = made.second_sampling and made.second_sampling.sampler
        assert second == ("ddim" if "hires" in given else None)
        assert (await studio.opened(made.images[0].image)).info["parameters"] == text


@pytest.mark.parametrize("field", ["model", "upscaler"])
async def test_what_a_second_pass_names_is_looked_up_before_the_first(
    studio: Studio, field: str
) -> None:
    with pytest.raises(ModelNotFound):
        studio.catalog.run(request(hires=HiresPass.model_validate({field: "nothing"})))


async def test_what_a_model_can_run_is_known_once_it_was_loaded(studio: Studio) -> None:
    found = studio.catalog.find("images", "squares")
    assert await image_facts(studio.catalog, found) == EVERY
    facts = ImageFacts(samplers=("ddim",))
    studio.known["squares"] = ModelStatus(id="squares", state="ready", image_facts=facts)
    assert await image_facts(studio.catalog, found) == facts
    # Nobody is asked again.
    del studio.known["squares"]
    assert await image_facts(studio.catalog, found) == facts


@pytest.mark.parametrize(
    ("scheduler", "facts"),
    [("FlowMatchEulerDiscreteScheduler", FLOW), ("PNDMScheduler", EVERY), (None, EVERY)],
)
async def test_what_a_checkpoint_tells_before_it_is_loaded(
    tmp_path: Path, studio: Studio, scheduler: str | None, facts: ImageFacts
) -> None:
    folder = tmp_path / "checkpoint" / "scheduler"
    folder.mkdir(parents=True)
    if scheduler is not None:
        (folder / "scheduler_config.json").write_text(json.dumps({"_class_name": scheduler}))
    family = {
        "name": "images",
        "options": {"engine": "diffusers"},
        "models": [{"id": "flux", "source": str(folder.parent)}],
    }
    config = AppConfig.model_validate({"families": [family], "storage": {"data_dir": tmp_path}})
    runners = {"images": runner_of(None)}
    catalog = Catalog(config, runners, statuses=studio.catalog.statuses)
    assert await image_facts(catalog, catalog.find("images", "flux")) == facts
