"""Translation with the real Marian, M2M100 and NLLB classes: known answers, languages, batches."""

import asyncio
import shutil
from pathlib import Path
from typing import Any, cast

import pytest
import torch
from transformers import M2M100ForConditionalGeneration, M2M100Tokenizer

from deployments.text.transformers_translation import TransformersTranslation
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.options.text import TransformersOptions
from serve_app.core.text.translation import Translate, Translation
from tests.engine.tiny_encoders import Files, save_encoder
from tests.engine.tiny_translation import PAIRS, m2m100, marian, nllb, trained_marian

ENGLISH, GERMAN = tuple(PAIRS), tuple(PAIRS.values())


def engine_of(
    path: Path, *, languages: tuple[str, ...] = (), **options: Any
) -> TransformersTranslation:
    return TransformersTranslation(
        TransformersOptions(task="translation", device="cpu", threads=1, **options),
        Model(id="tiny", languages=languages),
        path=path,
        blobs=cast("BlobStore", Files({})),
    )


def asked(texts: tuple[str, ...], target: str = "de", source: str | None = "en") -> Translate:
    return Translate(model="tiny", texts=texts, target_language=target, source_language=source)


async def told(
    engine: TransformersTranslation, request: Translate
) -> tuple[list[Progress], Translation]:
    *progress, last = [event async for event in engine.translate(request)]
    assert isinstance(last, Translation)
    return [event for event in progress if isinstance(event, Progress)], last


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("translation")


@pytest.fixture(scope="module")
def learnt(folder: Path) -> Path:
    trained_marian(folder / "learnt")
    return folder / "learnt"


@pytest.fixture(scope="module")
def engine(learnt: Path) -> TransformersTranslation:
    return engine_of(learnt)


@pytest.fixture(scope="module")
def marked(folder: Path) -> Path:
    marian(folder / "marked", languages=("eng", "roa"), marks=(">>fr<<", ">>pt_br<<", ">>pt<<"))
    return folder / "marked"


@pytest.fixture(scope="module")
def hundred(folder: Path) -> Path:
    m2m100(folder / "hundred")
    return folder / "hundred"


@pytest.fixture(scope="module")
def four(folder: Path) -> Path:
    nllb(folder / "four")
    return folder / "four"


async def test_what_was_learnt_is_said_in_the_order_asked(engine: TransformersTranslation) -> None:
    progress, result = await told(engine, asked(ENGLISH))
    assert result == Translation(texts=GERMAN)
    assert progress[-1] == Progress(phase="translate", current=10, total=10)
    _, backwards = await told(engine, asked(ENGLISH[::-1]))
    assert backwards.texts == GERMAN[::-1]


@pytest.mark.parametrize(
    ("options", "count"),
    [({"max_batch_tokens": 16}, 10), ({"max_batch_tokens": 50}, 4), ({"beams": 1}, 1)],
)
async def test_batches_change_nothing(learnt: Path, options: dict[str, Any], count: int) -> None:
    engine = engine_of(learnt, **options)
    progress, result = await told(engine, asked(ENGLISH))
    assert result.texts == GERMAN
    assert len(progress) == count
    alone = [(await told(engine, asked((text,))))[1].texts for text in ENGLISH]
    assert tuple(text for (text,) in alone) == GERMAN
    await engine.close()
    await engine.close()


async def test_texts_without_words_stay_empty(engine: TransformersTranslation) -> None:
    texts = ("", ENGLISH[0], " \n\t", ENGLISH[4])
    _, result = await told(engine, asked(texts))
    assert result == Translation(texts=("", GERMAN[0], "", GERMAN[4]))
    assert (await told(engine, asked(("", " "))))[1].texts == ("", "")


async def test_a_long_text_is_translated_by_the_sentence(engine: TransformersTranslation) -> None:
    order = [2, 5, 8, 3, 7, 2, 8, 3, 5, 7, 2, 3]
    text = "  ".join(ENGLISH[at] for at in order) + "\n"
    _, result = await told(engine, asked((text, ENGLISH[0])))
    assert result.texts == (" ".join(GERMAN[at] for at in order), GERMAN[0])


async def test_two_thousand_texts(engine: TransformersTranslation) -> None:
    texts = tuple(ENGLISH[at * 7 % 10] for at in range(2000))
    progress, result = await told(engine, asked(texts))
    assert result.texts == tuple(GERMAN[at * 7 % 10] for at in range(2000))
    counts = [event.current for event in progress]
    assert counts == sorted(counts)
    assert counts[-1] == 2000
    assert max(b - a for a, b in zip([0, *counts], counts, strict=False)) <= 64


