"""Stub of Amazon Bedrock with Anthropic's models, of the Mantle endpoint beside it, and of STS.

Frames: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTSelectObjectAppendix.html
"""

import base64
import json
import struct
import zlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from tests.upstreams.answers import StubRequest
from tests.upstreams.anthropic_stub import events, message
from tests.upstreams.converse_stub import events as converse_events
from tests.upstreams.converse_stub import problem, whole
from tests.upstreams.signatures import ACCESS_KEY, SECRET, fault
from tests.upstreams.vendor_stub import SSE, Reply, VendorStub, sse

EVENT_STREAM = "application/vnd.amazon.eventstream"
XML = 'xmlns="https://sts.amazonaws.com/doc/2011-06-15/"'
IDENTITY = "eyJ.identity"
ASSUMED = {
    "AccessKeyId": "ASIAEXAMPLE",
    "SecretAccessKey": "assumed-secret",
    "SessionToken": "t/+=",
}


def frame(payload: bytes, **headers: str) -> bytes:
    """A message of an event stream; headers are named with `_` for `-`, and all are texts."""
    coded = b""
    for name, value in headers.items():
        key, text = f":{name.replace('_', '-')}".encode(), value.encode()
        coded += struct.pack(">B", len(key)) + key + struct.pack(">BH", 7, len(text)) + text
    prelude = struct.pack(">II", 16 + len(coded) + len(payload), len(coded))
    body = prelude + struct.pack(">I", zlib.crc32(prelude)) + coded + payload
    return body + struct.pack(">I", zlib.crc32(body))


def chunk_frame(event: dict[str, Any]) -> bytes:
    """An event of a model, with the padding that hides its length."""
    data = base64.b64encode(json.dumps(event).encode()).decode()
    payload = json.dumps({"bytes": data, "p": "abcdefgh"}).encode()
    kinds = {"event_type": "chunk", "content_type": "application/json"}
    return frame(payload, **kinds, message_type="event")


def exception_frame(kind: str, text: str) -> bytes:
    """What ends a stream that has begun."""
    kinds = {"exception_type": kind, "content_type": "application/json"}
    return frame(json.dumps({"message": text}).encode(), **kinds, message_type="exception")


