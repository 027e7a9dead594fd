import asyncio
import gc
import json
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, CLIPModel, T5Config, T5EncoderModel

from deployments.text.transformers_embeddings import TransformersEmbeddings
from serve_app.core.config import Model
from serve_app.core.errors import (
    BackendUnavailable,
    ContextLengthExceeded,
    InvalidRequest,
    PayloadTooLarge,
    UnsupportedCapability,
)
from serve_app.core.media import Blob, BlobStore
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.embeddings import Embed, Embeddings
from tests.engine.tiny_encoders import (
    POSITIONS,
    WIDTH,
    WORDS,
    Files,
    save_clip,
    save_encoder,
    word_tokenizer,
)
from tests.images import huge_png

MODEL = Model(id="tiny")
TEXTS = (
    "the red cat sits on the house.",
    "a dog runs",
    "blue",
    "the big green dog and the small cat is under the house and runs on the house.",
)
IMAGE = Blob(sha256="a" * 64, mime="image/png", size=1)
BROKEN = Blob(sha256="b" * 64, mime="image/png", size=1)


def engine_of(path: Path | None, files: dict[str, Path] | None = None, **options: Any) -> Any:
    return TransformersEmbeddings(
        TransformersOptions(task="embeddings", device="cpu", **options),
        MODEL,
        path=path,
        blobs=cast("BlobStore", Files(files or {})),
    )


def numbers(result: Embeddings) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.stack([np.frombuffer(vector, "<f4") for vector in result.vectors])


def direct(path: Path, text: str, pool: str = "mean") -> Any:
    """The vector computed alone, without padding or mask."""
    inputs = AutoTokenizer.from_pretrained(path)(text, return_tensors="pt")
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(path)(**inputs).last_hidden_state[0]
    vector = {"mean": hidden.mean(dim=0), "cls": hidden[0], "lasttoken": hidden[-1]}[pool]
    return (vector / vector.norm()).numpy()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_encoder(tmp_path_factory.mktemp("encoder"))


@pytest.fixture
async def engine(checkpoint: Path) -> AsyncIterator[TransformersEmbeddings]:
    engine = engine_of(checkpoint)
    await engine.start()
    yield engine
    await engine.close()
    await engine.close()


async def test_vectors_are_the_mean_of_the_tokens(
    engine: TransformersEmbeddings, checkpoint: Path
) -> None:
    result = await engine.embed(Embed(model="tiny", texts=TEXTS))
    assert result.dimensions == WIDTH
    assert engine.context_length == POSITIONS
    for vector, text in zip(numbers(result), TEXTS, strict=True):
        np.testing.assert_allclose(vector, direct(checkpoint, text), atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(numbers(result), axis=1), 1, atol=1e-6)