async def test_requests_at_the_same_time_keep_apart(hundred: Path) -> None:
    engine = engine_of(hundred, max_batch_tokens=64)
    requests = [asked(ENGLISH[:2], target) for target in ("de", "fr", "zu")]
    alone = [(await told(engine, request))[1] for request in requests]
    together = await asyncio.gather(*(told(engine, request) for request in requests))
    assert [result for _, result in together] == alone
    assert len({result.texts for result in alone}) == 3


async def test_no_text_checks_the_languages_only(engine: TransformersTranslation) -> None:
    assert await told(engine, asked((), source=None)) == ([], Translation(texts=()))


async def test_the_same_language_is_no_work(engine: TransformersTranslation) -> None:
    progress, result = await told(engine, asked(("Hallo  Welt",), "fr", "fra"))
    assert (progress, result.texts) == ([], ("Hallo  Welt",))


@pytest.mark.parametrize(
    ("target", "source", "param", "message"),
    [
        (
            "fr",
            "en",
            "target_language",
            "model 'tiny' does not translate to 'fr'; it translates to: de",
        ),
        (
            "de",
            "fr",
            "source_language",
            "model 'tiny' does not translate from 'fr'; it translates from: en",
        ),
    ],
)
async def test_a_language_it_does_not_know(
    engine: TransformersTranslation, target: str, source: str, param: str, message: str
) -> None:
    for texts in (ENGLISH, ()):
        with pytest.raises(InvalidRequest) as caught:
            await told(engine, asked(texts, target, source))
        assert (caught.value.param, caught.value.message) == (param, message)


async def test_a_model_of_one_language_need_not_be_told(engine: TransformersTranslation) -> None:
    _, result = await told(engine, asked(ENGLISH, "de-AT", None))
    assert result.texts == GERMAN


def facts(path: Path, **options: Any) -> tuple[Any, Any]:
    known = engine_of(path, **options).translation_facts
    return known.sources, known.targets


def test_the_languages_come_from_the_checkpoint(
    learnt: Path, marked: Path, hundred: Path, four: Path
) -> None:
    assert facts(learnt) == (("en",), ("de",))
    assert facts(marked) == (("en",), ("fr", "pt-br", "pt"))
    assert facts(four) == (("de", "en", "zh-hans", "zh-hant"),) * 2
    sources, targets = facts(hundred)
    assert sources == targets
    assert len(targets) == 100
    assert {"en", "de", "zh", "xh"} <= {*targets}
    assert facts(hundred, languages=("de", "zu"))[1] == ("de", "zu")


async def test_the_target_is_marked_in_the_text(marked: Path) -> None:
    engine = engine_of(marked)
    said = {
        target: (await told(engine, asked(ENGLISH[:2], target)))[1].texts for target in ("fr", "pt")
    }
    said["pt-BR"] = (await told(engine, asked(ENGLISH[:2], "pt-BR")))[1].texts
    said["pt-PT"] = (await told(engine, asked(ENGLISH[:2], "pt-PT")))[1].texts
    assert said["pt-PT"] == said["pt"]
    checkpoint = engine._checkpoint
    for target, mark in (("fr", ">>fr<<"), ("pt-BR", ">>pt_br<<"), ("pt-PT", ">>pt<<")):
        route = checkpoint.languages.route("en", target, needs_source=True)
        [[piece]] = checkpoint.pieces(ENGLISH[:1], route, lambda: False)
        tokens = checkpoint._tokenizer.convert_ids_to_tokens(piece.tokens)
        assert (tokens[0], tokens[-1]) == (mark, "</s>")
        assert sum(token.startswith(">>") for token in tokens) == 1