class BedrockStub(VendorStub):
    """One origin for all its services; real ones have a host each. Signatures are checked."""

    name, folder = "bedrock", ""

    def reset(self) -> None:
        super().reset()
        self.secrets = {ACCESS_KEY: SECRET, ASSUMED["AccessKeyId"]: ASSUMED["SecretAccessKey"]}
        self.role_lasts_s = 3600.0
        self.streams_tools = True
        """Whether models of other makers than Anthropic do."""

    def key_of(self, headers: dict[str, str]) -> str:
        """The id of the access key."""
        return headers.get("authorization", "").partition("Credential=")[2].partition("/")[0]

    def known_models(self) -> list[dict[str, Any]]:
        modalities = {"inputModalities": ["TEXT", "IMAGE"], "outputModalities": ["TEXT"]}
        modalities |= {"responseStreamingSupported": True}
        haiku = {"modelId": "anthropic.claude-3-haiku-20240307-v1:0"}
        haiku |= {"providerName": "Anthropic", "inferenceTypesSupported": ["ON_DEMAND"]}
        opus = {"modelId": "anthropic.claude-opus-5-5", "providerName": "Anthropic"}
        opus |= {"inferenceTypesSupported": ["INFERENCE_PROFILE"]}
        return [haiku | modalities, opus | modalities]

    def profiles(self, query: str) -> dict[str, Any]:
        """Two pages."""
        rest = {"status": "ACTIVE", "type": "SYSTEM_DEFINED"}
        claude = {"inferenceProfileId": "eu.anthropic.claude-opus-5-5"}
        nova = {"inferenceProfileId": "eu.amazon.nova-pro-v1:0"}
        if "nextToken=a%2Fb%3D" in query:
            return {"inferenceProfileSummaries": [claude | rest]}
        return {"inferenceProfileSummaries": [nova | rest], "nextToken": "a/b="}

    def error(self, status: int, message: str) -> Any:
        return {"message": message}

    async def handle(self, request: StubRequest, reply: Reply) -> None:
        if b"Action=AssumeRoleWithWebIdentity&" in request.body:
            await self.assume_by_identity(request, reply)
            return
        service = "sts" if request.path == "/" else "bedrock"
        service = "bedrock-mantle" if "/v1/messages" in request.path else service
        if problem := fault(request, f"/{self.name}", service, self.secrets):
            await reply.refuse(403, problem, {"x-amzn-errortype": "InvalidSignatureException"})
            return
        path = request.path
        if path == "/":
            await self.assume(request, reply)
        elif path == "/foundation-models":
            await reply.json({"modelSummaries": self.models})
        elif path == "/inference-profiles":
            await reply.json(self.profiles(request.query))
        elif path.endswith("/v1/messages"):
            await self.mantle(request, reply)
        elif "/converse" in path:
            await self.converse(request, reply)
        elif request.json.get("anthropic_version") != "bedrock-2023-05-31":
            await reply.refuse(400, "anthropic_version: Field required")
        elif {"model", "stream"} & request.json.keys():
            await reply.refuse(400, "model: Extra inputs are not permitted")
        elif path.endswith("/invoke-with-response-stream"):
            await reply.stream(self.frames(request, reply), EVENT_STREAM)
        else:
            await reply.json(message(self.answer, path.split("/")[2]))

    async def frames(self, request: StubRequest, reply: Reply) -> AsyncIterator[bytes]:
        """What a model streams; the last event counts for Bedrock, too."""
        counts = {"inputTokenCount": 9, "outputTokenCount": 4, "invocationLatency": 80}
        for event in events(self.answer, request.path.split("/")[2]):
            if event["type"] == "message_delta" and reply.trouble.mishap == "error_in_stream":
                yield exception_frame("modelStreamErrorException", reply.trouble.message)
                return
            last = event["type"] == "message_stop"
            metrics = {"amazon-bedrock-invocationMetrics": counts} if last else {}
            yield chunk_frame(event | metrics)

    async def converse(self, request: StubRequest, reply: Reply) -> None:
        """Models of all makers."""
        streams = request.path.endswith("/converse-stream")
        if said := problem(request.json, streams=streams, with_tools=self.streams_tools):
            await reply.refuse(400, said, {"x-amzn-errortype": "ValidationException"})
        elif streams:
            await reply.stream(self.converse_frames(reply), EVENT_STREAM)
        else:
            await reply.json(whole(self.answer))

    async def converse_frames(self, reply: Reply) -> AsyncIterator[bytes]:
        for kind, content in converse_events(self.answer):
            if kind == "messageStop" and reply.trouble.mishap == "error_in_stream":
                yield exception_frame("throttlingException", reply.trouble.message)
                return
            kinds = {"event_type": kind, "content_type": "application/json"}
            yield frame(json.dumps(content).encode(), **kinds, message_type="event")

    async def mantle(self, request: StubRequest, reply: Reply) -> None:
        """Anthropic's API, signed."""
        if not request.json.get("stream"):
            await reply.json(message(self.answer, request.json["model"]))
            return

        async def frames() -> AsyncIterator[bytes]:
            for event in events(self.answer, request.json["model"]):
                yield sse(event, event["type"])

        await reply.stream(frames(), SSE)

    async def assume_by_identity(self, request: StubRequest, reply: Reply) -> None:
        """Nothing is signed; who has the token gets the role."""
        assert "authorization" not in request.headers
        asked = parse_qs(request.body.decode())
        if asked["WebIdentityToken"] != [IDENTITY]:
            body = f"<ErrorResponse {XML}><Error><Message>expired</Message></Error></ErrorResponse>"
            await reply.refuse(400, "", body=body.encode())
            return
        await self.assume(request, reply, "AssumeRoleWithWebIdentity")

    async def assume(self, request: StubRequest, reply: Reply, action: str = "AssumeRole") -> None:
        """The XML of AssumeRole."""
        asked = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        assert asked["Action"] == action
        ends = datetime.now(UTC) + timedelta(seconds=self.role_lasts_s)
        given = ASSUMED | {"Expiration": ends.strftime("%Y-%m-%dT%H:%M:%SZ")}
        inner = "".join(f"<{name}>{value}</{name}>" for name, value in given.items())
        body = (
            f"<{action}Response {XML}>"
            f"<{action}Result><Credentials>{inner}</Credentials></{action}Result>"
            f"</{action}Response>"
        )
        await reply.whole(200, body.encode(), "text/xml")
