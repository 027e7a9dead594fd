"""Voice conversion by SpeechT5 through transformers. Imported only where torch is."""

import tempfile
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import closing as closed
from pathlib import Path

import numpy as np
import torch
import transformers
from typing_extensions import override

from deployments.audio.audio_decoding import first_seconds, speech_blocks
from deployments.audio.pcm_wav import written_wav
from deployments.audio.rubberband import Reshaping, ffmpeg_path, reshaped
from deployments.audio.rubberband_conversion import without_diffusion
from deployments.audio.speaker_embedding import SpeakerEmbedder, float_samples
from deployments.audio.speech_cuts import SpeechCut, pieces_at_pauses
from deployments.audio.transformers_speech_parts import (
    Interruption,
    SpeechStopped,
    as_samples,
    placed,
)
from deployments.audio.voice_character import measured_character
from deployments.model_engine import ModelEngine
from deployments.torch_device import device_of
from deployments.torch_seeding import seeded
from deployments.transformers_checkpoint import loading
from serve_app.core.audio.voice_conversion import (
    ConversionEvent,
    ConvertedVoice,
    ConvertVoice,
    VoiceConverter,
)
from serve_app.core.config import Model
from serve_app.core.errors import BackendUnavailable, InvalidRequest
from serve_app.core.media import BlobStore
from serve_app.core.message import Progress
from serve_app.core.notices import Notice
from serve_app.core.options.audio import SpeechT5ConversionOptions
from serve_app.runtime.streams import closing
from serve_app.runtime.threads import in_thread

TARGET_S = 30.0
SHORTEST, LONGEST = 0.5, 2.5
"""Frames of the result per frame of the source; as they are counted, 1.25 is the same duration."""
SHORTEST_PIECE = 1_600
"""Samples; the convolutions that listen need some."""
NOT_SUNG = Notice(
    text="singing changes only the sample rate: this model follows speech, not melodies"
)
Stop = Callable[[], bool]


