"""An UpstreamRunner from its parts, the same in a replica and in a test."""

import os
from collections.abc import Mapping

from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.config import AppConfig
from serve_app.core.upstreams.exchange import WireForm
from serve_app.core.upstreams.upstream_calls import WireForm as FormName
from serve_app.upstreams.anthropic_form import AnthropicForm
from serve_app.upstreams.aws_ambient import AmbientCredentials
from serve_app.upstreams.aws_roles import TokenService
from serve_app.upstreams.bedrock_credentials import BedrockCredentials
from serve_app.upstreams.bedrock_form import BedrockForm
from serve_app.upstreams.bedrock_signing import BedrockSigner, utc_now
from serve_app.upstreams.live import LiveProviders
from serve_app.upstreams.openai_form.form import OpenAIForm
from serve_app.upstreams.runner import UpstreamRunner


def wire_forms(config: AppConfig, blobs: FsspecBlobStore) -> Mapping[FormName, WireForm]:
    """Every form that providers are spoken to in."""
    tokens = TokenService(utc_now)
    uses_instance = config.upstreams.instance_credentials
    ambient = AmbientCredentials(os.environ, tokens, uses_instance=uses_instance)
    signer = BedrockSigner(BedrockCredentials(ambient, tokens))
    return {
        "anthropic": AnthropicForm(blobs),
        "bedrock": BedrockForm(blobs, signer),
        "openai": OpenAIForm(blobs, config.limits),
    }


def upstream_runner(
    config: AppConfig, providers: LiveProviders, blobs: FsspecBlobStore
) -> UpstreamRunner:
    """That of one process."""
    return UpstreamRunner(providers, wire_forms(config, blobs), config.upstreams)
