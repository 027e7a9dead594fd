import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from deployments.text.generation.sampling import choose, penalized, rows_for
from deployments.text.transformers_chat import TransformersChat
from serve_app.core.errors import InvalidRequest
from serve_app.core.options.sampling import SettledSampling
from serve_app.core.text.chat import Sampling
from tests.engine.tiny_chat import (
    Direct,
    ask,
    bytes_tokenizer,
    engine_of,
    read,
    save_chat,
    save_reciter,
)

TOKENS = 16
# After this the model repeats itself.
REPETITIVE = "sea " * 460
GREEDY = Sampling(temperature=0.0, max_tokens=TOKENS)
WARM = Sampling(temperature=1.0, max_tokens=TOKENS)
CPU = torch.device("cpu")


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


def penalised_greedily(
    direct: Direct, prompt: list[int], *, presence: float, frequency: float
) -> list[int]:
    """OpenAI's formula, one whole forward pass for every token."""
    said: list[int] = []
    for _ in range(TOKENS):
        logits = direct.logprobs(prompt + said)[-1]
        for token, count in Counter(said).items():
            logits[token] -= presence + count * frequency
        said.append(int(logits.argmax()))
    return said


async def test_the_same_seed_gives_the_same_text_and_another_seed_another(
    engine: TransformersChat,
) -> None:
    texts = []
    for seed in (1, 1, 2, 2**63 - 1, -5):
        answer = await read(
            engine.chat(ask(sampling=WARM.model_copy(update={"seed": seed, "max_tokens": 8})))
        )
        texts.append(answer.text())
    assert texts[0] == texts[1]
    assert len(set(texts)) == 4


async def test_a_seeded_answer_does_not_depend_on_what_else_runs(engine: TransformersChat) -> None:
    seeded = ask(sampling=WARM.model_copy(update={"seed": 11}))
    alone = await read(engine.chat(seeded))
    others = (ask("Why?", sampling=WARM.model_copy(update={"seed": s})) for s in (11, 12))
    together = await asyncio.gather(
        *(read(engine.chat(request)) for request in (seeded, *others)), read(engine.chat(ask()))
    )
    assert together[0].text() == alone.text()


async def test_choices_are_distinct_and_each_is_drawn_with_its_own_seed(
    engine: TransformersChat,
) -> None:
    several = await read(engine.chat(ask(sampling=WARM.model_copy(update={"seed": 5, "n": 3}))))
    texts = [several.text(index) for index in several.indices]
    assert len(set(texts)) == 3
    for index in range(3):
        seeded = WARM.model_copy(update={"seed": 5 + index})
        assert (await read(engine.chat(ask(sampling=seeded)))).text() == texts[index]


async def test_choices_without_a_seed_are_distinct(engine: TransformersChat) -> None:
    several = await read(engine.chat(ask(sampling=WARM.model_copy(update={"n": 4}))))
    assert len({several.text(index) for index in range(4)}) == 4


async def test_unseeded_answers_differ_from_time_to_time(engine: TransformersChat) -> None:
    texts = {(await read(engine.chat(ask(sampling=WARM)))).text() for _ in range(3)}
    assert len(texts) == 3


async def test_top_k_of_one_is_greedy(engine: TransformersChat, direct: Direct) -> None:
    expected = direct.text(direct.continued(direct.prompt("hi"), TOKENS))
    for changes in ({"top_k": 1}, {"top_k": 1, "seed": 3}, {"top_p": 1e-6, "seed": 3}):
        answer = await read(engine.chat(ask(sampling=WARM.model_copy(update=changes))))
        assert answer.text() == expected