async def test_usage_counts_every_token(engine: TransformersEmbeddings, checkpoint: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    result = await engine.embed(Embed(model="tiny", texts=TEXTS))
    assert result.prompt_tokens == sum(len(tokenizer(text)["input_ids"]) for text in TEXTS)


async def test_batched_is_single(engine: TransformersEmbeddings) -> None:
    together = numbers(await engine.embed(Embed(model="tiny", texts=TEXTS)))
    requests = [Embed(model="tiny", texts=(text,)) for text in TEXTS]
    alone = [numbers(await engine.embed(request)) for request in requests]
    concurrent = [numbers(r) for r in await asyncio.gather(*map(engine.embed, requests))]
    np.testing.assert_allclose(np.concatenate(alone), together, atol=1e-5)
    np.testing.assert_allclose(np.concatenate(concurrent), together, atol=1e-5)


async def test_more_inputs_than_a_batch_keep_their_order(checkpoint: Path) -> None:
    engine = engine_of(checkpoint, max_batch_tokens=40)
    texts = TEXTS * 50
    result = numbers(await engine.embed(Embed(model="tiny", texts=texts)))
    np.testing.assert_allclose(result, np.tile(result[: len(TEXTS)], (50, 1)), atol=1e-5)
    await engine.close()


async def test_token_ids_are_taken_as_they_are(
    engine: TransformersEmbeddings, checkpoint: Path
) -> None:
    ids = tuple(AutoTokenizer.from_pretrained(checkpoint)(TEXTS[0])["input_ids"])
    result = await engine.embed(Embed(model="tiny", texts=(ids, TEXTS[0])))
    np.testing.assert_array_equal(numbers(result)[0], numbers(result)[1])
    assert result.prompt_tokens == 2 * len(ids)


@pytest.mark.parametrize("ids", [(5, 21), (-1,), ()])
async def test_token_ids_outside_the_vocabulary(
    engine: TransformersEmbeddings, ids: tuple[int, ...]
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await engine.embed(Embed(model="tiny", texts=("red", ids)))
    assert caught.value.param == "texts[1]"


async def test_dimensions_truncate_and_renormalise(engine: TransformersEmbeddings) -> None:
    whole = numbers(await engine.embed(Embed(model="tiny", texts=TEXTS)))
    result = await engine.embed(Embed(model="tiny", texts=TEXTS, dimensions=5))
    head = whole[:, :5] / np.linalg.norm(whole[:, :5], axis=1, keepdims=True)
    assert result.dimensions == 5
    np.testing.assert_allclose(numbers(result), head, atol=1e-5)


async def test_more_dimensions_than_there_are(engine: TransformersEmbeddings) -> None:
    with pytest.raises(InvalidRequest, match="25 dimensions are more than the 24") as caught:
        await engine.embed(Embed(model="tiny", texts=("red",), dimensions=25))
    assert caught.value.param == "dimensions"


async def test_too_long(engine: TransformersEmbeddings) -> None:
    with pytest.raises(ContextLengthExceeded, match="has 52 tokens; the model reads 32") as caught:
        await engine.embed(Embed(model="tiny", texts=("red", "red " * 50)))
    assert caught.value.param == "texts[1]"


async def test_images_for_a_text_model(engine: TransformersEmbeddings) -> None:
    with pytest.raises(UnsupportedCapability) as caught:
        await engine.embed(Embed(model="tiny", images=(IMAGE,)))
    assert caught.value.param == "images"


@pytest.mark.parametrize(
    ("config", "pool"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, "lasttoken"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
    ],
)
async def test_the_checkpoint_says_how_to_pool(
    tmp_path: Path, config: dict[str, Any], pool: str
) -> None:
    path = save_encoder(tmp_path, pooling=config)
    engine = engine_of(path)
    result = numbers(await engine.embed(Embed(model="tiny", texts=TEXTS)))
    for vector, text in zip(result, TEXTS, strict=True):
        np.testing.assert_allclose(vector, direct(path, text, pool), atol=1e-5)
    await engine.close()


async def test_a_dense_module_projects(tmp_path: Path) -> None:
    path = save_encoder(tmp_path)
    weight = torch.randn(7, WIDTH, generator=torch.Generator().manual_seed(3))
    (path / "2_Dense").mkdir()
    save_file({"linear.weight": weight}, path / "2_Dense" / "model.safetensors")
    activation = {"activation_function": "torch.nn.modules.activation.Tanh"}
    (path / "2_Dense" / "config.json").write_text(json.dumps(activation))
    dense = {"path": "2_Dense", "type": "sentence_transformers.models.Dense"}
    (path / "modules.json").write_text(json.dumps([dense]))
    inputs = AutoTokenizer.from_pretrained(path)("red", return_tensors="pt")
    with torch.no_grad():
        hidden = AutoModel.from_pretrained(path)(**inputs).last_hidden_state[0]
    expected = torch.tanh(weight @ hidden.mean(dim=0))
    engine = engine_of(path)
    result = await engine.embed(Embed(model="tiny", texts=("red",)))
    np.testing.assert_allclose(numbers(result)[0], expected / expected.norm(), atol=1e-5)
    await engine.close()


def test_pooling_that_is_not_known(tmp_path: Path) -> None:
    path = save_encoder(tmp_path, pooling={"pooling_mode_max_tokens": True})
    with pytest.raises(BackendUnavailable, match="'max' is not supported"):
        engine_of(path)


async def test_a_dual_encoder_embeds_texts_then_images(tmp_path: Path) -> None:
    path = save_clip(tmp_path / "clip")
    still = Image.effect_mandelbrot((40, 16), (-2, -1, 1, 1), 20).convert("RGB")
    still.save(tmp_path / "picture.png")
    engine = engine_of(path, {IMAGE.sha256: tmp_path / "picture.png"})
    result = await engine.embed(Embed(model="tiny", texts=("a red cat",), images=(IMAGE,)))
    model = CLIPModel.from_pretrained(path).eval()
    inputs = AutoTokenizer.from_pretrained(path)("a red cat", return_tensors="pt")
    # 0.48…, 0.27… are CLIP's own mean and deviation of colours.
    square = np.asarray(still.crop((12, 0, 28, 16)), "f4") / 255
    pixels = (square - (0.48145466, 0.4578275, 0.40821073)) / (0.26862954, 0.26130258, 0.27577711)
    with torch.no_grad():
        text = model.get_text_features(inputs["input_ids"], inputs["attention_mask"]).pooler_output
        image = model.get_image_features(
            torch.tensor(pixels, dtype=torch.float32).permute(2, 0, 1)[None]
        ).pooler_output
    for vector, expected in zip(numbers(result), (text[0], image[0]), strict=True):
        np.testing.assert_allclose(vector, expected / expected.norm(), atol=1e-5)
    await engine.close()


async def test_an_image_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no image")
    engine = engine_of(save_clip(tmp_path / "clip"), {BROKEN.sha256: tmp_path / "broken.png"})
    with pytest.raises(InvalidRequest, match="cannot be decoded") as caught:
        await engine.embed(Embed(model="tiny", images=(BROKEN,)))
    assert caught.value.param == "images[0]"
    await engine.close()


async def test_an_image_of_too_many_pixels(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(huge_png())
    engine = engine_of(save_clip(tmp_path / "clip"), {BROKEN.sha256: tmp_path / "huge.png"})
    with pytest.raises(PayloadTooLarge, match="64000000 pixels") as caught:
        await engine.embed(Embed(model="tiny", images=(BROKEN,)))
    assert caught.value.param == "images[0]"
    await engine.close()


async def test_a_cancelled_request_leaves_the_engine_working(
    engine: TransformersEmbeddings,
) -> None:
    bulk = asyncio.create_task(engine.embed(Embed(model="tiny", texts=TEXTS * 500)))
    await asyncio.sleep(0)
    bulk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bulk
    assert len((await engine.embed(Embed(model="tiny", texts=("red",)))).vectors) == 1


def test_a_directory_that_is_no_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="model 'tiny' cannot be loaded") as caught:
        engine_of(tmp_path)
    assert str(tmp_path) not in caught.value.message


def test_no_source() -> None:
    with pytest.raises(BackendUnavailable, match="has no source"):
        engine_of(None)


def test_a_checkpoint_whose_weights_are_elsewhere(tmp_path: Path) -> None:
    path = save_encoder(tmp_path)
    weights = load_file(path / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "layer.1" not in name}
    save_file(kept, path / "model.safetensors", {"format": "pt"})
    with pytest.raises(BackendUnavailable, match=r"has no weights for 'encoder\.layer\.1\."):
        engine_of(path)


async def test_an_encoder_decoder_embeds_by_its_encoder(tmp_path: Path) -> None:
    size = {"d_model": 24, "d_kv": 8, "num_heads": 3, "num_layers": 1, "d_ff": 32}
    T5EncoderModel(T5Config(vocab_size=len(WORDS), **size)).save_pretrained(tmp_path)
    tokenizer = word_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    inputs = tokenizer("red cat", return_tensors="pt")
    with torch.no_grad():
        model = T5EncoderModel.from_pretrained(tmp_path)
        vector = model(inputs["input_ids"]).last_hidden_state[0].mean(dim=0)
    engine = engine_of(tmp_path)
    result = await engine.embed(Embed(model="tiny", texts=("red cat",)))
    np.testing.assert_allclose(numbers(result)[0], vector / vector.norm(), atol=1e-5)
    await engine.close()


class Counting(Files):
    """Notes how many images are in memory whenever another one is opened."""

    most = 0

    def local_file(self, blob: Blob) -> Any:
        kinds = Counter(map(type, gc.get_objects()))
        held = sum(count for kind, count in kinds.items() if issubclass(kind, Image.Image))
        self.most = max(self.most, held)
        return super().local_file(blob)


async def test_many_images_are_not_held_at_once(tmp_path: Path) -> None:
    Image.new("RGB", (40, 16), "red").save(tmp_path / "picture.png")
    files = Counting({IMAGE.sha256: tmp_path / "picture.png"})
    engine = TransformersEmbeddings(
        TransformersOptions(task="embeddings", device="cpu"),
        MODEL,
        path=save_clip(tmp_path / "clip"),
        blobs=cast("BlobStore", files),
    )
    result = await engine.embed(Embed(model="tiny", images=(IMAGE,) * 100))
    assert len(set(result.vectors)) == 1
    assert len(result.vectors) == 100
    assert files.most < 50
    await engine.close()
