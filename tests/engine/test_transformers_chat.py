import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments.text.transformers_chat import TransformersChat
from serve_app.core.errors import (
    BackendUnavailable,
    ContextLengthExceeded,
    InvalidRequest,
    UnsupportedCapability,
)
from serve_app.core.media import Blob
from serve_app.core.text.chat import Chat, ChatMessage, ImagePart, Sampling, TextPart
from tests.engine.tiny_chat import (
    POSITIONS,
    Direct,
    ask,
    bytes_tokenizer,
    engine_of,
    read,
    save_chat,
    save_reciter,
)

LONG = "sea " * (POSITIONS - 50)
SAID = "Hello, 世界 🙂! One two three."
GREEDY = Sampling(temperature=0.0, max_tokens=24)
# A seed is what continuous batching does not know; greedy, it changes nothing else.
LOOPED = GREEDY.model_copy(update={"seed": 7})
BOTH_WAYS = pytest.mark.parametrize("sampling", [GREEDY, LOOPED], ids=["batched", "looped"])


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_chat(tmp_path_factory.mktemp("chat"))


@pytest.fixture(scope="module")
def direct(checkpoint: Path) -> Direct:
    return Direct(checkpoint)


@pytest.fixture(scope="module")
def engine(checkpoint: Path) -> Iterator[TransformersChat]:
    engine = engine_of(checkpoint)
    yield engine
    asyncio.run(engine.close())


@pytest.fixture(scope="module")
def reciter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TransformersChat]:
    engine = engine_of(save_reciter(tmp_path_factory.mktemp("reciter"), SAID))
    yield engine
    asyncio.run(engine.close())


@BOTH_WAYS
@pytest.mark.parametrize("question", ["hi", "Tell me a long story about the sea, please."])
async def test_greedy_text_is_what_the_model_generates(
    engine: TransformersChat, direct: Direct, sampling: Sampling, question: str
) -> None:
    prompt = direct.prompt(question)
    expected = direct.continued(prompt, 24)
    answer = await read(engine.chat(ask(question, sampling=sampling)))
    assert answer.text() == direct.text(expected)
    assert answer.usage.prompt_tokens == len(prompt)
    assert answer.usage.completion_tokens == len(expected) == 24
    assert answer.finish() == "length"


async def test_requests_of_different_lengths_at_once_do_not_mix(
    engine: TransformersChat, direct: Direct
) -> None:
    questions = ["hi", "sea " * 90, "Why?", "one two three " * 20, "x", "y" * 50]
    samplings = [
        (LOOPED if i == 2 else GREEDY).model_copy(update={"max_tokens": 8 + 3 * i})
        for i in range(len(questions))
    ]
    answers = await asyncio.gather(
        *(
            read(engine.chat(ask(question, sampling=sampling)))
            for question, sampling in zip(questions, samplings, strict=True)
        )
    )
    for i, (question, answer) in enumerate(zip(questions, answers, strict=True)):
        assert answer.text() == direct.text(direct.continued(direct.prompt(question), 8 + 3 * i))


async def test_a_sequence_larger_than_the_cache_is_answered_all_the_same(
    checkpoint: Path, direct: Direct
) -> None:
    engine = engine_of(checkpoint, cache_blocks=2)
    question = "sea " * 280
    answer = await read(engine.chat(ask(question, sampling=GREEDY)))
    await engine.close()
    assert answer.usage.prompt_tokens > 256
    assert answer.text() == direct.text(direct.continued(direct.prompt(question), 24))


@BOTH_WAYS
async def test_an_answer_ends_with_the_end_token(
    reciter: TransformersChat, sampling: Sampling
) -> None:
    tokens = len(bytes_tokenizer().encode(SAID))
    wanted = sampling.model_copy(update={"max_tokens": tokens + 5})
    answer = await read(reciter.chat(ask(sampling=wanted)))
    assert answer.text() == SAID
    assert answer.finish() == "stop"
    assert answer.usage.completion_tokens == tokens


@BOTH_WAYS
async def test_characters_split_over_tokens_come_whole(
    reciter: TransformersChat, sampling: Sampling
) -> None:
    assert len(bytes_tokenizer().encode("世")) > 1
    answer = await read(reciter.chat(ask(sampling=sampling)))
    assert len(answer.deltas) > 10
    assert not any("\ufffd" in delta.text for delta in answer.deltas)


@BOTH_WAYS
@pytest.mark.parametrize(
    ("stop", "text"),
    [
        (("wo th",), "Hello, 世界 🙂! One t"),
        (("界 🙂",), "Hello, 世"),
        (("three.",), "Hello, 世界 🙂! One two "),
        (("One two four", "ne"), "Hello, 世界 🙂! O"),
        (("two", "One"), "Hello, 世界 🙂! "),
        (("H",), ""),
    ],
)
async def test_a_stop_string_ends_the_answer_and_never_shows(
    reciter: TransformersChat, sampling: Sampling, stop: tuple[str, ...], text: str
) -> None:
    wanted = sampling.model_copy(update={"stop": stop, "max_tokens": 40})
    answer = await read(reciter.chat(ask(sampling=wanted)))
    assert answer.text() == text
    assert answer.finish() == "stop"