@pytest.mark.parametrize("temperature", [0.0, 1.3])
async def test_logprobs_are_those_of_the_models_own_distribution(
    engine: TransformersChat, direct: Direct, temperature: float
) -> None:
    sampling = Sampling(
        temperature=temperature, max_tokens=TOKENS, seed=4, logprobs=3, logit_bias={40: 3.0}
    )
    answer = await read(engine.chat(ask(sampling=sampling)))
    entries = answer.logprobs()
    said = [entry.token_id for entry in entries]
    prompt = direct.prompt("hi")
    rows = direct.logprobs(prompt + said)[len(prompt) - 1 :]
    assert len(said) == answer.usage.completion_tokens == TOKENS
    assert direct.text(said) == answer.text()
    for entry, row in zip(entries, rows, strict=False):
        assert entry.logprob == pytest.approx(row[entry.token_id].item(), abs=1e-3)
        values, ids = row.topk(3)
        assert [other.token_id for other in entry.top] == ids.tolist()
        assert [other.logprob for other in entry.top] == pytest.approx(values.tolist(), abs=1e-3)


async def test_logprobs_without_alternatives_are_the_chosen_tokens_alone(
    engine: TransformersChat,
) -> None:
    for count in (None, 0):
        sampling = GREEDY.model_copy(update={"logprobs": count})
        entries = (await read(engine.chat(ask(sampling=sampling)))).logprobs()
        assert len(entries) == (0 if count is None else TOKENS)
        assert not any(entry.top for entry in entries)


async def test_the_bytes_of_the_tokens_are_the_text(tmp_path: Path) -> None:
    said = "Größe: 世界 🙂!"
    engine = engine_of(save_reciter(tmp_path, said))
    sampling = Sampling(temperature=0.0, max_tokens=60, logprobs=1)
    answer = await read(engine.chat(ask(sampling=sampling)))
    await engine.close()
    entries = answer.logprobs()
    assert len(entries) == len(bytes_tokenizer().encode(said)) > len(said.split())
    assert b"".join(entry.token_bytes for entry in entries).decode() == said
    assert all(entry.top[0].token_bytes == entry.token_bytes for entry in entries)


async def test_a_bias_of_a_hundred_forces_a_token_and_minus_a_hundred_forbids_it(
    engine: TransformersChat, direct: Direct
) -> None:
    forced = bytes_tokenizer().encode(" sea")[0]
    sampling = GREEDY.model_copy(update={"logit_bias": {forced: 100.0}})
    answer = await read(engine.chat(ask(sampling=sampling)))
    assert answer.text() == direct.text([forced]) * TOKENS

    first, *_ = direct.continued(direct.prompt("hi"), 1)
    sampling = WARM.model_copy(update={"logit_bias": {first: -100.0}, "logprobs": 0, "seed": 1})
    answer = await read(engine.chat(ask(sampling=sampling)))
    assert first not in [entry.token_id for entry in answer.logprobs()]


async def test_a_biased_end_token_ends_the_answer(engine: TransformersChat, direct: Direct) -> None:
    end = direct.tokenizer.eos_token_id
    sampling = GREEDY.model_copy(update={"logit_bias": {end: 100.0}})
    answer = await read(engine.chat(ask(sampling=sampling)))
    assert (answer.text(), answer.finish(), answer.usage.completion_tokens) == ("", "stop", 0)


async def test_a_bias_for_a_token_that_does_not_exist_is_refused(engine: TransformersChat) -> None:
    size = len(bytes_tokenizer())
    sampling = GREEDY.model_copy(update={"logit_bias": {size: 1.0}})
    with pytest.raises(InvalidRequest, match=f"the last is {size - 1}") as caught:
        await read(engine.chat(ask(sampling=sampling)))
    assert caught.value.param == "logit_bias"


@pytest.mark.parametrize(
    ("presence", "frequency"), [(2.0, 0.0), (0.0, 1.5), (-2.0, 0.0), (0.5, -2.0)]
)
async def test_presence_and_frequency_penalties_follow_the_formula(
    engine: TransformersChat, direct: Direct, presence: float, frequency: float
) -> None:
    prompt = direct.prompt(REPETITIVE)
    sampling = GREEDY.model_copy(
        update={"presence_penalty": presence, "frequency_penalty": frequency}
    )
    answer = await read(engine.chat(ask(REPETITIVE, sampling=sampling)))
    expected = penalised_greedily(direct, prompt, presence=presence, frequency=frequency)
    assert answer.text() == direct.text(expected)
    assert expected != direct.continued(prompt, TOKENS)


