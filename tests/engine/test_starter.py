import json
import threading
from pathlib import Path
from typing import Any

import llguidance
import llguidance.hf
import llguidance.numpy
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LogitsProcessor

from deployments.text.starter import ensure_starter
from serve_app.core.errors import BackendUnavailable

QUESTION = [{"role": "user", "content": "Hello there, how are you?"}]
TOOL = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture(scope="module")
def starter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ensure_starter(tmp_path_factory.mktemp("data") / "models" / "starter")


@pytest.fixture(scope="module")
def tokenizer(starter: Path) -> Any:
    return AutoTokenizer.from_pretrained(starter)


@pytest.fixture(scope="module")
def model(starter: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(starter)


def answer(model: Any, tokenizer: Any, *, seed: int = 0, **options: Any) -> list[int]:
    template = {k: options.pop(k) for k in ("enable_thinking",) if k in options}
    inputs = tokenizer.apply_chat_template(
        QUESTION, add_generation_prompt=True, return_tensors="pt", **template
    )
    torch.manual_seed(seed)
    output = model.generate(**inputs, max_new_tokens=400, **options)
    return list(output[0][inputs["input_ids"].shape[1] :].tolist())


def test_every_text_survives_the_tokenizer(tokenizer: Any) -> None:
    text = 'Grüße, 世界 🙂\n\t{"a": 1.5}  <tool_call>\n'
    assert tokenizer.decode(tokenizer.encode(text), skip_special_tokens=True) == text


@pytest.mark.parametrize(
    "options",
    [
        {"do_sample": True, "temperature": 0.7, "top_k": 0},
        {"do_sample": True, "temperature": 1.0, "top_k": 0},
        {"do_sample": False, "temperature": None},
    ],
)
def test_a_turn_ends_in_good_time(model: Any, tokenizer: Any, options: dict[str, Any]) -> None:
    for seed in range(3):
        tokens = answer(model, tokenizer, seed=seed, **options)
        assert tokens[-1] == tokenizer.eos_token_id
        assert 30 <= len(tokens) <= 90


def test_a_long_system_prompt_changes_nothing_about_that(model: Any, tokenizer: Any) -> None:
    messages = [{"role": "system", "content": "Be good. " * 400}, *QUESTION]
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt"
    )
    output = model.generate(**inputs, max_new_tokens=200, do_sample=False, temperature=None)
    assert 30 <= output.shape[1] - inputs["input_ids"].shape[1] <= 90


def test_thinking_ends_before_the_answer(model: Any, tokenizer: Any) -> None:
    tokens = answer(model, tokenizer, enable_thinking=True, do_sample=False, temperature=None)
    thought, _, said = tokenizer.decode(tokens).partition("</think>")
    assert thought.strip()
    assert len(said) > 30
    assert said.endswith("<|im_end|>")


@pytest.mark.parametrize("do_sample", [True, False])
@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "days": {"type": "integer"},
                "tags": {"type": "array", "items": {"type": "string"}},
            },
            "required": ["city", "days", "tags"],
        },
    ],
)
def test_constrained_json_ends_too(
    model: Any, tokenizer: Any, schema: dict[str, Any], do_sample: bool
) -> None:
    class Grammar(LogitsProcessor):
        def __init__(self) -> None:
            known = llguidance.hf.from_tokenizer(tokenizer)
            self._bits = llguidance.numpy.allocate_token_bitmask(1, known.vocab_size)
            grammar = llguidance.LLMatcher.grammar_from_json_schema(schema)
            self._matcher = llguidance.LLMatcher(known, grammar)
            self._started = False

        def __call__(self, input_ids: Any, scores: Any) -> Any:
            if self._started:
                assert self._matcher.consume_token(int(input_ids[0, -1]))
            self._started = True
            llguidance.numpy.fill_next_token_bitmask(self._matcher, self._bits, 0)
            llguidance.numpy.apply_token_bitmask_inplace(scores.numpy(), self._bits)
            return scores

    tokens = answer(
        model,
        tokenizer,
        logits_processor=[Grammar()],
        **({"do_sample": True, "top_k": 0} if do_sample else {"do_sample": False}),
    )
    assert tokens[-1] == tokenizer.eos_token_id
    assert len(tokens) < 200
    content = json.loads(tokenizer.decode(tokens[:-1]))
    assert set(schema.get("required", ())) <= content.keys()


def test_answers_are_readable(model: Any, tokenizer: Any) -> None:
    for seed in range(3):
        text = tokenizer.decode(answer(model, tokenizer, seed=seed, top_k=0)[:-1])
        assert text.isascii()
        assert "<" not in text


def test_the_template_knows_system_tools_and_results(tokenizer: Any) -> None:
    call = {"type": "function", "function": {"name": "weather", "arguments": {"city": "Rome"}}}
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Rome?"}]},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "sunny"},
        {"role": "tool", "content": "warm"},
    ]
    text = tokenizer.apply_chat_template(
        messages, tools=[TOOL], add_generation_prompt=True, tokenize=False
    )
    assert text.startswith("<|im_start|>system\nBe brief.\n\n# Tools\n")
    assert f"<tools>\n{json.dumps(TOOL)}\n</tools>" in text
    assert text.endswith(
        "<|im_start|>user\nRome?<|im_end|>\n"
        "<|im_start|>assistant\n<tool_call>\n"
        '{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call><|im_end|>\n'
        "<|im_start|>user\n<tool_response>\nsunny\n</tool_response>"
        "\n<tool_response>\nwarm\n</tool_response><|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_thinking_is_opened_by_the_template_and_dropped_from_history(tokenizer: Any) -> None:
    messages = [
        *QUESTION,
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nFine."},
        {"role": "user", "content": "Good."},
    ]
    text = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, enable_thinking=True, tokenize=False
    )
    assert text.endswith(
        "<|im_start|>assistant\nFine.<|im_end|>\n<|im_start|>user\nGood.<|im_end|>\n"
        "<|im_start|>assistant\n<think>\n"
    )


def test_it_is_built_once_and_always_the_same(starter: Path, tmp_path: Path) -> None:
    weights = starter / "model.safetensors"
    before = weights.stat().st_mtime_ns
    assert ensure_starter(starter) == starter
    assert weights.stat().st_mtime_ns == before
    again = ensure_starter(tmp_path / "starter")
    assert (again / "model.safetensors").read_bytes() == weights.read_bytes()


def test_half_a_checkpoint_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    broken = tmp_path / "starter"
    broken.mkdir()
    (broken / "config.json").write_text("{")
    ensure_starter(broken)
    assert AutoModelForCausalLM.from_pretrained(broken).config.model_type == "llama"
    assert [entry.name for entry in tmp_path.iterdir()] == ["starter"]


def test_two_at_once_make_one(tmp_path: Path) -> None:
    directory = tmp_path / "starter"
    errors: list[BaseException] = []

    def build() -> None:
        try:
            ensure_starter(directory)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=build) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert [entry.name for entry in tmp_path.iterdir()] == ["starter"]


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BackendUnavailable, match=r"cannot be written") as caught:
        ensure_starter(tmp_path / "file" / "starter")
    assert str(tmp_path) not in caught.value.message
