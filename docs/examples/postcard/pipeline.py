"""postcard: an image with a caption that is read aloud."""

from collections.abc import AsyncGenerator

from pipelines.parallel import Attempt, attempted, gather_in_order
from pipelines.utterances import Utterance, speak_line
from serve_app.core.audio.speech import Speak
from serve_app.core.image.images import Images, TextToImage
from serve_app.core.media import BlobStore
from serve_app.core.notices import Notice
from serve_app.core.stages import Stages
from serve_app.core.text.chat import Chat, ChatDelta, ChatMessage, Sampling, TextPart
from serve_app.core.video.postcard import CAPTION, IMAGE, VOICE, Postcard, SendPostcard
from serve_app.runtime.streams import gathered

INSTRUCTION = "Write the caption of a postcard that shows this, in one short sentence."


class PostcardPress:
    """Generates the image while the caption is read aloud."""

    operation = SendPostcard

    def __init__(self, stage: Stages, blobs: BlobStore) -> None:
        self._stage = stage
        self._blobs = blobs

    async def run(self, request: SendPostcard) -> AsyncGenerator[Postcard]:
        """The postcard. It fails if the caption or the image fails; a caption that cannot be read
        aloud is a warning.
        """
        caption = await self._stage(CAPTION, lambda: self._written(request), str)
        generated, (read, error) = await gather_in_order(
            self._generated(request), self._read(request, caption)
        )
        warnings = [*generated.warnings, *(read.warnings if read else ())]
        warnings += [Notice(text=error.explanation)] if error else []
        yield Postcard(
            image=generated.images[0].image,
            caption=caption,
            audio=read.audio if read else None,
            size=request.size,
            seed=request.seed,
            warnings=tuple(warnings),
        )

    async def _written(self, request: SendPostcard) -> str:
        operation = Chat(
            model=request.text_model,
            messages=(
                ChatMessage(role="system", content=(TextPart(text=INSTRUCTION),)),
                ChatMessage(role="user", content=(TextPart(text=request.prompt),)),
            ),
            sampling=Sampling(max_tokens=40, seed=request.seed % 2**31),
        )
        events = await gathered(self._stage.operations(operation))
        text = "".join(event.text for event in events if isinstance(event, ChatDelta))
        return " ".join(text.split()) or request.prompt

    async def _generated(self, request: SendPostcard) -> Images:
        operation = TextToImage(
            model=request.image_model, prompt=request.prompt, size=request.size, seed=request.seed
        )
        return await self._stage.run(IMAGE, operation)

    async def _read(self, request: SendPostcard, caption: str) -> Attempt[Utterance]:
        if request.speech_model is None:
            return None, None
        operation = Speak(model=request.speech_model, text=caption, format="wav")
        run = self._stage.operations
        return await attempted(
            self._stage(VOICE, lambda: speak_line(run, self._blobs, operation), Utterance)
        )
