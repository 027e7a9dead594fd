import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from deployments.text.generation.decode import DecodeLoop
from deployments.text.starter_tokenizer import trained_tokenizer
from deployments.text.transformers_chat import TransformersChat
from serve_app.core.errors import ContextLengthExceeded, InvalidRequest, UnsupportedCapability
from serve_app.core.text.chat import Sampling
from tests.engine.tiny_chat import (
    POSITIONS,
    RECITED_PROMPT,
    Direct,
    bytes_tokenizer,
    continuing,
    engine_of,
    read,
    save_chat,
    save_reciter,
)

GREEDY = Sampling(temperature=0.0, max_tokens=12)
WARM = Sampling(temperature=1.0, max_tokens=12, seed=3)
FIRST, SECOND = "The old sea was", "One two"


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


def ids(text: str) -> list[int]:
    return list(bytes_tokenizer().encode(text))


def continued(direct: Direct, text: str) -> str:
    return direct.text(direct.continued(ids(text), 12))


async def test_a_prompt_is_continued_greedily_as_by_generate(
    engine: TransformersChat, direct: Direct
) -> None:
    for sampling in (GREEDY, GREEDY.model_copy(update={"seed": 1})):
        answer = await read(engine.complete(continuing(FIRST, sampling=sampling)))
        assert answer.text() == continued(direct, FIRST)
        assert answer.usage.prompt_tokens == len(ids(FIRST))
        assert answer.usage.completion_tokens == 12
        assert answer.finish() == "length"


async def test_token_ids_are_continued_as_the_text_they_stand_for(
    engine: TransformersChat, direct: Direct
) -> None:
    answer = await read(engine.complete(continuing(ids(FIRST), sampling=GREEDY)))
    assert answer.text() == continued(direct, FIRST)
    assert answer.usage.prompt_tokens == len(ids(FIRST))


async def test_choices_are_numbered_prompt_by_prompt(
    engine: TransformersChat, direct: Direct
) -> None:
    sampling = GREEDY.model_copy(update={"n": 2})
    answer = await read(engine.complete(continuing(FIRST, ids(SECOND), sampling=sampling)))
    expected = [continued(direct, FIRST)] * 2 + [continued(direct, SECOND)] * 2
    assert [answer.text(index) for index in answer.indices] == expected
    assert answer.usage.prompt_tokens == len(ids(FIRST)) + len(ids(SECOND))
    assert answer.usage.completion_tokens == 4 * 12


@pytest.mark.parametrize("prompt", [FIRST, ids(FIRST)])
async def test_echo_gives_the_prompt_before_every_choice(
    engine: TransformersChat, direct: Direct, prompt: str | list[int]
) -> None:
    sampling = GREEDY.model_copy(update={"n": 2})
    answer = await read(engine.complete(continuing(prompt, sampling=sampling, echo=True)))
    assert [answer.text(i) for i in (0, 1)] == [FIRST + continued(direct, FIRST)] * 2
    assert answer.usage.completion_tokens == 2 * 12


async def test_logprobs_of_prompt_and_answer_are_those_of_one_forward_pass(
    engine: TransformersChat, direct: Direct
) -> None:
    sampling = WARM.model_copy(update={"logprobs": 2})
    answer = await read(engine.complete(continuing(FIRST, sampling=sampling, echo=True)))
    entries = answer.logprobs()
    said = [entry.token_id for entry in entries]
    assert said[: len(ids(FIRST))] == ids(FIRST)
    assert len(said) == len(ids(FIRST)) + 12
    assert (
        b"".join(entry.token_bytes for entry in entries).decode(errors="replace").startswith(FIRST)
    )
    assert (entries[0].logprob, entries[0].top) == (None, ())
    for entry, row in zip(entries[1:], direct.logprobs(said), strict=False):
        assert entry.logprob == pytest.approx(row[entry.token_id].item(), abs=1e-3)
        assert [other.token_id for other in entry.top] == row.topk(2).indices.tolist()


async def test_best_of_returns_the_likeliest_of_those_drawn(engine: TransformersChat) -> None:
    drawn = []
    for index in range(5):
        seeded = WARM.model_copy(update={"seed": 3 + index, "logprobs": 0})
        one = await read(engine.complete(continuing(FIRST, sampling=seeded)))
        values = [entry.logprob for entry in one.logprobs()]
        drawn.append((sum(values) / len(values), one.text()))
    expected = [text for _, text in sorted(drawn, reverse=True)]

    sampling = WARM.model_copy(update={"n": 2})
    answer = await read(engine.complete(continuing(FIRST, sampling=sampling, best_of=5)))
    assert [answer.text(index) for index in answer.indices] == expected[:2]
    assert answer.logprobs() == []
    assert answer.usage.completion_tokens == 5 * 12
    assert answer.usage.prompt_tokens == len(ids(FIRST))


