"""The options of engines for audio."""

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field
from typing_extensions import override

from serve_app.core.audio.audio_generation import AudioKind
from serve_app.core.options.engine import DeviceOptions, EngineOptions, TorchOptions


class FasterWhisperOptions(DeviceOptions):
    """Whisper through CTranslate2.

    `vad` leaves out what holds no voice. `batch_size` is how many chunks of 30 s are decoded at
    once; with 1 they are decoded one after the other, each knowing the text before it.
    """

    honours: ClassVar[frozenset[str]] = frozenset({"prompt", "temperature"})

    engine: Literal["faster_whisper"] = "faster_whisper"
    task: Literal["transcription"] = "transcription"
    compute_type: Literal["default", "int8", "float16", "int8_float16", "float32"] = "default"
    vad: bool = True
    batch_size: int = Field(default=1, ge=1, le=128)
    beam_size: int = Field(default=5, ge=1, le=20)


class TransformersDiarizationOptions(DeviceOptions):
    """Speakers told apart by what a transformers checkpoint makes of voices: x-vectors of WavLM,
    Wav2Vec2, UniSpeech-SAT and kin.

    Voices whose x-vectors are less alike (cosine) than `similarity` are two speakers, where a
    request does not say how many there are; the checkpoint's card says what fits it.
    """

    engine: Literal["transformers_diarization"] = "transformers_diarization"
    task: Literal["diarization"] = "diarization"
    similarity: float = Field(default=0.75, gt=0, lt=1)


class Ge2eOptions(EngineOptions):
    """Speakers told apart by GE2E, a small network, in numpy. The model's source is a directory
    with `ge2e.safetensors`.

    Voices that are less alike (cosine) than `similarity` are two speakers, where a request does not
    say how many there are.
    """

    engine: Literal["ge2e"] = "ge2e"
    task: Literal["diarization"] = "diarization"
    similarity: float = Field(default=0.74, gt=0, lt=1)


class EspeakOptions(EngineOptions):
    """espeak-ng through `espeakng-loader`; needs no download."""

    engine: Literal["espeak"] = "espeak"
    task: Literal["speech"] = "speech"
    voice: str = "en-us"

    @property
    @override
    def clones(self) -> bool:
        return True


class TransformersSpeechOptions(DeviceOptions):
    """VITS (MMS-TTS among them) and SpeechT5 through transformers.

    SpeechT5 needs a `vocoder`, a hub id or a local path, unless its directory holds one under that
    name, and a directory of speaker embeddings (.npy, .pt or .bin), by default `voices` in its own:
    each file is a voice that is named like it. `voice` is the default; else the first. With a
    `speaker_model` for x-vectors, a hub id or a local path, it speaks in the voice of a recording.
    """

    honours: ClassVar[frozenset[str]] = frozenset({"seed"})

    engine: Literal["transformers_speech"] = "transformers_speech"
    task: Literal["speech"] = "speech"
    vocoder: str | None = None
    voices: Path | None = None
    voice: str | None = None
    speaker_model: str | None = None

    @property
    @override
    def clones(self) -> bool:
        return self.speaker_model is not None


class PocketTtsOptions(DeviceOptions):
    """Kyutai's Pocket TTS through transformers, which speaks in the voice of a recording.

    It needs its `audio_tokenizer`, a hub id or a local path, unless its directory holds one under
    that name, and a directory of recordings or their latents, by default `voices` in its own: each
    file is a voice that is named like it. `voice` is the default; else the first.
    """

    honours: ClassVar[frozenset[str]] = frozenset({"seed"})

    engine: Literal["pocket_tts"] = "pocket_tts"
    task: Literal["speech"] = "speech"
    audio_tokenizer: str | None = None
    voices: Path | None = None
    voice: str | None = None

    @property
    @override
    def clones(self) -> bool:
        return True


class PiperOptions(EngineOptions):
    """Piper voices (ONNX) through piper-tts; needs the `piper` extra. The model's source is a voice
    file or a directory that holds one, with its `.onnx.json` beside it.
    """

    remedy: ClassVar[str] = "install the piper extra: pip install 'polyphony[piper]'"

    engine: Literal["piper"] = "piper"
    task: Literal["speech"] = "speech"
    voice: str | None = None