@BOTH_WAYS
async def test_a_stop_string_begun_but_not_ended_is_text(
    reciter: TransformersChat, sampling: Sampling
) -> None:
    wanted = sampling.model_copy(update={"stop": ("three.!", "two four")})
    answer = await read(reciter.chat(ask(sampling=wanted)))
    assert answer.text() == SAID


@BOTH_WAYS
async def test_the_token_limit_ends_the_answer(
    reciter: TransformersChat, sampling: Sampling
) -> None:
    wanted = sampling.model_copy(update={"max_tokens": 2})
    answer = await read(reciter.chat(ask(sampling=wanted)))
    assert answer.finish() == "length"
    assert answer.usage.completion_tokens == 2
    assert answer.text() == bytes_tokenizer().decode(bytes_tokenizer().encode(SAID)[:2])


@BOTH_WAYS
async def test_without_a_limit_the_context_ends_the_answer(
    engine: TransformersChat, direct: Direct, sampling: Sampling
) -> None:
    prompt = direct.prompt(LONG)
    expected = direct.continued(prompt, POSITIONS - len(prompt))
    wanted = sampling.model_copy(update={"max_tokens": None})
    answer = await read(engine.chat(ask(LONG, sampling=wanted)))
    assert answer.text() == direct.text(expected)
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == POSITIONS
    assert answer.finish() == "length"


async def test_every_choice_is_answered_and_counted(reciter: TransformersChat) -> None:
    for sampling in (GREEDY, LOOPED):
        wanted = sampling.model_copy(update={"n": 3})
        answer = await read(reciter.chat(ask(sampling=wanted)))
        assert [answer.text(i) for i in answer.indices] == [SAID] * 3
        assert answer.usage.completion_tokens == 3 * len(bytes_tokenizer().encode(SAID))


async def test_the_fingerprint_tells_checkpoints_apart(
    engine: TransformersChat, reciter: TransformersChat
) -> None:
    first = (await read(engine.chat(ask()))).usage.fingerprint
    again = (await read(engine.chat(ask("Why?")))).usage.fingerprint
    other = (await read(reciter.chat(ask()))).usage.fingerprint
    assert first
    assert first == again != other


async def test_a_prompt_longer_than_the_context_is_refused(engine: TransformersChat) -> None:
    assert engine.context_length == POSITIONS
    with pytest.raises(ContextLengthExceeded, match=r"holds 1024") as caught:
        await read(engine.chat(ask("sea " * 1100)))
    assert caught.value.param == "messages"
    assert caught.value.code == "context_length_exceeded"


async def test_a_shorter_context_can_be_set(checkpoint: Path) -> None:
    engine = engine_of(checkpoint, context_length=20)
    with pytest.raises(ContextLengthExceeded, match=r"holds 20"):
        await read(engine.chat(ask("one two three four five six seven")))
    answer = await read(engine.chat(ask(sampling=GREEDY)))
    await engine.close()
    assert answer.usage.prompt_tokens + answer.usage.completion_tokens == 20


async def test_a_text_model_refuses_images(engine: TransformersChat) -> None:
    image = ImagePart(image=Blob(sha256="0" * 64, mime="image/png", size=1))
    message = ChatMessage(role="user", content=(TextPart(text="what?"), image))
    with pytest.raises(UnsupportedCapability, match=r"takes no image input") as caught:
        await read(engine.chat(Chat(model="tiny", messages=(message,))))
    assert caught.value.param == "messages[0].content[1]"


async def test_a_checkpoint_without_a_chat_template_says_what_it_can_do(tmp_path: Path) -> None:
    save_chat(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    engine = engine_of(tmp_path)
    with pytest.raises(InvalidRequest, match=r"no chat template; it only continues a prompt"):
        await read(engine.chat(ask()))
    await engine.close()


async def test_a_conversation_that_the_template_refuses_is_the_callers_fault(
    tmp_path: Path,
) -> None:
    save_chat(tmp_path)
    (tmp_path / "chat_template.jinja").write_text("{{ raise_exception('roles must alternate') }}")
    engine = engine_of(tmp_path)
    with pytest.raises(
        InvalidRequest, match=r"refuses the messages: roles must alternate"
    ) as caught:
        await read(engine.chat(ask()))
    await engine.close()
    assert caught.value.param == "messages"


def test_half_a_checkpoint_is_out_of_service(tmp_path: Path) -> None:
    save_chat(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(BackendUnavailable, match=r"'tiny' cannot be loaded") as caught:
        engine_of(tmp_path)
    assert str(tmp_path) not in caught.value.message