async def test_best_of_for_several_prompts_keeps_them_apart(
    engine: TransformersChat, direct: Direct
) -> None:
    request = continuing(FIRST, SECOND, sampling=GREEDY, best_of=2, echo=True)
    answer = await read(engine.complete(request))
    assert [answer.text(index) for index in answer.indices] == [
        FIRST + continued(direct, FIRST),
        SECOND + continued(direct, SECOND),
    ]


async def test_a_completion_is_text_whatever_it_looks_like(tmp_path: Path) -> None:
    said = '<think>hm</think><tool_call>{"name": "clock"}</tool_call>'
    engine = engine_of(save_reciter(tmp_path, said))
    sampling = Sampling(temperature=0.0, max_tokens=60)
    answer = await read(engine.complete(continuing(RECITED_PROMPT, sampling=sampling)))
    await engine.close()
    assert (answer.text(), answer.reasoning(), answer.calls()) == (said, "", [])
    assert answer.finish() == "stop"


async def test_an_empty_prompt_is_continued_all_the_same(engine: TransformersChat) -> None:
    answer = await read(engine.complete(continuing("", sampling=GREEDY)))
    assert answer.usage.completion_tokens == 12


async def test_a_model_without_gap_marks_refuses_a_suffix(engine: TransformersChat) -> None:
    with pytest.raises(UnsupportedCapability, match="does not support infilling") as caught:
        await read(engine.complete(continuing(FIRST, sampling=GREEDY, suffix=" calm.")))
    assert caught.value.param == "suffix"


async def test_a_suffix_is_put_behind_the_gap_by_the_models_own_marks(
    tmp_path: Path, direct: Direct
) -> None:
    marks = ["<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"]
    save_chat(tmp_path)
    tokenizer = trained_tokenizer()
    assert tokenizer.add_tokens(marks, special_tokens=True) == 3
    tokenizer.save_pretrained(tmp_path)
    model = direct.model.__class__.from_pretrained(tmp_path)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.save_pretrained(tmp_path)
    engine, own = engine_of(tmp_path), Direct(tmp_path)
    answer = await read(engine.complete(continuing(FIRST, sampling=GREEDY, suffix=" calm.")))
    prompt = tokenizer.encode(f"{marks[0]}{FIRST}{marks[1]} calm.{marks[2]}")
    with pytest.raises(InvalidRequest, match="needs the prompt as text"):
        await read(engine.complete(continuing([1, 2], sampling=GREEDY, suffix=" calm.")))
    await engine.close()
    assert answer.usage.prompt_tokens == len(prompt)
    assert answer.text() == own.text(own.continued(prompt, 12))


async def test_a_token_that_does_not_exist_is_refused_before_anything_is_said(
    engine: TransformersChat,
) -> None:
    size = len(bytes_tokenizer())
    stream = engine.complete(continuing(FIRST, [1, size], sampling=GREEDY))
    with pytest.raises(InvalidRequest, match=f"no token {size}; the last is {size - 1}") as caught:
        await anext(stream)
    assert caught.value.param == "prompt"


async def test_a_prompt_longer_than_the_context_is_refused_before_anything_is_said(
    engine: TransformersChat,
) -> None:
    stream = engine.complete(continuing(FIRST, [7] * POSITIONS, sampling=GREEDY))
    with pytest.raises(ContextLengthExceeded) as caught:
        await anext(stream)
    assert caught.value.param == "prompt"


def test_the_likelihoods_of_a_long_prompt_are_never_held_at_once(checkpoint: Path) -> None:
    model = LlamaForCausalLM.from_pretrained(checkpoint).eval()
    prompt = [5 + 7 * place % 90 for place in range(POSITIONS - 1)]
    with torch.no_grad():
        whole = torch.log_softmax(model(torch.tensor([prompt])).logits[0], -1)
    rows: list[int] = []
    model.register_forward_hook(lambda *told: rows.append(told[-1].logits.shape[1]))
    first, *others = DecodeLoop(model).prompt_logprobs(prompt, 2)
    assert (first.token, first.logprob) == (prompt[0], None)
    assert [step.token for step in others] == prompt[1:]
    expected = [float(whole[place, token]) for place, token in enumerate(prompt[1:])]
    assert [step.logprob for step in others] == pytest.approx(expected, abs=1e-4)
    assert max(rows) <= 256 < len(prompt)