class KokoroOptions(EngineOptions):
    """Kokoro-82M (ONNX) through kokoro-onnx. The model's source is a directory with one `.onnx`
    file and one file of voices (`.npz` or `.bin`).

    `voice` is the default; else the first. `threads` None means as many as there are cores. With
    `fallback`, espeak-ng speaks the languages and has the voices that the model lacks.
    """

    engine: Literal["kokoro"] = "kokoro"
    task: Literal["speech"] = "speech"
    voice: str | None = None
    threads: int | None = Field(default=None, ge=1)
    fallback: Literal["espeak"] | None = None


class DemucsOptions(DeviceOptions):
    """Stems by Demucs. Chunks share `overlap` of their length with the next one; less is quicker
    and worse.
    """

    engine: Literal["demucs"] = "demucs"
    task: Literal["stems"] = "stems"
    overlap: float = Field(default=0.25, ge=0, le=0.5)


class SpleeterOptions(DeviceOptions):
    """Stems by Spleeter's networks in PyTorch: voices and the rest. The model's source is a
    directory with `vocals.safetensors` and `accompaniment.safetensors`.
    """

    stem_modes: ClassVar[frozenset[str]] = frozenset({"vocals-instrumental"})

    engine: Literal["spleeter"] = "spleeter"
    task: Literal["stems"] = "stems"


class HpssOptions(EngineOptions):
    """Stems by signal processing with numpy; needs no model and no download."""

    is_fallback: ClassVar[bool] = True

    engine: Literal["hpss"] = "hpss"
    task: Literal["stems"] = "stems"


class SpeechT5ConversionOptions(DeviceOptions):
    """Voice conversion by SpeechT5 through transformers.

    It needs a `vocoder` and a `speaker_model` for x-vectors, hub ids or local paths, unless its
    directory holds them under these names.
    """

    engine: Literal["speecht5_conversion"] = "speecht5_conversion"
    task: Literal["conversion"] = "conversion"
    vocoder: str | None = None
    speaker_model: str | None = None


class RubberbandOptions(EngineOptions):
    """Voices moved to others by signal processing; needs no model and no download."""

    is_fallback: ClassVar[bool] = True

    engine: Literal["rubberband"] = "rubberband"
    task: Literal["conversion"] = "conversion"


class AudioGenerationOptions(TorchOptions):
    """What engines for audio share. `kinds` is what the models of the family are trained to make;
    requests for another kind go to another family. `dtype` auto is float32 on a CPU and float16
    on a GPU.
    """

    task: Literal["sound"] = "sound"
    kinds: tuple[AudioKind, ...] = Field(default=("music", "sfx", "ambient"), min_length=1)
    guidance_scale: float | None = Field(default=None, ge=0, le=30)


class MusicgenOptions(AudioGenerationOptions):
    """MusicGen, in mono or stereo, through transformers. What is longer than its window goes on
    from the last third of it. `guidance_scale` is by default the checkpoint's; 1 is
    none.
    """

    engine: Literal["musicgen"] = "musicgen"
    kinds: tuple[AudioKind, ...] = Field(default=("music",), min_length=1)
    guidance_scale: float | None = Field(default=None, ge=1, le=30)


class DiffusersAudioOptions(AudioGenerationOptions):
    """Stable Audio, AudioLDM, AudioLDM 2 and MusicLDM through diffusers. `steps` and
    `guidance_scale` are by default the pipeline's own. What is longer than `window_s`, by default
    what the checkpoint is made for, is made of several windows faded into each other.
    """

    engine: Literal["diffusers_audio"] = "diffusers_audio"
    steps: int | None = Field(default=None, ge=1, le=1000)
    window_s: float | None = Field(default=None, ge=0.1, le=600)


AnyTranscriptionOptions = FasterWhisperOptions
AnyDiarizationOptions = TransformersDiarizationOptions | Ge2eOptions
AnySpeechOptions = (
    EspeakOptions | TransformersSpeechOptions | PocketTtsOptions | PiperOptions | KokoroOptions
)
AnyStemsOptions = DemucsOptions | SpleeterOptions | HpssOptions
AnyConversionOptions = SpeechT5ConversionOptions | RubberbandOptions
AnySoundOptions = MusicgenOptions | DiffusersAudioOptions
AudioEngineOptions = (
    AnyTranscriptionOptions
    | AnyDiarizationOptions
    | AnySpeechOptions
    | AnyStemsOptions
    | AnyConversionOptions
    | AnySoundOptions
)
