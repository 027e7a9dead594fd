"""Infotexts, prompts with networks, numbers in texts, and samplers by name."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from serve_app.api.automatic1111.dialect import AUTOMATIC1111
from serve_app.api.automatic1111.error_object import NameNotFound
from serve_app.api.automatic1111.infotext import infotext, parsed
from serve_app.api.automatic1111.numbers import Real, Whole
from serve_app.api.automatic1111.prompts import read_prompt, styled
from serve_app.api.automatic1111.sampler_names import chosen, listed_samplers
from serve_app.core.image.attachments import Lora
from serve_app.core.image.samplers import ImageFacts, not_taken
from serve_app.core.notices import Notice
from serve_app.core.settings import PromptStyle

WHOLE: TypeAdapter[int] = TypeAdapter(Whole)
REAL: TypeAdapter[float] = TypeAdapter(Real)
FACTS = ImageFacts(samplers=("euler", "dpm++_2m"), schedules=("karras",))


def test_an_infotext_has_the_form_that_clients_read() -> None:
    pairs = {"Steps": 20, "Sampler": "Euler a", "CFG scale": 7.5, "Seed": 1, "VAE": None}
    assert infotext("a boat", "", pairs) == (
        "a boat\nSteps: 20, Sampler: Euler a, CFG scale: 7.5, Seed: 1"
    )
    assert infotext("a", "b", {"Steps": 1}) == "a\nNegative prompt: b\nSteps: 1"


@pytest.mark.parametrize("prompt", ["a boat", "two\nlines, (weighed:1.2)", "", "Steps: 1"])
@pytest.mark.parametrize("negative", ["", "blurred, dark", "two\nlines"])
@pytest.mark.parametrize("odd", ["plain", "a, b: c", 'with "quotes"', "ü\n"])
def test_what_is_written_is_read_back(prompt: str, negative: str, odd: str) -> None:
    pairs = {"Steps": 20, "Odd one": odd, "Size": "640x512", "Seed": 5, "Version": "v"}
    found = parsed(infotext(prompt, negative, pairs))
    assert found == {
        "Prompt": prompt,
        "Negative prompt": negative,
        "Steps": "20",
        "Odd one": odd,
        "Size-1": "640",
        "Size-2": "512",
        "Seed": "5",
        "Version": "v",
    }


@pytest.mark.parametrize("text", ["", "a boat", "a: b, c: d", ":::", 'a: "b', "x" * 100_000])
def test_other_texts_have_no_parameters(text: str) -> None:
    assert parsed(text) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<lora:Film:0.8> a boat", (Lora(registered="film", weight=0.8),)),
        ("a <lora:film> boat", (Lora(registered="film", weight=1.0),)),
        ("<lyco:film:0.5:0.7>", (Lora(registered="film", weight=0.5),)),
        ("<lora:film:te=0.25:unet=1>", (Lora(registered="film", weight=0.25),)),
        ("<lora:film:1><lora:film:-.5>", (Lora(registered="film", weight=0.5),)),
        ("<lora:film:strong>", (Lora(registered="film", weight=1.0),)),
        ("a < b > c <film:1>", ()),
    ],
)
def test_networks_are_read_from_prompts(text: str, expected: tuple[Lora, ...]) -> None:
    read = read_prompt(text, {"film": "film.safetensors"})
    assert read.loras == expected
    assert "<l" not in read.text
    assert read.missing == ()


def test_networks_that_there_are_not_are_named() -> None:
    read = read_prompt("a <lora:gone:1> boat <hypernet:old:1>", {})
    assert (read.text, read.missing) == ("a  boat", ("gone", "old"))


def test_styles_are_laid_over_both_prompts() -> None:
    styles = [
        PromptStyle(name="ink", prompt="ink drawing of {prompt}", negative_prompt="colour"),
        PromptStyle(name="dark", prompt="at night"),
    ]
    made = styled("a boat", "", ["ink", "nobody", "dark", "ink"], styles)
    assert made == ("ink drawing of a boat, at night", "colour")


@pytest.mark.parametrize(("value", "number"), [("20", 20), (" -1 ", -1), (20.0, 20), ("2e1", 20)])
def test_texts_are_whole_numbers(value: Any, number: int) -> None:
    assert WHOLE.validate_python(value) == number


@pytest.mark.parametrize("value", [True, "", "x", "1.5", 1.5, "1_0", "nan", "inf", [], "9" * 5000])
def test_other_values_are_no_whole_numbers(value: Any) -> None:
    with pytest.raises(ValidationError):
        WHOLE.validate_python(value)


@pytest.mark.parametrize("value", [True, "", "x", "nan", "inf", float("nan"), "1e999", {}])
def test_other_values_are_no_numbers(value: Any) -> None:
    with pytest.raises(ValidationError):
        REAL.validate_python(value)


@pytest.mark.parametrize(
    ("sampler", "scheduler", "expected"),
    [
        ("Euler", None, ("euler", None)),
        ("k_euler", "automatic", ("euler", None)),
        ("dpm++ 2m KARRAS", None, ("dpm++_2m", "karras")),
        ("k_dpmpp_2m_ka", None, ("dpm++_2m", "karras")),
        ("DPM++ 2M", "Karras", ("dpm++_2m", "karras")),
        ("DPM++ 2M Karras", "Exponential", ("dpm++_2m", None)),
        ("LMS", None, ("euler", None)),
        ("DPM adaptive", None, ("euler", None)),
    ],
)
def test_samplers_are_known_by_every_name(
    sampler: str, scheduler: str | None, expected: tuple[str, str | None]
) -> None:
    found = chosen(sampler, scheduler, FACTS)
    assert (found.sampler, found.schedule) == expected
    said = sampler in ("LMS", "DPM adaptive") or scheduler == "Exponential"
    assert bool(found.comments) == said


def test_unknown_samplers_are_refused_with_the_names_that_there_are() -> None:
    with pytest.raises(NameNotFound, match="Sampler not found") as caught:
        chosen("nobody", None, FACTS)
    assert "Euler a" in caught.value.names
    with pytest.raises(NameNotFound, match="Scheduler not found"):
        chosen("Euler", "nobody", FACTS)


@pytest.mark.parametrize(
    ("notice", "told"),
    [
        (
            not_taken("sampler", "this model", "dpm++_2m", "euler_a"),
            "sampler_name: 'DPM++ 2M' is not for this model; 'Euler a' was used",
        ),
        (
            not_taken("schedule", "this sampler", "sgm_uniform"),
            "scheduler: 'SGM Uniform' is not for this sampler; its own was used",
        ),
        (Notice(field="sampling.churn", text="has no effect"), "s_churn: has no effect"),
        (Notice(field="size", text="rounded to 64x64"), "width, height: rounded to 64x64"),
        (Notice(field="text", text="cut off"), "cut off"),
        (Notice(text="ended early: 1 of 3 images"), "ended early: 1 of 3 images"),
        (Notice(text="it's {all} well"), "it's {all} well"),
    ],
    ids=str,
)
def test_warnings_are_told_in_own_words(notice: Notice, told: str) -> None:
    assert AUTOMATIC1111.told([notice], "image.generation") == [told]


def test_only_samplers_that_the_model_can_run_are_listed() -> None:
    assert [each["name"] for each in listed_samplers(FACTS)] == [
        "Euler",
        "Euler Karras",
        "DPM++ 2M",
        "DPM++ 2M Karras",
    ]
