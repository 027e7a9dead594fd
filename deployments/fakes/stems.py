"""The fake StemSeparator."""

from collections.abc import AsyncGenerator

from deployments.fakes.engine import FakeEngine
from serve_app.core.audio.stems import STEM_NAMES, STEM_ROLES, SeparateStems, Stem, StemEvent, Stems
from serve_app.core.message import Progress

FAKE_DURATION_S = 3.0


class FakeStems(FakeEngine):
    """A StemSeparator that passes for a trained one and hands back the mix as every stem."""

    async def separate_stems(self, request: SeparateStems) -> AsyncGenerator[StemEvent]:
        """Always three seconds."""
        async with self.working("separate", request.audio.sha256):
            yield Progress(phase="separate", current=1, total=3)
        yield Stems(
            stem_mode=request.stem_mode,
            stems=tuple(
                Stem(name=name, role=STEM_ROLES[name], audio=request.audio)
                for name in STEM_NAMES[request.stem_mode]
            ),
            engine="fake",
            model=self.model.id,
            quality="ml",
            dependency="none",
            duration_s=FAKE_DURATION_S,
        )
