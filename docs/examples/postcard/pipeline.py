"""postcard: an image with a caption that is read aloud."""

from collections.abc import AsyncGenerator

from pipelines.parallel import Tried, together, tried
from pipelines.utterances import Utterance, uttered
from serve_app.core.audio.speech import Speak, SpeechModel
from serve_app.core.image.images import ImageModel, Images, TextToImage
from serve_app.core.media import BlobStore
from serve_app.core.stages import Stage, result_of
from serve_app.core.text.chat import Chat, ChatDelta, ChatMessage, ChatModel, Sampling, TextPart
from serve_app.core.video.postcard import (
    CAPTION,
    IMAGE,
    VOICE,
    Postcard,
    PostcardEvent,
    SendPostcard,
)
from serve_app.runtime.streams import gathered

INSTRUCTION = "Write the caption of a postcard that shows this, in one short sentence."


class PostcardPress:
    """A PostcardSender. The image is drawn while the caption is read."""

    def __init__(
        self,
        chat: ChatModel,
        images: ImageModel,
        speech: SpeechModel,
        blobs: BlobStore,
        stage: Stage,
    ) -> None:
        self._chat = chat
        self._images = images
        self._speech = speech
        self._blobs = blobs
        self._stage = stage

    async def send_postcard(self, request: SendPostcard) -> AsyncGenerator[PostcardEvent]:
        """See PostcardSender. A stage that fails is named in its error."""
        caption = await self._stage(CAPTION, lambda: self._written(request))
        drawn, (read, error) = await together(self._drawn(request), self._read(request, caption))
        warnings = [*drawn.warnings, *(read.warnings if read else ())]
        yield Postcard(
            image=drawn.images[0].image,
            caption=caption,
            audio=read.audio if read else None,
            size=request.size,
            seed=request.seed,
            warnings=(*warnings, error.message) if error else tuple(warnings),
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
        events = await gathered(self._chat.chat(operation))
        text = "".join(event.text for event in events if isinstance(event, ChatDelta))
        return " ".join(text.split()) or request.prompt

    async def _drawn(self, request: SendPostcard) -> Images:
        operation = TextToImage(
            model=request.image_model, prompt=request.prompt, size=request.size, seed=request.seed
        )
        return await self._stage(
            IMAGE,
            lambda: result_of(self._stage, IMAGE, self._images.text_to_image(operation), Images),
        )

    async def _read(self, request: SendPostcard, caption: str) -> Tried[Utterance]:
        if request.speech_model is None:
            return None, None
        operation = Speak(model=request.speech_model, text=caption, format="wav")
        return await tried(
            self._stage(VOICE, lambda: uttered(self._speech, self._blobs, operation))
        )
