"""Which finishing steps a film can be asked for: what is not served yet is refused in this one
place, by what would be needed for it.
"""

from serve_app.api.v1.video_body import VideoBody
from serve_app.core.errors import UnsupportedCapability

NO_SOUND = "no configured model makes sound for films"
NO_LIPS = "no configured model moves lips"
NO_SUBTITLES = "films are not subtitled in this version; POST the film to a route that does"
NOT_SERVED: dict[str, str] = {
    "text_guidance_scale": "no configured model is driven by sound",
    "audio_guidance_scale": "no configured model is driven by sound",
    "add_audio": NO_SOUND,
    "audio_file": "films are not given sound in this version",
    "tts_text": "films are not given speech in this version",
    "sync_audio": NO_SOUND,
    "lip_sync": NO_LIPS,
    "dialogs": "films are not given speech in this version",
    "generate_subtitles": NO_SUBTITLES,
    "burn_subtitles": NO_SUBTITLES,
    "translate_subtitles": NO_SUBTITLES,
    "dub_video": "films are not dubbed while they are made; POST it to /v1/pipelines/video-dub",
    "voice_clone": "films are not dubbed while they are made",
    "upscale_output": "films are not made larger in this version; ask for a larger size",
    "interpolate_output": "no frames are put in between in this version; ask for a higher fps",
    "convert_to_3d": "no configured model makes films three-dimensional",
}
"""By field: why it cannot be asked for. A step that is served has no line here."""

SWITCHES: dict[str, tuple[str, ...]] = {
    "audio_type": ("add_audio",),
    "audio_prompt": ("add_audio",),
    "tts_voice": ("tts_text", "dialogs"),
    "tts_speed": ("tts_text", "dialogs"),
    "lip_sync_method": ("lip_sync",),
    "subtitle_language": ("generate_subtitles", "burn_subtitles"),
    "subtitle_target_lang": ("translate_subtitles",),
    "subtitle_style": ("burn_subtitles",),
    "whisper_model": ("generate_subtitles", "burn_subtitles", "dub_video"),
    "dub_target_lang": ("dub_video",),
    "dub_source_lang": ("dub_video",),
    "upscale_factor": ("upscale_output",),
    "fps_multiplier": ("interpolate_output",),
    "depth_method": ("convert_to_3d",),
}
"""By detail: the fields without one of which it has no effect."""


def refuse_not_served(body: VideoBody) -> None:
    """UnsupportedCapability, naming the field."""
    for name, why in NOT_SERVED.items():
        if getattr(body, name):
            raise UnsupportedCapability(f"{name}: {why}", param=name)
    if body.stage in ("distill", "refinement"):
        raise UnsupportedCapability(
            f"stage: no configured model has the stage {body.stage!r}; leave it out", param="stage"
        )


def idle_details(body: VideoBody) -> list[str]:
    """A warning for every detail of a step that is not asked for."""
    return [
        f"{name}: has no effect without {' or '.join(map(repr, switches))}"
        for name, switches in SWITCHES.items()
        if getattr(body, name) is not None and not any(getattr(body, s) for s in switches)
    ]
