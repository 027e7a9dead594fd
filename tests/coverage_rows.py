"""What is documented of the five systems whose clients the server serves: the rows of
docs/coverage.md, by system. A row is shown by the tests that are marked with it.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """An item; `page` of docs/ says how it is served here. What is `planned` has no test yet."""

    item: str
    page: str
    is_planned: bool = False


def planned(item: str) -> Row:
    """What is not there yet."""
    return Row(item, "", is_planned=True)


ROWS: dict[str, tuple[Row, ...]] = {
    "CoderAI": (
        Row("Bearer tokens", "operations.md"),
        Row("web sessions", "operations.md"),
        Row("the base URL is configured", "settings.md"),
        Row("GET and POST /admin/api/tokens", "operations.md"),
        Row("the pages of the administration", "operations.md"),
        Row("/docs and /openapi.json", "api.md"),
        Row("GET /v1/models", "models.md"),
        Row("GET /coderai/capabilities", "api.md"),
        Row("GET /v1/files/{name}", "api.md"),
        Row("GET /v1/archive, DELETE /v1/archive/{name}", "api.md"),
        Row("POST /v1/chat/completions", "text.md"),
        Row("chat: streams", "text.md"),
        Row("chat: tools and tool_choice", "text.md"),
        Row("chat: repeat penalty", "text.md"),
        Row("chat: thinking", "text.md"),
        Row("POST /v1/completions", "text.md"),
        Row("POST /v1/embeddings", "text.md"),
        Row("POST /v1/images/generations", "images.md"),
        Row("POST /v1/images/edits", "images.md"),
        Row("POST /v1/images/inpaint", "images.md"),
        Row("POST /v1/images/upscale", "images.md"),
        Row("POST /v1/images/depth", "images.md"),
        Row("POST /v1/images/segment", "images.md"),
        Row("POST /v1/images/faceswap", "images.md"),
        Row("POST /v1/video/generations", "video.md"),
        Row("POST /v1/video/upscale", "video.md"),
        Row("POST /v1/video/subtitle", "video.md"),
        Row("POST /v1/video/interpolate", "video.md"),
        Row("POST /v1/video/dub", "video.md"),
        Row("POST /v1/audio/transcriptions", "audio.md"),
        Row("POST /v1/audio/speech", "audio.md"),
        Row("POST /v1/audio/clone", "audio.md"),
        Row("POST /v1/audio/convert", "audio.md"),
        Row("POST /v1/audio/stems", "audio.md"),
        Row("POST /v1/pipelines/image-to-video", "pipelines.md"),
        Row("POST /v1/pipelines/video-dub", "pipelines.md"),
        Row("POST /v1/pipelines/story", "pipelines.md"),
        Row("character profiles", "images.md"),
        Row("environment profiles", "images.md"),
        Row("voice profiles", "audio.md"),
        Row("media as an HTTP URL", "api.md"),
        Row("media as the URL of an own file", "api.md"),
        Row("media as base64 or data URL", "api.md"),
        Row("outputs as url, b64_json, b64_mp4, b64_wav or b64_mp3", "api.md"),
    ),
    "aistack": (
        Row("routes below /v1", "api.md"),
        Row("no credential is needed by default on the own machine", "operations.md"),
        Row("POST /v1/audio/transcriptions with task_type", "audio.md"),
        Row("POST /v1/audio/speech with the fields of cloning", "audio.md"),
        Row("POST /v1/chat/completions", "text.md"),
        Row("GET /v1/models with capabilities and languages", "models.md"),
        Row("is_routing_alias and supports_streaming", "models.md"),
        Row("unknown and additional fields are accepted", "api.md"),
        Row("streams of transcripts", "audio.md"),
        Row("streams of audio", "audio.md"),
        Row("errors with kind, provider and message", "errors.md"),
        Row("the page that shows what the server does", "operations.md"),
    ),
    "Velesio": (
        Row("POST /completion", "clients.md"),
        Row("POST /chat/completions", "clients.md"),
        Row("streams, frames and [DONE]", "clients.md"),
        Row("the error object and its codes", "clients.md"),
        Row("Bearer tokens, API_TOKENS", "clients.md"),
        Row("GET /health", "clients.md"),
        Row("GET /models", "clients.md"),
        Row("GET /queue/status", "clients.md"),
        Row("GET and DELETE /queue/jobs", "clients.md"),
        Row("60 requests a minute, 10 at once, X-RateLimit-*", "clients.md"),
        Row("LLM for Unity, version 2", "clients.md"),
        Row("LLM for Unity, version 3", "clients.md"),
        Row("POST /tokenize and /detokenize", "clients.md"),
        Row("POST /embeddings and /embedding", "clients.md"),
        Row("Python and JavaScript clients", "clients.md"),
        Row("POST /sdapi/v1/txt2img, ten fields", "clients.md"),
        Row("POST /sdapi/v1/img2img, seven fields", "clients.md"),
    ),
    "Coder": (
        Row("GET and POST /api/v2/ai/providers", "providers.md"),
        Row("GET, PATCH and DELETE /api/v2/ai/providers/{id or name}", "providers.md"),
        Row("api_keys, base_url, settings and the eight types", "providers.md"),
        Row("Coder-Session-Token at these routes", "providers.md"),
        Row("models of providers in /v1/models and in requests", "providers.md"),
    ),
    "Automatic1111": (
        Row("POST /sdapi/v1/txt2img", "clients.md"),
        Row("POST /sdapi/v1/img2img", "clients.md"),
        Row("options choose the model of the later calls", "clients.md"),
        Row("progress with a preview, interrupt and skip", "clients.md"),
        Row("samplers, schedulers, models and the other lists", "clients.md"),
        Row("extra-single-image and extra-batch-images", "clients.md"),
        Row("png-info and infotexts", "clients.md"),
        Row("interrogate", "clients.md"),
        Row("Basic credentials", "clients.md"),
        Row("the error object, and Velesio's", "clients.md"),
        Row("the webuiapi client", "clients.md"),
    ),
    "AI Server": (
        Row("synchronous requests", "clients.md"),
        Row("the limit of synchronous requests", "clients.md"),
        Row("queued requests", "clients.md"),
        Row("callbacks", "clients.md"),
        Row("artifacts", "clients.md"),
        Row("OpenAiChatCompletion", "clients.md"),
        Row("QueueOpenAiChatCompletion", "clients.md"),
        Row("TextToImage", "clients.md"),
        Row("ImageToImage", "clients.md"),
        Row("ImageWithMask", "clients.md"),
        Row("ImageUpscale", "clients.md"),
        Row("ImageToText", "clients.md"),
        Row("SpeechToText", "clients.md"),
        Row("TextToSpeech", "clients.md"),
        Row("ScaleVideo", "clients.md"),
        Row("CropVideo", "clients.md"),
        Row("WatermarkVideo", "clients.md"),
        Row("ConvertVideo", "clients.md"),
        Row("TrimVideo", "clients.md"),
        Row("ScaleImage", "clients.md"),
        Row("CropImage", "clients.md"),
        Row("WatermarkImage", "clients.md"),
        Row("ConvertImage", "clients.md"),
        Row("ConvertAudio", "clients.md"),
        Row("the typed Python client", "clients.md"),
    ),
}
