"""Words learned by textual inversion: vectors that are another word's make its images."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from safetensors.torch import save_file

from deployments.image.diffusers_images import DiffusersImages
from deployments.image.learned_words import LearnedWords
from deployments.image.weighted_embeddings import chunks_of
from deployments.media.weighted_prompts import weighted_texts
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.errors import BackendUnavailable
from tests.engine.image_requests import distance, engine_of, generated, generation, image, opened
from tests.engine.tiny_diffusion import (
    WORDS,
    save_flux,
    save_stable_diffusion,
    save_stable_diffusion_xl,
)

KINDS = {"plain": save_stable_diffusion, "large": save_stable_diffusion_xl}


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> FsspecBlobStore:
    return FsspecBlobStore(tmp_path_factory.mktemp("blobs"))


@pytest.fixture(scope="module", params=KINDS)
def checkpoint(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return KINDS[request.param](tmp_path_factory.mktemp(request.param))


def vectors(checkpoint: Path, *words: str) -> list[torch.Tensor]:
    """Those of words, one tensor for each encoder."""
    pipeline: Any = DiffusionPipeline.from_pretrained(checkpoint)
    encoders = [pipeline.text_encoder, getattr(pipeline, "text_encoder_2", None)]
    rows = [WORDS.index(word) for word in words]
    return [e.get_input_embeddings().weight.detach()[rows].clone() for e in encoders if e]


@pytest.fixture(scope="module")
def files(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """In each of the forms that are found."""
    folder = tmp_path_factory.mktemp("embeddings")
    one, two = vectors(checkpoint, "green"), vectors(checkpoint, "red", "green")
    if len(one) == 2:
        for name, parts in (("leaf", one), ("Two-Tone", two)):
            file = folder / f"{name}.safetensors"
            save_file({"clip_l": parts[0], "clip_g": parts[1]}, file)
        torch.save({"clip_l": one[0], "clip_g": one[1]}, folder / "old.pt")
    else:
        save_file({"emb_params": one[0]}, folder / "leaf.safetensors")
        save_file({"<two-tone>": two[0]}, folder / "Two-Tone.safetensors")
        content = {"string_to_param": {"*": torch.nn.Parameter(one[0])}, "name": "x", "step": 5}
        torch.save(content, folder / "old.pt")
    save_file({"emb_params": torch.ones(1, 99)}, folder / "misfit.safetensors")
    (folder / "broken.safetensors").write_text("no tensors")
    (folder / "broken.pt").write_bytes(b"\x80\x02no pickle")
    names = {file.stem: str(file) for file in folder.iterdir() if file.stem != "broken"}
    broken = {f"broken{file.suffix}": str(file) for file in folder.glob("broken*")}
    return names | broken | {"empty": str(tmp_path_factory.mktemp("empty"))}


@pytest.fixture(scope="module")
def engine(
    checkpoint: Path, blobs: FsspecBlobStore, files: dict[str, str]
) -> Iterator[DiffusersImages]:
    engine = engine_of(checkpoint, blobs, embeddings=files)
    yield engine
    asyncio.run(engine.close())


@pytest.mark.parametrize("weighs", [True, False])
@pytest.mark.parametrize(
    ("prompt", "same"),
    [
        ("a leaf boat", "a green boat"),
        ("a LEAF boat", "a green boat"),
        ("a two-tone boat", "a red green boat"),
        ("a old boat", "a green boat"),
        ("leaf", "green"),
        ("a leafy boat", "a unknown boat"),
    ],
)
async def test_a_word_is_what_it_has_learned(
    engine: DiffusersImages, blobs: FsspecBlobStore, prompt: str, same: str, weighs: bool
) -> None:
    fields = {"weighs_words": weighs, "guidance_scale": 5.0}
    made = await generated(engine, generation(prompt=prompt, **fields))
    assert made.warnings == ()
    expected = await image(engine, blobs, generation(prompt=same, **fields))
    assert distance(await opened(blobs, made), expected) <= 1


async def test_it_has_a_weight_and_is_avoided(
    engine: DiffusersImages, blobs: FsspecBlobStore
) -> None:
    images = [
        await image(
            engine,
            blobs,
            generation(
                prompt=f"a ({word}:1.4) boat",
                negative_prompt=f"[house:{word}:1]",
                weighs_words=True,
                guidance_scale=5.0,
            ),
        )
        for word in ("leaf", "green", "red")
    ]
    assert distance(images[0], images[1]) <= 1
    assert distance(images[0], images[2]) > 0


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("misfit", "another kind of model"),
        ("broken.safetensors", "cannot be read"),
        ("broken.pt", "cannot be read"),
        ("empty", "cannot be read"),
    ],
)
async def test_what_cannot_be_used_is_a_word_and_said(
    engine: DiffusersImages, blobs: FsspecBlobStore, name: str, reason: str
) -> None:
    made = await generated(engine, generation(prompt=f"a {name} boat"))
    assert len(made.warnings) == 1
    assert name in str(made.warnings[0])
    assert reason in str(made.warnings[0])
    again = await image(engine, blobs, generation(prompt="a leaf boat"))
    plain = await image(engine, blobs, generation(prompt="a green boat"))
    assert distance(again, plain) <= 1


@pytest.mark.parametrize("word", ["Style", "STYLE", "\u017ftyle", "s\u0307tyle", "\u0130nk"])
def test_letters_of_every_case(word: str) -> None:
    words = LearnedWords(object(), {"Style": "x", "ink": "x", "\u0130nk": "x"}, Path)
    found = words.named_in([f"a {word}, b"])
    assert found == {"s\u0307tyle": (), "\u0130nk": ("\u0130nk",)}.get(word, ("Style",))


def test_a_hub_that_was_away_is_asked_again(checkpoint: Path, files: dict[str, str]) -> None:
    asked = []

    def locate(source: str) -> Path:
        asked.append(source)
        if len(asked) == 1:
            raise BackendUnavailable("no hub")
        return Path(source)

    words = LearnedWords(DiffusionPipeline.from_pretrained(checkpoint), files, locate)
    names, said = words.loaded(["leaf"])
    assert (names, len(said)) == ((), 1)
    for _ in range(2):
        assert words.loaded(["leaf"]) == (("leaf",), ())
    assert len(asked) == 2


async def test_a_long_word_is_not_parted(checkpoint: Path, tmp_path: Path) -> None:
    pipeline: Any = DiffusionPipeline.from_pretrained(checkpoint)
    parts = vectors(checkpoint, *["red"] * 6)
    content = dict(zip(("clip_l", "clip_g"), parts, strict=False))
    save_file(content if len(parts) > 1 else {"x": parts[0]}, tmp_path / "long.safetensors")
    words = LearnedWords(pipeline, {"long": str(tmp_path)}, Path)
    assert words.loaded(["long"]) == (("long",), ())
    text = " ".join(["red"] * 12 + ["long", "boat"])
    chunks = chunks_of(
        weighted_texts(text), pipeline.tokenizer, lambda text: words.pieces(text, ["long"])
    )
    assert [len(chunk.tokens) for chunk in chunks] == [12, 7]
    assert chunks[1].tokens[:6] == [-1, -2, -3, -4, -5, -6]


async def test_a_transformer_has_no_use_for_them(tmp_path: Path, blobs: FsspecBlobStore) -> None:
    engine = engine_of(save_flux(tmp_path), blobs, embeddings={"leaf": "nowhere"})
    made = await generated(engine, generation(prompt="a leaf boat"))
    assert len(made.warnings) == 1
    await engine.close()
