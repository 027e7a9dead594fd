"""What llama.cpp's clients ask of a text model besides OpenAI's: samplers, grammars, tokens."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from deployments.text.generation.sampling import choose, penalized, rows_for
from deployments.text.prompt_tokens import read_prompt_tokens
from deployments.text.transformers_chat import TransformersChat
from serve_app.core.errors import InvalidRequest
from serve_app.core.options.sampling import SettledSampling
from serve_app.core.text.chat import Sampling, TextFormat
from serve_app.core.text.tokens import (
    Detokenize,
    ReadPromptFormat,
    RenderPrompt,
    Tokenize,
)
from tests.engine.tiny_chat import (
    POSITIONS,
    Direct,
    bytes_tokenizer,
    continuing,
    engine_of,
    read,
    save_chat,
    user,
)

CPU = torch.device("cpu")
WARM = SettledSampling(temperature=1.0, max_tokens=16, seed=1)
GREEDY = SettledSampling(temperature=0.0, max_tokens=16)
BROKEN = ["", "what?", 'root ::= "a', "root ::= missing", "(" * 5000]
LOGITS = torch.tensor([2.0, 1.5, 1.0, 0.5, -4.0])


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


def drawn(sampling: Sampling, logits: torch.Tensor = LOGITS, count: int = 400) -> Counter[int]:
    """Which tokens one row draws."""
    (row,) = rows_for(sampling, [], 1, CPU)
    return Counter(choose(logits.clone(), sampling, row) for _ in range(count))


def test_the_typical_are_those_of_the_expected_surprise() -> None:
    probabilities = torch.softmax(LOGITS, dim=-1)
    entropy = -(probabilities * probabilities.log()).sum()
    nearest = (-probabilities.log() - entropy).abs().argsort()
    assert set(drawn(WARM.model_copy(update={"typical_p": 0.01}))) == {int(nearest[0])}
    assert len(drawn(WARM.model_copy(update={"typical_p": 1.0}))) >= 4


def test_only_the_listed_samplers_are_applied() -> None:
    narrow = {"top_k": 2, "min_p": 0.9}
    assert set(drawn(WARM.model_copy(update=narrow))) == {0}
    assert set(drawn(WARM.model_copy(update=narrow | {"samplers": ("top_k",)}))) == {0, 1}
    assert len(drawn(WARM.model_copy(update=narrow | {"samplers": ()}))) >= 4
    cold = WARM.model_copy(update={"temperature": 0.0})
    assert set(drawn(cold)) == {0}
    assert len(drawn(cold.model_copy(update={"samplers": ("top_p",)}))) >= 4


def test_samplers_are_applied_in_their_order() -> None:
    # Flattened first, the second token is likely enough; else it is not.
    asked = WARM.model_copy(update={"temperature": 10.0, "min_p": 0.7, "max_tokens": 1})
    flat_first = asked.model_copy(update={"samplers": ("temperature", "min_p")})
    flat_last = asked.model_copy(update={"samplers": ("min_p", "temperature")})
    assert len(drawn(flat_first)) >= 4
    assert set(drawn(flat_last)) == {0}


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_keeps_the_surprise_near_its_target(version: int) -> None:
    logits = -torch.arange(1, 2001, dtype=torch.float32).log()
    surprises = -torch.log_softmax(logits, dim=-1) / torch.log(torch.tensor(2.0))
    means = []
    for tau in (1.0, 3.0, 5.0):
        sampling = WARM.model_copy(
            update={"mirostat": version, "mirostat_tau": tau, "mirostat_eta": 0.1}
        )
        tokens = drawn(sampling, logits, 1500)
        means.append(sum(float(surprises[t]) * n for t, n in tokens.items()) / tokens.total())
    assert means[0] < means[1] < means[2]
    # It counts surprise among the tokens that are left, which is less than among all.
    assert means[2] < 9


def test_the_repeat_penalty_looks_back_so_far() -> None:
    def penalised(last: int | None) -> list[bool]:
        sampling = SettledSampling(repeat_penalty=2.0, repeat_last_n=last)
        (row,) = rows_for(sampling, [0, 1], 1, CPU)
        row.generated += [2]
        changed = penalized(LOGITS.clone(), sampling, row)
        return [bool(value) for value in changed != LOGITS]

    assert penalised(None) == penalised(64) == [True, True, True, False, False]
    assert penalised(2) == [False, True, True, False, False]
    assert penalised(0) == [False] * 5


async def test_an_ignored_end_does_not_come(engine: TransformersChat, direct: Direct) -> None:
    eos = int(bytes_tokenizer().eos_token_id)
    ending = GREEDY.model_copy(update={"logit_bias": {eos: 1000.0}})
    short = await read(engine.complete(continuing("The sea", sampling=ending)))
    assert (short.finish(), short.usage.completion_tokens) == ("stop", 0)
    going_on = ending.model_copy(update={"ignore_eos": True})
    long = await read(engine.complete(continuing("The sea", sampling=going_on)))
    assert (long.finish(), long.usage.completion_tokens) == ("length", 16)


async def test_a_prompt_is_read_and_nothing_is_said(engine: TransformersChat) -> None:
    for sampling in (GREEDY, GREEDY.model_copy(update={"seed": 1})):
        silent = sampling.model_copy(update={"max_tokens": 0})
        answer = await read(engine.complete(continuing("The old sea", sampling=silent)))
        assert (answer.text(), answer.finish()) == ("", "length")
        assert (answer.usage.prompt_tokens > 0, answer.usage.completion_tokens) == (True, 0)


async def test_the_stop_text_is_told(engine: TransformersChat) -> None:
    whole = (await read(engine.complete(continuing("The sea", sampling=GREEDY)))).text()
    word = whole[len(whole) // 2 :][:2]
    stopping = GREEDY.model_copy(update={"stop": ("never there", word)})
    answer = await read(engine.complete(continuing("The sea", sampling=stopping)))
    assert answer.of(0)[-1].stop_word == word
    assert answer.text() == whole[: whole.index(word)]


async def test_text_and_tokens_in_one_prompt(engine: TransformersChat) -> None:
    ids = bytes_tokenizer().encode("The old sea was")
    head = bytes_tokenizer().encode("The old ")
    whole = await read(engine.complete(continuing(ids, sampling=GREEDY)))
    mixed = continuing("x", sampling=GREEDY).model_copy(update={"prompts": ((*head, "sea was"),)})
    answer = await read(engine.complete(mixed))
    tail = bytes_tokenizer().encode("sea was", add_special_tokens=False)
    if [*head, *tail] == ids:
        assert answer.text() == whole.text()
    assert answer.usage.prompt_tokens == len(head) + len(tail)


@pytest.mark.parametrize(
    ("grammar", "allowed"),
    [
        ('root ::= "yes" | "no"', {"yes", "no"}),
        ('root ::= answer "!"\nanswer ::= [ab]', {"a!", "b!"}),
    ],
)
async def test_a_completion_follows_a_grammar(
    engine: TransformersChat, grammar: str, allowed: set[str]
) -> None:
    form = TextFormat(type="grammar", grammar=grammar)
    request = continuing("The sea", sampling=WARM, response_format=form)
    answer = await read(engine.complete(request))
    assert answer.text() in allowed
    assert answer.finish() == "stop"


@pytest.mark.parametrize("grammar", BROKEN, ids=range(len(BROKEN)))
async def test_a_text_that_is_no_grammar(engine: TransformersChat, grammar: str) -> None:
    form = TextFormat(type="grammar", grammar=grammar)
    request = continuing("The sea", sampling=WARM, response_format=form)
    with pytest.raises(InvalidRequest) as caught:
        await read(engine.complete(request))
    assert caught.value.param == "response_format"


async def test_a_completion_follows_a_schema(engine: TransformersChat) -> None:
    schema = {
        "type": "object",
        "properties": {"colour": {"enum": ["red", "blue"]}},
        "required": ["colour"],
        "additionalProperties": False,
    }
    form = TextFormat(type="json_schema", json_schema=schema)
    sampling = WARM.model_copy(update={"max_tokens": 60})
    request = continuing("The sea", "A", sampling=sampling, response_format=form)
    answer = await read(engine.complete(request))
    for index in (0, 1):
        assert json.loads(answer.text(index))["colour"] in ("red", "blue")


@pytest.mark.parametrize("text", ["", "The old sea.", "Grüße, 世界 🙂!\n\tx", "a " * 20_000])
async def test_tokens_and_back(engine: TransformersChat, text: str) -> None:
    tokens = await engine.tokenize(Tokenize(model="tiny", text=text))
    assert list(tokens.ids) == bytes_tokenizer().encode(text, add_special_tokens=False)
    back = await engine.detokenize(Detokenize(model="tiny", ids=tokens.ids))
    assert back.text == text


@pytest.mark.parametrize("token", [-1, 10**9, 2**40])
async def test_a_token_that_is_not_there(engine: TransformersChat, token: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await engine.detokenize(Detokenize(model="tiny", ids=(1, token)))
    assert caught.value.param == "ids[1]"


async def test_a_conversation_as_the_model_reads_it(
    engine: TransformersChat, direct: Direct
) -> None:
    rendered = await engine.render_prompt(RenderPrompt(model="tiny", messages=(user("Hello"),)))
    tokens = await engine.tokenize(Tokenize(model="tiny", text=rendered.text))
    assert list(tokens.ids) == direct.prompt("Hello")
    form = await engine.read_prompt_format(ReadPromptFormat(model="tiny"))
    assert form.context_length == POSITIONS
    assert form.template == bytes_tokenizer().chat_template


async def test_the_tokens_of_files_alone(checkpoint: Path, engine: TransformersChat) -> None:
    tokens = read_prompt_tokens(checkpoint, model_id="tiny", context_length=7)
    request = Tokenize(model="tiny", text="The old sea", adds_specials=True)
    assert await tokens.tokenize(request) == await engine.tokenize(request)
    asked = RenderPrompt(model="tiny", messages=(user("Hello"),))
    assert await tokens.render(asked) == await engine.render_prompt(asked)
    assert tokens.format.context_length == 7