class SpeechT5Conversion(ModelEngine[SpeechT5ConversionOptions], VoiceConverter):
    """A VoiceConverter. Long audio is converted in pieces that end in pauses."""

    def __init__(
        self,
        options: SpeechT5ConversionOptions,
        model: Model,
        *,
        path: Path | None,
        blobs: BlobStore,
        vocoder: Path | None = None,
        speaker_model: Path | None = None,
    ) -> None:
        super().__init__(options, model, path=path, blobs=blobs)
        ffmpeg_path()
        device = device_of(options)
        with loading(model, path) as checkpoint:
            self._model = placed(_converter(checkpoint, options), device)
            self._vocoder = placed(_vocoder(vocoder or checkpoint / "vocoder"), device)
            self._embedder = SpeakerEmbedder(
                speaker_model or checkpoint / "speaker_model",
                device,
                size=int(self._model.config.speaker_embedding_dim),
            )
        self._interruption = Interruption(self._model.speecht5.decoder.prenet)
        self._lock = threading.Lock()

    async def close(self) -> None:
        """Forgetting the weights frees them."""
        for name in ("_model", "_vocoder", "_embedder", "_interruption"):
            self.__dict__.pop(name, None)

    @override
    async def convert_voice(self, request: ConvertVoice) -> AsyncGenerator[ConversionEvent]:
        """Progress in seconds of the result."""
        samples = 0
        with tempfile.TemporaryDirectory(prefix="voice-") as folder:
            wav = Path(folder) / "converted.wav"
            async with (
                self.blobs.local_file(request.source) as source,
                self.blobs.local_file(request.target) as target,
            ):
                work = in_thread(lambda stop: self._written(request, source, target, wav, stop))
                async with closing(work):
                    async for count in work:
                        samples = count
                        yield Progress(phase="convert", current=samples // request.sample_rate)
            audio = await self.blobs.write_file(wav, mime="audio/wav")
        yield ConvertedVoice(
            audio=audio,
            duration_s=samples / request.sample_rate,
            warnings=tuple(self._warnings(request)),
        )

    def _warnings(self, request: ConvertVoice) -> Iterator[Notice]:
        yield from without_diffusion(request, self.model.id)
        if request.is_singing:
            yield NOT_SUNG

    def _written(
        self, request: ConvertVoice, source: Path, target: Path, wav: Path, stop: Stop
    ) -> Iterator[int]:
        """Pitch and duration are changed on the way out, as the model knows neither."""
        voice = self._voice(target, stop)
        speech = self._converted_pieces(source, voice, stop)
        shift = 2 ** (request.pitch_shift / 12)
        audio = reshaped(
            speech,
            Reshaping(shift, request.length_adjust),
            rate=int(self._vocoder.config.sampling_rate),
            out_rate=request.sample_rate,
            stop=stop,
        )
        with closed(audio):
            yield from written_wav(wav, audio, sample_rate=request.sample_rate, param="source")

    def _voice(self, target: Path, stop: Stop) -> torch.Tensor:
        blocks = list(first_seconds(speech_blocks(target, param="target"), TARGET_S))
        if measured_character(iter(blocks), stop).pitch_hz is None and not stop():
            raise InvalidRequest(
                "no voice was detected in the target",
                remedy="send a recording with speech",
                param="target",
            )
        return self._embedder.vector(float_samples(iter(blocks)))

    def _converted_pieces(self, source: Path, voice: torch.Tensor, stop: Stop) -> Iterator[bytes]:
        rate = int(self._vocoder.config.sampling_rate)
        for piece in pieces_at_pauses(speech_blocks(source, param="source")):
            if stop():
                return
            if piece.is_silent:
                yield bytes(2 * round(piece.duration_s * rate))
            else:
                yield self._converted(piece, voice, stop)

    def _converted(self, piece: SpeechCut, voice: torch.Tensor, stop: Stop) -> bytes:
        """Nothing when it is told to stop, which it is asked between two steps of the decoder."""
        samples = torch.from_numpy(float_samples(iter([piece.pcm])))[None]
        samples = torch.nn.functional.pad(samples, (0, max(0, SHORTEST_PIECE - samples.shape[1])))
        device = self._model.device
        # The decoder drops out at random even now; the same request is to give the same audio.
        with self._lock, seeded(0, device):
            self._interruption.stop = stop
            try:
                waveform = self._model.generate_speech(
                    samples.to(device),
                    voice.to(device),
                    attention_mask=torch.ones_like(samples, dtype=torch.long, device=device),
                    minlenratio=SHORTEST,
                    maxlenratio=LONGEST,
                    vocoder=self._vocoder,
                )
            except SpeechStopped:
                return b""
        scaled = np.clip(as_samples(waveform), -1, 1) * 32767
        return bytes(scaled.astype("<i2").tobytes())


def _converter(path: Path, options: SpeechT5ConversionOptions) -> torch.nn.Module:
    config = transformers.AutoConfig.from_pretrained(path, local_files_only=True)
    if config.model_type != "speecht5":
        raise BackendUnavailable(
            f"a checkpoint of type {config.model_type!r} cannot convert voices",
            remedy="use a SpeechT5 speech-to-speech checkpoint, such as 'microsoft/speecht5_vc'",
        )
    model: torch.nn.Module = transformers.SpeechT5ForSpeechToSpeech.from_pretrained(
        path, local_files_only=True, **options.extra
    )
    return model


def _vocoder(path: Path) -> torch.nn.Module:
    if not path.is_dir():
        raise BackendUnavailable(
            "SpeechT5 needs a vocoder",
            remedy=(
                "set options.vocoder to a hub id such as 'microsoft/speecht5_hifigan', or put it "
                "into the directory 'vocoder' of the model"
            ),
            provider="transformers",
        )
    model: torch.nn.Module = transformers.SpeechT5HifiGan.from_pretrained(
        path, local_files_only=True
    )
    return model