@pytest.mark.covers("CoderAI: chat: repeat penalty")
async def test_the_repeat_penalty_is_that_of_generate(
    engine: TransformersChat, direct: Direct
) -> None:
    prompt = direct.prompt(REPETITIVE)
    output = direct.model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=TOKENS,
        do_sample=False,
        repetition_penalty=1.4,
    )
    expected = output[0].tolist()[len(prompt) :]
    sampling = GREEDY.model_copy(update={"repeat_penalty": 1.4})
    answer = await read(engine.chat(ask(REPETITIVE, sampling=sampling)))
    assert answer.text() == direct.text(expected)
    assert expected != direct.continued(prompt, TOKENS)


def test_penalties_change_exactly_the_tokens_that_were_said() -> None:
    sampling = SettledSampling(presence_penalty=0.5, frequency_penalty=0.25, logit_bias={3: -7.0})
    (row,) = rows_for(sampling, [0], 1, CPU)
    row.generated += [1, 1, 2]
    logits = penalized(torch.tensor([1.0, 1.0, 1.0, 1.0]), sampling, row)
    assert logits.tolist() == [1.0, 0.0, 0.25, -6.0]


def test_the_repeat_penalty_pulls_both_signs_down_in_prompt_and_answer() -> None:
    sampling = SettledSampling(repeat_penalty=2.0)
    (row,) = rows_for(sampling, [0, 1], 1, CPU)
    row.generated.append(2)
    logits = penalized(torch.tensor([1.0, -1.0, 3.0, 1.0]), sampling, row)
    assert logits.tolist() == [0.5, -2.0, 1.5, 1.0]


@pytest.mark.parametrize(
    ("changes", "possible"),
    [
        ({}, {0, 1, 2, 3}),
        ({"top_k": 2}, {0, 1}),
        ({"top_k": 100}, {0, 1, 2, 3}),
        ({"top_p": 0.4}, {0}),
        ({"top_p": 0.41}, {0, 1}),
        ({"top_p": 0.8}, {0, 1, 2}),
        ({"min_p": 0.6}, {0, 1}),
        ({"min_p": 0.3, "top_k": 3}, {0, 1, 2}),
        ({"temperature": 0.0}, {0}),
    ],
)
def test_filters_leave_exactly_the_tokens_they_should(
    changes: dict[str, float], possible: set[int]
) -> None:
    logits = torch.tensor([0.4, 0.3, 0.2, 0.1]).log()
    sampling = SettledSampling(seed=0).model_copy(update={"temperature": 1.0, **changes})
    (row,) = rows_for(sampling, [0], 1, CPU)
    assert {choose(logits.clone(), sampling, row) for _ in range(300)} == possible


def test_temperature_sharpens_the_distribution() -> None:
    logits = torch.tensor([0.6, 0.4]).log()
    shares = []
    for temperature in (0.25, 1.0, 2.0):
        sampling = SettledSampling(temperature=temperature, seed=0)
        (row,) = rows_for(sampling, [0], 1, CPU)
        drawn = [choose(logits.clone(), sampling, row) for _ in range(4000)]
        shares.append(drawn.count(0) / len(drawn))
    assert shares == pytest.approx([0.835, 0.6, 0.5505], abs=0.03)


@pytest.mark.parametrize("factor", [1e-300, 1e-38, 100.0])
def test_every_repeat_penalty_leaves_something_to_draw(factor: float) -> None:
    for temperature in (2e-5, 0.7, 2.0):
        sampling = SettledSampling(repeat_penalty=factor, temperature=temperature, seed=1)
        [row] = rows_for(sampling, [1, 2], 1, CPU)
        logits = torch.tensor([0.5, 3.0, -4.0, 1.0])
        token = choose(penalized(logits, sampling, row), sampling, row)
        assert token in range(4)
        if factor < 1:
            assert token == 1
