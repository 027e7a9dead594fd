"""The fake AudioGenerator."""

import math
import struct
from collections.abc import AsyncGenerator

from deployments.fakes.engine import FakeEngine
from serve_app.core.audio.audio_generation import AudioEvent, GenerateAudio, GeneratedAudio
from serve_app.core.message import Progress

SAMPLE_RATE = 24_000
HZ: dict[str, int] = {"music": 440, "ambient": 220, "sfx": 880}


class FakeAudio(FakeEngine):
    """An AudioGenerator that plays one tone per kind, whatever the prompt says."""

    async def generate_audio(self, request: GenerateAudio) -> AsyncGenerator[AudioEvent]:
        """At a third of full scale, as long as is asked for."""
        count = round(request.duration_s * SAMPLE_RATE)
        async with self.working("generate_audio", request.prompt):
            yield Progress(phase="generate", current=1, total=1)
        audio = await self.blobs.write(_played(HZ[request.kind], count), mime="audio/wav")
        yield GeneratedAudio(
            audio=audio,
            duration_s=count / SAMPLE_RATE,
            sample_rate=SAMPLE_RATE,
            channels=1,
            seed=request.seed,
        )


async def _played(hz: int, count: int) -> AsyncGenerator[bytes]:
    from deployments.audio.audio_encoding import wav_header

    step = 2 * math.pi * hz / SAMPLE_RATE
    # Whole cycles fit into a second, so that one follows the other without a click.
    second = struct.pack(
        f"<{SAMPLE_RATE}h", *(int(11_000 * math.sin(k * step)) for k in range(SAMPLE_RATE))
    )
    yield wav_header(SAMPLE_RATE, 2 * count)
    for start in range(0, count, SAMPLE_RATE):
        yield second[: 2 * (count - start)]
