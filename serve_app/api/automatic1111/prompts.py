"""Prompts: the styles and the LoRAs that they name."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from serve_app.core.image.attachments import Lora
from serve_app.core.settings import PromptStyle

NETWORK = re.compile(r"<(lora|lyco|hypernet):([^<>:]{1,200})((?::[^<>:]{0,50}){0,4})>")
HERE = "{prompt}"
WEIGHT = re.compile(r"-?(\d{1,5}(\.\d{0,20})?|\.\d{1,20})")
LORAS = ("lora", "lyco")


@dataclass(frozen=True)
class ReadPrompt:
    """A prompt without the networks that it names; those that there are not are `missing`."""

    text: str
    loras: tuple[Lora, ...] = ()
    missing: tuple[str, ...] = ()


def styled(
    prompt: str, negative_prompt: str, names: Iterable[str], styles: Sequence[PromptStyle]
) -> tuple[str, str]:
    """Both prompts with the styles of these names, each once; an unknown name is none."""
    known = {style.name: style for style in styles}
    for style in (known[name] for name in dict.fromkeys(names) if name in known):
        prompt = _joined(prompt, style.prompt)
        negative_prompt = _joined(negative_prompt, style.negative_prompt)
    return prompt, negative_prompt


def read_prompt(text: str, registered: Mapping[str, str]) -> ReadPrompt:
    """The prompt and its networks: `<lora:name>` and `<lora:name:0.8>`; of further numbers, such as
    those of single parts, the first counts. A network named twice has both weights.
    """
    by_name = {name.lower(): name for name in registered}
    weights: dict[str, float] = {}
    missing: list[str] = []
    for kind, name, rest in NETWORK.findall(text):
        found = by_name.get(name.strip().lower()) if kind in LORAS else None
        if found is None:
            missing.append(name.strip())
        else:
            weights[found] = weights.get(found, 0) + _weight(rest)
    loras = tuple(Lora(registered=name, weight=weight) for name, weight in weights.items())
    return ReadPrompt(NETWORK.sub("", text).strip(), loras, tuple(dict.fromkeys(missing)))


def _joined(prompt: str, style: str) -> str:
    if HERE in style:
        return style.replace(HERE, prompt)
    return ", ".join(part for part in (prompt.strip(), style.strip()) if part)


def _weight(rest: str) -> float:
    for argument in rest.split(":"):
        number = argument.rpartition("=")[2].strip()
        if WEIGHT.fullmatch(number):
            return float(number)
    return 1.0