async def test_languages_are_named_to_the_model_as_it_was_trained(hundred: Path) -> None:
    engine = engine_of(hundred)
    _, result = await told(engine, asked(ENGLISH[:3], "zh-CN", "en"))
    tokenizer = M2M100Tokenizer.from_pretrained(hundred, src_lang="en")
    model = M2M100ForConditionalGeneration.from_pretrained(hundred)
    expected = []
    for text in ENGLISH[:3]:
        inputs = tokenizer(text, return_tensors="pt")
        assert tokenizer.convert_ids_to_tokens(inputs["input_ids"][0])[0] == "__en__"
        size = inputs["input_ids"].shape[1]
        with torch.no_grad():
            made = model.generate(
                **inputs,
                forced_bos_token_id=tokenizer.get_lang_id("zh"),
                max_length=3 * size + 33,
            )
        # Not by the tokenizer, which leaves the language in.
        ids = [
            i
            for i in made[0].tolist()
            if i not in (*tokenizer.all_special_ids, tokenizer.get_lang_id("zh"))
        ]
        expected.append(tokenizer.decode([i for i in ids if i not in tokenizer.id_to_lang_token]))
    alone = [(await told(engine, asked((text,), "zh-CN")))[1].texts[0] for text in ENGLISH[:3]]
    assert alone == expected
    assert len(result.texts) == 3


@pytest.mark.parametrize(
    ("target", "code"),
    [
        ("zh", "zho_Hans"),
        ("zh-TW", "zho_Hant"),
        ("zh-Hant", "zho_Hant"),
        ("zh-CN", "zho_Hans"),
        ("de-CH", "deu_Latn"),
    ],
)
async def test_a_locale_is_written_in_its_script(four: Path, target: str, code: str) -> None:
    engine = engine_of(four)
    assert engine._checkpoint.languages.route("en", target, needs_source=True).target == code
    _, result = await told(engine, asked(ENGLISH[:1], target))
    assert result.texts[0]
    assert "_" not in result.texts[0]


@pytest.mark.parametrize("name", ["hundred", "four"])
async def test_a_model_of_many_must_be_told(name: str, request: pytest.FixtureRequest) -> None:
    engine = engine_of(request.getfixturevalue(name))
    with pytest.raises(InvalidRequest, match="needs the source language") as caught:
        await told(engine, asked(ENGLISH, "de", None))
    assert caught.value.param == "source_language"
    assert (await told(engine, asked((), "de", None)))[1].texts == ()


async def test_what_does_not_end_is_told(marked: Path) -> None:
    """Random weights never come to an end."""
    _, result = await told(engine_of(marked, beams=1), asked(("", *ENGLISH[:2]), "fr"))
    assert set(result.cut) | set(result.kept) == {1, 2}


async def test_text_without_any_place_to_cut(marked: Path) -> None:
    _, result = await told(engine_of(marked, context_length=32), asked(("x" * 3000,), "fr"))
    assert len(result.texts) == 1


async def test_a_caller_who_leaves_stops_the_work(learnt: Path) -> None:
    engine = engine_of(learnt, max_batch_tokens=16)
    events = engine.translate(asked(ENGLISH * 200))
    first = await anext(events)
    assert isinstance(first, Progress)
    await events.aclose()
    batches: list[int] = []

    def count(*_: Any) -> None:
        batches.append(1)

    engine._checkpoint._network.register_forward_hook(count)
    _, result = await told(engine, asked(ENGLISH[:1]))
    assert result.texts == GERMAN[:1]
    begun = len(batches)
    await asyncio.sleep(0.1)
    assert len(batches) == begun
    task = asyncio.ensure_future(told(engine, asked(ENGLISH * 200)))
    while len(batches) == begun:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    ended = len(batches)
    await asyncio.sleep(0.1)
    assert len(batches) == ended


async def test_an_unloaded_model_says_so(learnt: Path) -> None:
    engine = engine_of(learnt)
    await engine.start()
    await engine.close()
    with pytest.raises(BackendUnavailable, match="unloaded"):
        await told(engine, asked(ENGLISH))


def test_a_checkpoint_that_does_not_say_its_languages(folder: Path) -> None:
    path = folder / "mute"
    marian(path, languages=(None, None))
    with pytest.raises(BackendUnavailable, match="set its languages, such as"):
        engine_of(path)
    assert facts(path, languages=("de",)) == (None, ("de",))


def test_a_checkpoint_of_another_kind(folder: Path, learnt: Path) -> None:
    save_encoder(folder / "encoder")
    with pytest.raises(BackendUnavailable, match="'tiny' cannot be loaded"):
        engine_of(folder / "encoder")
    broken = folder / "broken"
    shutil.copytree(learnt, broken)
    (broken / "source.spm").unlink()
    with pytest.raises(BackendUnavailable) as caught:
        engine_of(broken)
    assert "files of its tokenizer are missing" in caught.value.message
    assert str(folder) not in caught.value.message
