"""What the names of Kokoro's voices say: which language they speak, with espeak-ng's name of it,
because it writes the phonemes, and whether they are a man's or a woman's.
"""

from collections.abc import Sequence
from itertools import cycle

from serve_app.core.audio.speech import OPENAI_VOICES
from serve_app.core.config import Model
from serve_app.core.errors import InvalidRequest
from serve_app.core.text.languages import language_code

TAGS = {
    "a": "en-us",
    "b": "en-gb",
    "e": "es",
    "f": "fr-fr",
    "h": "hi",
    "i": "it",
    "p": "pt-br",
}
"""By the first letter of a voice's name. Japanese (j) and Chinese (z) are not among them: espeak-ng
does not read their characters as the model was trained to hear them."""
DEFAULT = "a"
MALE_NAMES = frozenset({"ash", "ballad", "cedar", "echo", "fable", "onyx", "verse"})
"""Of OpenAI's."""
CODES = {letter: tag.partition("-")[0] for letter, tag in TAGS.items()}


def stand_ins(voices: Sequence[str], default: str | None) -> dict[str, str]:
    """OpenAI's names and who stands for them: a man for a man and a woman for a woman, where there
    is one, the default first. The second letter of a voice's name tells.
    """
    ordered = sorted(voices, key=lambda voice: voice != default)
    men = [voice for voice in ordered if voice[1:2] == "m"]
    women = [voice for voice in ordered if voice not in men]
    in_turn = {True: cycle(men or ordered), False: cycle(women or ordered)}
    return {name: next(in_turn[name in MALE_NAMES]) for name in OPENAI_VOICES}


class KokoroLanguages:
    """Those of the model's `languages` that it was trained to speak, else all of these."""

    def __init__(self, model: Model) -> None:
        self._model_id = model.id
        declared = {language_code(name) for name in model.languages or ()}
        self._codes = {code for code in CODES.values() if not declared or code in declared}

    def own(self, voice: str) -> str:
        """The code of the language that a voice speaks where none is asked for."""
        return CODES[self._letter(voice)]

    def tag(self, voice: str, language: str | None) -> str:
        """espeak-ng's name of the language that is asked for, else of the voice's own.
        InvalidRequest for one that the model does not speak.
        """
        own = TAGS[self._letter(voice)]
        if language is None:
            return own
        asked, code = language.lower().replace("_", "-"), language_code(language)
        if code not in self._codes:
            raise InvalidRequest(
                f"model {self._model_id!r} does not speak {language[:50]!r}",
                remedy=f"languages: {', '.join(sorted(self._codes))}",
                param="language",
            )
        tags = [tag for tag in TAGS.values() if tag.partition("-")[0] == code]
        return next((tag for tag in (asked, own, *tags) if tag in tags), own)

    def _letter(self, voice: str) -> str:
        return voice[0] if CODES.get(voice[:1]) in self._codes else DEFAULT
