"""Where Amazon Bedrock is called: URLs of its services, of a provider's base URL and region."""

import re
from urllib.parse import quote, urlsplit, urlunsplit

from serve_app.core.errors import BackendUnavailable, ModelNotFound
from serve_app.core.upstreams.provider import Provider

MAKER = re.compile(r"(?:(?:[a-z]{2}(?:-[a-z]{1,10})?|apac|global)\.)?([a-z0-9]{2,30})\.[a-z0-9]")
"""After the region of an inference profile."""
RUNTIME, CONTROL = "bedrock-runtime", "bedrock"


def region_of(provider: Provider) -> str:
    """That of the settings, else of the base URL. BackendUnavailable where neither says one."""
    if provider.settings is not None and provider.settings.region:
        return provider.settings.region
    parts = (urlsplit(provider.base_url).hostname or "").split(".")
    if len(parts) > 2 and parts[0].startswith("bedrock"):
        return parts[1]
    raise BackendUnavailable(
        f"provider {provider.name!r} has no region",
        remedy="set settings.region",
        provider=provider.name,
    )


def invoke_url(provider: Provider, model: str, verb: str = "invoke-with-response-stream") -> str:
    """Of a model's stream. Ids are percent-encoded, colons and slashes of ARNs too."""
    if model in ("", ".", ".."):
        raise ModelNotFound(f"unknown model {model!r}", param="model", provider=provider.name)
    return _below(provider.base_url, f"/model/{quote(model, safe='')}/{verb}")


def maker_of(model: str) -> str | None:
    """Who made the model of an id, of an inference profile or of an ARN; None where it is not in
    it, as in ARNs of profiles of one's own.
    """
    found = MAKER.match(model.rpartition("/")[2])
    return found[1] if found else None


def control_url(provider: Provider, path: str) -> str:
    """Of the service that lists models, which real hosts have beside the one that runs them."""
    parts = urlsplit(provider.base_url)
    if parts.netloc.startswith(RUNTIME):
        parts = parts._replace(netloc=CONTROL + parts.netloc.removeprefix(RUNTIME))
    return _below(urlunsplit(parts), path)


def sts_url(region: str) -> str:
    """Of the service that lends roles."""
    return f"https://sts.{region}.amazonaws.com{'.cn' if region.startswith('cn-') else ''}/"


def _below(base_url: str, path: str) -> str:
    parts = urlsplit(base_url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path))
