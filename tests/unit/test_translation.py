"""Who translates, in which languages, and what the pipelines make of it."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deployments.fakes.engine import FakeChat
from deployments.fakes.translation import FakeTranslation
from deployments.text.transformers_translation import batches, joined
from deployments.text.translation_languages import CheckpointLanguages, CodedLanguages, tag_of
from pipelines.translation import check_languages, translate_segments
from serve_app.blobs.store import FsspecBlobStore
from serve_app.catalog.catalog import Catalog
from serve_app.catalog.chat_translator import AT_ONCE, ChatTranslator
from serve_app.catalog.engine_runner import EngineRunner
from serve_app.core.audio.transcription import TranscriptSegment
from serve_app.core.config import AppConfig
from serve_app.core.errors import BackendUnavailable, InvalidRequest, UnsupportedCapability
from serve_app.core.message import Message, Progress
from serve_app.core.operations import read_operation, read_result, to_json
from serve_app.core.status import ModelStatus
from serve_app.core.text.chat import Chat, ChatDelta, ChatEvent
from serve_app.core.text.translation import Translate, Translation, TranslationEvent
from tests.notices import texts_of
from tests.running import stages_over

CHAT = {
    "name": "chat",
    "options": {"engine": "fake", "task": "chat"},
    "models": [{"id": "echo"}],
}
TRANSLATION = {
    "name": "translation",
    "options": {"engine": "fake", "task": "translation"},
    "models": [{"id": "babel", "aliases": ["fish"], "languages": ["de", "fr"]}, {"id": "other"}],
}


class Polyglot:
    """A ChatModel that answers each text with itself in capitals, the longest first."""

    def __init__(self) -> None:
        self.asked: list[Chat] = []
        self.running = 0
        self.most = 0
        self.has_begun = asyncio.Event()

    async def chat(self, request: Chat) -> AsyncGenerator[ChatEvent]:
        text = request.messages[-1].text
        self.asked.append(request)
        self.running += 1
        self.most = max(self.most, self.running)
        self.has_begun.set()
        try:
            if text == "forever":
                await asyncio.Event().wait()
            for _ in range(20 - len(text)):
                await asyncio.sleep(0)
            yield ChatDelta(text=json.dumps({"translation": text.upper()}))
        finally:
            self.running -= 1

    def complete(self, request: Any) -> AsyncIterator[ChatEvent]:
        raise NotImplementedError


async def no_statuses() -> Mapping[str, ModelStatus]:
    return {}


def models(folder: Path, *families: dict[str, Any], **defaults: str) -> Catalog:
    config = AppConfig.model_validate({"families": families, "defaults": defaults})
    blobs = FsspecBlobStore(folder)
    kinds: dict[str, Any] = {"chat": FakeChat, "translation": FakeTranslation}
    runs = {
        family.name: EngineRunner(
            kinds[family.options.task](family.options, family.models[0], blobs=blobs)
        )
        for family in config.families
    }
    return Catalog(config, runs, statuses=no_statuses)


def segments(*texts: str) -> list[TranscriptSegment]:
    return [
        TranscriptSegment(id=at, start=at, end=at + 1, text=text) for at, text in enumerate(texts)
    ]


async def last(events: AsyncIterator[TranslationEvent] | AsyncIterator[Message]) -> Message:
    *_, result = [event async for event in events]
    return result


def asked(*texts: str, target: str = "de") -> Translate:
    return Translate(model="babel", texts=texts, target_language=target)


@pytest.mark.parametrize("name", [None, "", "auto", " Auto "])
def test_a_translation_model_goes_before_a_chat_model(tmp_path: Path, name: str | None) -> None:
    found = models(tmp_path, CHAT, TRANSLATION).find("translation", name)
    assert found.id == "babel"
    assert isinstance(found.runner, EngineRunner)
    configured = models(tmp_path, CHAT, TRANSLATION, translation="other").find("translation", name)
    assert configured.id == "other"


def test_without_one_a_chat_model_is_told_to(tmp_path: Path) -> None:
    found = models(tmp_path, CHAT).find("translation", None)
    assert found.id == "echo"
    assert isinstance(found.runner, ChatTranslator)


def test_the_model_that_is_named_translates(tmp_path: Path) -> None:
    catalog = models(tmp_path, CHAT, TRANSLATION)
    assert catalog.find("translation", "FISH").id == "babel"
    assert isinstance(catalog.find("translation", "echo").runner, ChatTranslator)


def test_nobody_translates(tmp_path: Path) -> None:
    with pytest.raises(BackendUnavailable, match="no text model is configured"):
        models(tmp_path).find("translation", None)
    speech = {**CHAT, "name": "voice", "options": {"engine": "fake", "task": "speech"}}
    config = AppConfig.model_validate({"families": [speech, TRANSLATION]})
    catalog = Catalog(
        config, {f.name: EngineRunner(object()) for f in config.families}, statuses=no_statuses
    )
    with pytest.raises(UnsupportedCapability, match="'echo' is for speech"):
        catalog.find("translation", "echo")


def test_a_default_must_exist() -> None:
    with pytest.raises(
        ValueError, match="no such model 'echo'; translation models: 'babel', 'fish'"
    ):
        AppConfig.model_validate(
            {"families": [CHAT, TRANSLATION], "defaults": {"translation": "echo"}}
        )


async def test_the_operation_is_dispatched_and_kept(tmp_path: Path) -> None:
    operation = asked("hello", " ")
    assert read_operation("translate", to_json(operation)) == operation
    result = await last(models(tmp_path, CHAT, TRANSLATION).run(operation))
    assert result == Translation(texts=("[de] hello", ""))
    assert read_result("translate", to_json(result)) == result


async def test_a_chat_model_translates_a_few_at_a_time_and_in_order() -> None:
    chat = Polyglot()
    texts = [f"{'x' * (at % 9)}{at}" for at in range(2000)]
    texts[7] = " "
    events = [event async for event in ChatTranslator(EngineRunner(chat)).translate(asked(*texts))]
    expected = [text.upper() for text in texts]
    expected[7] = ""
    assert events[-1] == Translation(texts=tuple(expected))
    assert events[:-1] == [
        Progress(phase="translate", current=count, total=1999) for count in range(1, 2000)
    ]
    assert chat.most == AT_ONCE


async def test_a_chat_model_is_not_asked_about_nothing() -> None:
    chat = Polyglot()
    for texts in ((), ("", " \n")):
        result = await last(ChatTranslator(EngineRunner(chat)).translate(asked(*texts)))
        assert result == Translation(texts=tuple("" for _ in texts))
    assert chat.asked == []


async def test_a_chat_model_is_told_of_the_region() -> None:
    chat = Polyglot()
    await last(ChatTranslator(EngineRunner(chat)).translate(asked("a", target="pt-br")))
    assert "to Portuguese (BR), for being read" in chat.asked[0].messages[0].text


async def test_leaving_stops_every_question() -> None:
    chat = Polyglot()
    events = ChatTranslator(EngineRunner(chat)).translate(asked("one", *["forever"] * 9))
    assert isinstance(await anext(events), Progress)
    await events.aclose()
    assert chat.running == 0


async def done(
    translator: Any, *texts: str, source: str | None = "en", target: str = "de"
) -> tuple[list[str], list[str]]:
    return await translate_segments(
        stages_over({"translation": translator}),
        segments(*texts),
        model="babel",
        source=source,
        target=target,
        purpose="spoken",
    )


class Worker:
    """A Translator that gives what it is told to."""

    def __init__(self, result: Translation | Exception | None = None) -> None:
        self.result = result
        self.asked: list[Translate] = []

    async def translate(self, request: Translate) -> AsyncGenerator[TranslationEvent]:
        self.asked.append(request)
        if isinstance(self.result, Exception):
            raise self.result
        yield self.result or Translation(texts=request.texts)


@pytest.mark.parametrize(("source", "target"), [("en", "en"), ("en", "en-us"), ("pt", "pt-br")])
async def test_the_same_language_is_no_work(source: str, target: str) -> None:
    worker = Worker()
    assert await done(worker, "a", "", source=source, target=target) == (["a", ""], [])
    await check_languages(
        stages_over({"translation": worker}), model="babel", source=source, target=target
    )
    assert worker.asked == []


async def test_what_a_model_failed_on_is_told() -> None:
    worker = Worker(Translation(texts=("eins", "two", "drei"), kept=(1,), cut=(0, 2)))
    texts, warnings = await done(worker, "one", "two", "three")
    assert texts == ["eins", "two", "drei"]
    assert texts_of(warnings) == (
        "'babel' did not translate segment 1; the original words are spoken there",
        "'babel' did not finish segment 0, 2; its translation is cut there",
    )
    assert worker.asked == [
        Translate(
            model="babel",
            texts=("one", "two", "three"),
            target_language="de",
            source_language="en",
            purpose="spoken",
        )
    ]


@pytest.mark.parametrize(
    ("param", "named"), [("source_language", "language"), ("target_language", "target_language")]
)
async def test_an_unknown_language_names_the_field_of_the_request(param: str, named: str) -> None:
    worker = Worker(InvalidRequest("it cannot", param=param))
    for source in (None, "en"):
        with pytest.raises(InvalidRequest, match="it cannot") as caught:
            await check_languages(
                stages_over({"translation": worker}),
                model="babel",
                source=source,
                target="de",
                source_field="language",
            )
        assert caught.value.param == named
    assert all(request.texts == () for request in worker.asked)


NLLB = (
    "eng_Latn",
    "arb_Arab",
    "zho_Hans",
    "zho_Hant",
    "nob_Latn",
    "pes_Arab",
    "srp_Cyrl",
    "zsm_Latn",
)


@pytest.mark.parametrize(
    ("codes", "asked", "code"),
    [
        (("de", "en", "zh"), "de", "de"),
        (("de", "en", "zh"), "zh-tw", "zh"),
        (("de", "en", "zh"), "deu", "de"),
        (("de", "en", "zh"), "fr", None),
        ((">>pt_br<<", ">>pt<<"), "pt", ">>pt<<"),
        ((">>pt_br<<", ">>pt<<"), "pt-BR", ">>pt_br<<"),
        ((">>pt_br<<", ">>pt<<"), "pt-PT", ">>pt<<"),
        ((">>cmn_Hant<<", ">>cmn_Hans<<"), "zh-CN", ">>cmn_Hans<<"),
        (("eng", "nob_NO"), "nb", "nob_NO"),
        (NLLB, "zh", "zho_Hans"),
        (NLLB, "zh-Hant", "zho_Hant"),
        (NLLB, "zh_HK", "zho_Hant"),
        (NLLB, "ar", "arb_Arab"),
        (NLLB, "fa-IR", "pes_Arab"),
        (NLLB, "sr-Latn", "srp_Cyrl"),
        (NLLB, "ms", "zsm_Latn"),
        (NLLB, "no", "nob_Latn"),
        (NLLB, "de", None),
        ((), "de", None),
    ],
)
def test_a_language_is_called_as_the_checkpoint_does(
    codes: tuple[str, ...], asked: str, code: str | None
) -> None:
    assert CodedLanguages(codes).nearest(asked) == code


def test_languages_are_told_by_the_codes_of_requests() -> None:
    assert CodedLanguages(NLLB).names == (
        *("en", "ar", "zh-hans", "zh-hant", "no", "fa", "sr", "ms"),
    )
    assert CodedLanguages(("fr", "pt_br", "pt_BR", "pt")).names == ("fr", "pt-br", "pt")
    assert str(tag_of(">>pt_BR<<")) == "pt-br"


def test_texts_are_joined_as_their_language_is_written() -> None:
    known = CheckpointLanguages(
        "tiny",
        sources=None,
        targets=CodedLanguages(("zh", "de")),
        names_source=False,
        names_target=False,
    )
    assert not known.route(None, "zh-cn", needs_source=True).is_spaced
    assert known.route("xx", "de", needs_source=True).is_spaced


class Part(tuple[int, str, list[int]]):
    """A piece, without the library that makes them."""

    text = property(lambda self: self[0])
    words = property(lambda self: self[1])
    tokens = property(lambda self: self[2])


def test_batches_hold_what_is_of_like_length() -> None:
    lengths = [3, 9, 1, 4, 40, 4, 2]
    pieces: list[Any] = [Part((at, "", [0] * n)) for at, n in enumerate(lengths)]
    made = list(batches(pieces, 18))
    assert made == [[4], [1, 3], [5, 0, 6, 2]]
    assert list(batches([], 18)) == []
    many: list[Any] = [Part((at, "", [0])) for at in range(130)]
    assert [len(batch) for batch in batches(many, 10_000)] == [64, 64, 2]


def test_pieces_are_put_together_again() -> None:
    pieces: list[Any] = [
        Part((0, "a", [])),
        Part((0, "b", [])),
        Part((2, "c", [])),
        Part((3, "d", [])),
    ]
    made: dict[int, Any] = {0: ("A", False), 1: ("B", True), 2: ("", False), 3: ("D", False)}
    assert joined(4, pieces, made, " ") == Translation(
        texts=("A B", "", "c", "D"), kept=(2,), cut=(0,)
    )
    assert joined(4, pieces, made, "").texts[0] == "AB"
