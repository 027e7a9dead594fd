"""What the type checker knows of operations, and mistakes that it finds: an `ignore` that is not
needed fails the check. Nothing here is ever run.
"""

from collections.abc import AsyncIterator
from typing import Any, assert_type

from serve_app.api.call import Call
from serve_app.api.runs import run_to_result
from serve_app.catalog.catalog import Catalog
from serve_app.core.audio.diarization import Diarization, Diarize
from serve_app.core.audio.speech import CloneSpeech, Speak, SpeechEvent, SpokenAudio
from serve_app.core.audio.transcription import Transcribe, TranscriptionEvent
from serve_app.core.image.images import Images, ImageToImage, TextToImage
from serve_app.core.jobs import Job
from serve_app.core.message import Progress
from serve_app.core.operation import Operation, Run
from serve_app.core.stages import Stages
from serve_app.core.text.chat import Chat, ChatEvent, CollectedText


def items_of_streams(
    run: Run, diarize: Diarize, transcribe: Transcribe, chat: Chat, speak: Speak
) -> None:
    """What `run` yields."""
    assert_type(run(diarize), AsyncIterator[Progress | Diarization])
    assert_type(run(transcribe), AsyncIterator[TranscriptionEvent])
    assert_type(run(chat), AsyncIterator[ChatEvent])
    assert_type(run(speak), AsyncIterator[SpeechEvent])


async def results(
    stages: Stages, call: Call, image: TextToImage | ImageToImage, speech: Speak | CloneSpeech
) -> None:
    """What an operation results in: as a stage where its stream brings it, and as a job always."""
    assert_type(await stages.run("image", image), Images)
    assert_type(await run_to_result(call, image), tuple[Job, Images])
    assert_type(await run_to_result(call, speech), tuple[Job, SpokenAudio])


async def mistakes(
    run: Run, stages: Stages, catalog: Catalog, chat: Chat, transcribe: Transcribe, call: Call
) -> None:
    """Results that a stream does not bring, or brings among others, and items that it has not."""
    await stages.run("chat", chat)  # type: ignore[misc]
    await catalog.answer(chat)  # type: ignore[misc]
    await stages.run("transcribe", transcribe)  # type: ignore[misc]
    deltas: AsyncIterator[Progress] = run(chat)  # type: ignore[arg-type]
    job, images = await run_to_result(call, chat)
    collected: CollectedText = images
    wrong: Images = images  # type: ignore[assignment]
    other: Operation[Images] = chat  # type: ignore[assignment]
    unused: Any = (deltas, job, collected, wrong, other)
    del unused
