"""Which finishing steps a video is asked for: what nothing configured can do is refused here, by
what would be needed for it.
"""

from serve_app.api.context import Context
from serve_app.api.v1.video.video_audio import audio_warnings, lines, needed_for, video_background
from serve_app.api.v1.video.video_body import FinishingFields, VideoBody
from serve_app.api.v1.video.video_language import dubbing, language_warnings, subtitling
from serve_app.catalog.catalog import Catalog
from serve_app.catalog.depth_selection import select_depth
from serve_app.catalog.upscaler_selection import select_upscaler
from serve_app.core.error_fields import renamed_error_fields
from serve_app.core.errors import UnsupportedCapability
from serve_app.core.image.upscaling import VideoFactor
from serve_app.core.notices import Notice
from serve_app.core.video.finishing import (
    AUDIO,
    BURN,
    DUB,
    INTERPOLATE,
    MAKE_AUDIO,
    STEREO,
    SUBTITLE,
    UPSCALE,
    InterpolationStep,
    StereoStep,
    UpscalingStep,
    VideoFinish,
)

STEP_FIELDS = {
    INTERPOLATE: "interpolate_output",
    UPSCALE: "upscale_output",
    MAKE_AUDIO: "add_audio",
    DUB: "dub_video",
    BURN: "burn_subtitles",
    STEREO: "convert_to_3d",
    AUDIO: "add_audio",
}
"""What a step is called here."""
NO_LIPS = "no configured model can synchronise lips"
NOT_SERVED: dict[str, str] = {
    "text_guidance_scale": "no configured model is driven by audio",
    "audio_guidance_scale": "no configured model is driven by audio",
    "sync_audio": "no configured model generates video from audio",
    "lip_sync": NO_LIPS,
}
"""By field: why it cannot be asked for. A step that is served has no line here."""

SWITCHES: dict[str, tuple[str, ...]] = {
    "audio_type": ("add_audio",),
    "audio_prompt": ("add_audio",),
    "tts_voice": ("tts_text", "dialogs"),
    "tts_speed": ("tts_text", "dialogs"),
    "lip_sync_method": ("lip_sync",),
    "translate_subtitles": ("generate_subtitles", "burn_subtitles"),
    "subtitle_language": ("generate_subtitles", "burn_subtitles"),
    "subtitle_target_lang": ("translate_subtitles",),
    "subtitle_style": ("burn_subtitles",),
    "whisper_model": ("generate_subtitles", "burn_subtitles", "dub_video"),
    "dub_target_lang": ("dub_video",),
    "dub_source_lang": ("dub_video",),
    "voice_clone": ("dub_video",),
    "upscale_factor": ("upscale_output",),
    "fps_multiplier": ("interpolate_output",),
    "depth_method": ("convert_to_3d",),
}
"""By detail: the fields without one of which it has no effect."""


def refuse_not_served(body: VideoBody) -> None:
    """UnsupportedCapability, naming the field."""
    for name, why in NOT_SERVED.items():
        if getattr(body, name):
            raise UnsupportedCapability(why, param=name)
    if body.stage in ("distill", "refinement"):
        raise UnsupportedCapability(
            f"no configured model has the stage {body.stage!r}",
            remedy="leave it out",
            param="stage",
        )


async def to_finish(
    body: FinishingFields, context: Context, *, video_prompt: str | None, has_source: bool
) -> tuple[VideoFinish, list[Notice]]:
    """The steps, their media stored, and what is known to be missing in their result. A video that
    `has_source` sounds as that does.
    """
    background = await video_background(body, context, video_prompt=video_prompt)
    spoken = await lines(body, context)
    audio = None
    if body.audio_file is not None:
        audio = await context.intake.take(body.audio_file, param="audio_file", kind="audio")
    has_speech = bool(spoken) or audio is not None or has_source
    dubbed = await dubbing(body, context.catalog, has_speech=has_speech)
    is_known = bool(spoken)
    requested = await subtitling(body, context.catalog, has_speech=has_speech, is_known=is_known)
    finish = VideoFinish(
        frames=await _frames(body, context.catalog),
        size=await larger_frames(body.upscale_output, body.upscale_factor, context.catalog),
        lines=spoken,
        audio=audio,
        background=background,
        keeps_audio=has_source,
        dubbing=dubbed,
        subtitles=requested,
        writes_subtitles=bool(body.generate_subtitles),
        burns_subtitles=bool(body.burn_subtitles),
        stereo=await _stereo(body, context.catalog),
        fields=step_fields(body),
    )
    warnings = audio_warnings(body) + language_warnings(body, dubbed, is_known=is_known)
    return finish, warnings


def step_fields(body: FinishingFields) -> dict[str, str]:
    """The field that asks for each step."""
    subtitles = "generate_subtitles" if body.generate_subtitles else "burn_subtitles"
    audio = "audio_file" if body.audio_file is not None else "add_audio"
    return STEP_FIELDS | {SUBTITLE: subtitles, AUDIO: audio}


def idle_details(body: FinishingFields) -> list[Notice]:
    """A warning for every detail of a step that is not asked for."""
    return [
        Notice(field=name, text=f"has no effect without {' or '.join(map(repr, switches))}")
        for name, switches in SWITCHES.items()
        if getattr(body, name) not in (None, False) and not any(getattr(body, s) for s in switches)
    ]


async def larger_frames(
    is_asked: bool | None, factor: VideoFactor | None, catalog: Catalog
) -> UpscalingStep | None:
    """Which model makes the frames larger; one that resizes is used where none is trained."""
    if not is_asked:
        return None
    async with needed_for("upscale_output"):
        found = await select_upscaler(catalog, None, allows_resize=True)
    return UpscalingStep(model=found.id, factor=factor or 2, allows_resize=True)


async def _frames(body: FinishingFields, catalog: Catalog) -> InterpolationStep | None:
    if not body.interpolate_output:
        return None
    async with needed_for("interpolate_output"):
        found = catalog.find("interpolation", None)
    return InterpolationStep(model=found.id, multiplier=body.fps_multiplier or 2)


async def _stereo(body: FinishingFields, catalog: Catalog) -> StereoStep | None:
    if not body.convert_to_3d:
        return None
    async with needed_for("convert_to_3d"):
        with renamed_error_fields({"method": "depth_method"}):
            found = await select_depth(catalog, body.depth_method)
    return StereoStep(model=found.id, method=body.depth_method)
