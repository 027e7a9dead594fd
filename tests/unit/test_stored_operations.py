"""What earlier versions have stored of operations and results, under the names of their time."""

from typing import Any

from serve_app.core.audio.transcription import Transcript
from serve_app.core.image.images import TextToImage
from serve_app.core.media import Blob
from serve_app.core.operations import read_operation, read_result, to_json
from serve_app.core.text.chat import Chat, ChatMessage, ImagePart, Tool
from serve_app.core.video.generation import GenerateVideo
from serve_app.core.video.image_to_video import AnimatePrompt
from serve_app.core.video.story import StoryVideo
from serve_app.core.video.subtitling import SubtitleVideo

BLOB = {"sha256": "ab" * 32, "mime": "image/png", "size": 3}


def test_a_story_that_was_stored_with_pictures_and_a_film() -> None:
    content: dict[str, Any] = {
        "scenes": [{"scene": {"line": "a", "picture": "a fox"}, "picture": BLOB, "clip": None}],
        "film": BLOB,
        "film_error": None,
        "size": {"width": 8, "height": 8},
        "seed": 3,
    }
    told = read_result("pipeline.story", content)
    assert isinstance(told, StoryVideo)
    assert told.video == told.scenes[0].image == Blob(**BLOB)
    assert told.scenes[0].scene.image == "a fox"
    assert read_result("pipeline.story", to_json(told)) == told


def test_a_video_that_was_asked_for_with_a_picture() -> None:
    asked = AnimatePrompt(
        image=TextToImage(model="m", prompt="a fox", seed=1),
        generation=GenerateVideo(model="v", mode="i2v", prompt="a fox", seed=1, num_frames=9),
    )
    content = to_json(asked)
    content["picture"] = content.pop("image")
    assert read_operation("pipeline.image-to-video", content) == asked


def test_subtitles_of_what_was_heard() -> None:
    transcript = Transcript(text="a", language="en", duration_s=1.0, segments=())
    asked = SubtitleVideo(
        video=Blob(**BLOB), transcript=transcript, is_translated_while_transcribed=True
    )
    content = to_json(asked)
    content["heard"] = content.pop("transcript")
    content["is_translated_while_heard"] = content.pop("is_translated_while_transcribed")
    assert read_operation("video.subtitle", content) == asked


def test_what_a_client_has_written_keeps_its_words() -> None:
    schema = {"properties": {"film": {"type": "string"}, "task": {"picture": [{"heard": 1}]}}}
    asked = Chat(
        model="m",
        messages=(ChatMessage(role="user", content=(ImagePart(image=Blob(**BLOB)),)),),
        tools=(Tool(name="rate", parameters=schema),),
    )
    content = to_json(asked)
    part = content["messages"][0]["content"][0]
    part["picture"] = part.pop("image")
    assert read_operation("chat", content) == asked
