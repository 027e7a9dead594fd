"""The fake VoiceConverter."""

from collections.abc import AsyncGenerator

from deployments.fakes.engine import FakeEngine
from serve_app.core.audio.voice_conversion import ConversionEvent, ConvertedVoice, ConvertVoice
from serve_app.core.message import Progress

FAKE_DURATION_S = 3.0


class FakeConversion(FakeEngine):
    """A VoiceConverter that hands back the source, and has heard of everything."""

    async def convert_voice(self, request: ConvertVoice) -> AsyncGenerator[ConversionEvent]:
        """Always three seconds."""
        async with self.working("convert", request.source.sha256):
            yield Progress(phase="convert", current=1, total=3)
        yield ConvertedVoice(audio=request.source, duration_s=FAKE_DURATION_S)
