"""ServiceStack's Python client against the local default, with classes as AI Server publishes
them.
"""
# ruff: noqa: UP006, UP035, UP042, UP045 - which the client looks at

import datetime
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any, List, Optional

import pytest
import requests
from dataclasses_json import LetterCase, Undefined, dataclass_json
from PIL import Image
from servicestack import IGet, IPost, IReturn, JsonServiceClient, WebServiceException
from servicestack.clients import UploadFile

from tests.clients.conftest import Server
from tests.images import png

camel = dataclass_json(letter_case=LetterCase.CAMEL, undefined=Undefined.EXCLUDE)


class ImageOutputFormat(str, Enum):
    JPG = "jpg"
    GIF = "gif"


class BackgroundJobState(str, Enum):
    QUEUED = "Queued"
    STARTED = "Started"
    EXECUTED = "Executed"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELLED = "Cancelled"


@camel
@dataclass
class ArtifactOutput:
    url: Optional[str] = None
    file_name: Optional[str] = None
    provider: Optional[str] = None


@camel
@dataclass
class ArtifactGenerationResponse:
    results: Optional[List[ArtifactOutput]] = None
    duration: Optional[datetime.timedelta] = None


@camel
@dataclass
class QueueGenerationResponse:
    job_id: int = 0
    ref_id: Optional[str] = None
    job_state: Optional[BackgroundJobState] = None
    status_url: Optional[str] = None


@camel
@dataclass
class GetArtifactGenerationStatusResponse:
    job_id: int = 0
    ref_id: Optional[str] = None
    job_state: Optional[BackgroundJobState] = None
    results: Optional[List[ArtifactOutput]] = None


@camel
@dataclass
class TextToImage(IReturn[ArtifactGenerationResponse]):
    positive_prompt: Optional[str] = None
    negative_prompt: Optional[str] = None
    width: Optional[int] = None
    height: Optional[int] = None
    seed: Optional[int] = None


@camel
@dataclass
class CropImage(IReturn[ArtifactGenerationResponse], IPost):
    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0


@camel
@dataclass
class QueueConvertImage(IReturn[QueueGenerationResponse], IPost):
    output_format: Optional[ImageOutputFormat] = None
    ref_id: Optional[str] = None


@camel
@dataclass
class GetArtifactGenerationStatus(IReturn[GetArtifactGenerationStatusResponse], IGet):
    job_id: int = 0
    ref_id: Optional[str] = None


@camel
@dataclass
class GetArtifact(IReturn[bytes], IGet):
    path: Optional[str] = None
    download: Optional[bool] = None


@pytest.fixture(scope="module")
def typed(server: Server) -> Iterator[Any]:
    client = JsonServiceClient(server.url)
    client.set_bearer_token("none")
    yield client
    client._session.close()


def upload(image: bytes) -> UploadFile:
    return UploadFile("image", "red.png", "image/png", io.BytesIO(image))


@pytest.mark.covers("AI Server: the typed Python client")
def test_an_image_is_generated(typed: Any) -> None:
    made = typed.post(TextToImage(positive_prompt="a boat", width=64, height=64, seed=7))
    (output,) = made.results
    assert made.duration > datetime.timedelta()
    assert requests.get(output.url, timeout=60).headers["content-type"] == "image/webp"
    path = output.url.partition("/artifacts/")[2]
    file = typed.get(GetArtifact(path=path, download=True))
    assert Image.open(io.BytesIO(file)).size == (64, 64)
    first, second = typed.send_all([TextToImage(positive_prompt="a boat", width=64)] * 2)
    assert len(first.results) == len(second.results) == 1


def test_a_file_is_processed(typed: Any) -> None:
    crop = CropImage(width=8, height=6)
    made = typed.post_file_with_request(crop, upload(png("red", (20, 10))))
    file = requests.get(made.results[0].url, timeout=60).content
    assert Image.open(io.BytesIO(file)).size == (8, 6)


def test_a_job_is_asked_for(typed: Any) -> None:
    convert = QueueConvertImage(output_format=ImageOutputFormat.GIF, ref_id="typed")
    queued = typed.post_file_with_request(convert, upload(png()))
    assert re.fullmatch(r".*\?RefId=typed", queued.status_url)
    while True:
        status = typed.get(GetArtifactGenerationStatus(ref_id="typed"))
        if status.job_state not in (BackgroundJobState.QUEUED, BackgroundJobState.STARTED):
            break
    assert (status.job_state, status.job_id) == (BackgroundJobState.COMPLETED, queued.job_id)
    assert status.results[0].file_name == "red.gif"


def test_errors_are_typed(typed: Any) -> None:
    with pytest.raises(WebServiceException) as caught:
        typed.post(TextToImage(positive_prompt="", width=1))
    status = caught.value.response_status
    assert (caught.value.status_code, status.error_code) == (400, "NotEmpty")
    assert [each.field_name for each in status.errors] == ["PositivePrompt", "Width"]
    with pytest.raises(requests.exceptions.HTTPError) as refused:
        typed.post_file_with_request(CropImage(width=99, height=99), upload(png("red", (9, 9))))
    assert refused.value.response.status_code == 400
    with pytest.raises(WebServiceException) as lost:
        typed.get(GetArtifactGenerationStatus(ref_id="nobody"))
    assert lost.value.status_code == 404
