"""The fake Diarizer."""

from collections.abc import AsyncGenerator

from deployments.fakes.engine import FakeEngine
from serve_app.core.audio.diarization import (
    Diarization,
    DiarizationEvent,
    Diarize,
    SpeakerTurn,
    speaker_name,
)
from serve_app.core.message import Progress
from serve_app.core.notices import Notice

TURNS = 3


class FakeDiarization(FakeEngine):
    """A Diarizer that hears somebody else every second."""

    async def diarize(self, request: Diarize) -> AsyncGenerator[DiarizationEvent]:
        """Three seconds of the given number of speakers, else of two."""
        speakers = request.num_speakers or 2
        async with self.working("diarize", request.audio.sha256):
            yield Progress(phase="diarize", current=1, total=TURNS)
        yield Diarization(
            turns=tuple(
                SpeakerTurn(start=k, end=k + 1, speaker=speaker_name(k % speakers))
                for k in range(TURNS)
            ),
            warnings=(Notice(text="nobody listened"),),
        )
