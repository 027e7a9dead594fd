"""What a request leaves open about the choice of tokens."""

import json
from pathlib import Path

from deployments.text.checkpoint_sampling import checkpoint_sampling, gguf_sampling
from serve_app.core.options.sampling import (
    LAST_RESORT,
    NOTHING_SAID,
    SamplingDefaults,
    SettledSampling,
    settled,
)
from serve_app.core.text.chat import Chat, Sampling

OPEN = Sampling(max_tokens=5, seed=3, stop=("x",))


def test_a_request_goes_before_the_configuration_and_that_before_the_checkpoint() -> None:
    configured = SamplingDefaults(temperature=0.2, top_p=0.9)
    checkpoint = SamplingDefaults(temperature=0.6, top_k=20, repeat_penalty=1.1)
    found = settled(OPEN.model_copy(update={"top_p": 0.5}), configured, checkpoint)
    assert (found.temperature, found.top_p, found.top_k) == (0.2, 0.5, 20)
    assert (found.repeat_penalty, found.min_p) == (1.1, None)
    assert (found.max_tokens, found.seed, found.stop) == (5, 3, ("x",))
    assert settled(found, SamplingDefaults(min_p=0.3)) is found


def test_nothing_said_anywhere() -> None:
    found = settled(OPEN, NOTHING_SAID)
    assert found == SettledSampling(max_tokens=5, seed=3, stop=("x",))
    assert (found.temperature, found.top_p, found.repeat_penalty) == (LAST_RESORT, 1.0, 1.0)


def test_zero_is_said_too() -> None:
    checkpoint = SamplingDefaults(temperature=0.6, top_k=20, min_p=0.1)
    found = settled(Sampling(temperature=0.0, top_k=0, min_p=0.0), checkpoint)
    assert (found.temperature, found.top_k, found.min_p) == (0.0, None, None)


def test_a_checkpoint_says_it_in_generation_config(tmp_path: Path) -> None:
    assert checkpoint_sampling(tmp_path) == checkpoint_sampling(None) == NOTHING_SAID
    config = tmp_path / "generation_config.json"
    for text in ("{", "[]", "7"):
        config.write_text(text)
        assert checkpoint_sampling(tmp_path) == NOTHING_SAID
    said = {"temperature": 0.6, "top_k": 20, "top_p": "odd", "repetition_penalty": 1.2, "bos": 1}
    config.write_text(json.dumps(said))
    expected = SamplingDefaults(temperature=0.6, top_k=20, repeat_penalty=1.2)
    assert checkpoint_sampling(tmp_path) == expected


def test_a_gguf_says_it_in_its_metadata() -> None:
    said = {"general.sampling.temp": 0.2, "general.sampling.top_p": 0.9, "general.name": "m"}
    assert gguf_sampling(said) == SamplingDefaults(temperature=0.2, top_p=0.9)


def test_a_chat_recorded_with_the_old_defaults_is_still_read() -> None:
    recorded = Chat(model="m", messages=()).model_dump(mode="json")
    recorded["sampling"] |= {"temperature": 0.7, "top_p": 1.0, "repeat_penalty": 1.0}
    assert Chat.model_validate(recorded).sampling.temperature == 0.7
