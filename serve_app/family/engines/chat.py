"""The engines of the task `chat`, each imported where it is chosen."""

from serve_app.core.options.fake import FakeOptions
from serve_app.core.options.text import AnyChatOptions
from serve_app.core.text.chat_model import ChatModel
from serve_app.family.engines.given import EngineSetup


def engine(options: AnyChatOptions | FakeOptions, given: EngineSetup) -> ChatModel:
    match options.engine:
        case "transformers":
            from deployments.text.transformers_chat import TransformersChat

            return TransformersChat(options, **given.common)
        case "vllm":
            from deployments.text.vllm_chat import VllmChat

            return VllmChat(options, **given.common)
        case "llama_cpp":
            from deployments.text.llama_cpp_chat import LlamaCppChat

            return LlamaCppChat(options, **given.common)
        case "fake":
            from deployments.fakes.engine import FakeChat

            return FakeChat(options, **given.common)
