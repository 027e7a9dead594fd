"""Warnings as messages, also those that earlier versions have recorded as texts."""

import json
import pickle

import pytest
from pydantic import ValidationError

from serve_app.core.image.images import Images
from serve_app.core.jobs import JobWarning
from serve_app.core.notices import Notice, as_notices
from serve_app.core.operations import read_operation, read_result, to_json
from serve_app.core.video.production import ProduceVideo
from serve_app.jobs.recorded import read_record
from tests.notices import texts_of

ROUNDED = Notice(field="size", text="rounded to 64x64")
ODD = Notice(field="sampling.sampler", text="{!r} is odd; {!r} was used", values=("a", "b"))


def test_a_notice_is_told_after_its_field() -> None:
    assert str(ROUNDED) == "size: rounded to 64x64"
    assert str(ROUNDED.about(None)) == "rounded to 64x64"
    assert str(ROUNDED.about("n")) == "n: rounded to 64x64"


def test_values_are_told_by_other_names_where_there_are_any() -> None:
    assert ODD.explained() == "'a' is odd; 'b' was used"
    assert ODD.explained({"a": "A", "c": "C"}) == "'A' is odd; 'b' was used"


@pytest.mark.parametrize("text", ["{", "{} and {0}", "a: b", ""])
def test_a_text_without_values_is_told_as_it_is(text: str) -> None:
    assert Notice(text=text).explained({"a": "b"}) == text


def test_a_notice_travels_and_is_compared_by_value() -> None:
    assert pickle.loads(pickle.dumps(ODD)) == ODD
    assert [*dict.fromkeys([ODD, ROUNDED, ODD.model_copy()])] == [ODD, ROUNDED]


def test_warnings_of_a_result_come_out_as_they_went_in() -> None:
    result = Images(images=(), warnings=(ROUNDED, ODD))
    assert read_result("image.generation", to_json(result)) == result


def test_texts_that_earlier_versions_have_recorded_are_read() -> None:
    recorded = {"images": [], "warnings": ["size: rounded to 64x64", "it was late"]}
    result = read_result("image.generation", recorded)
    assert isinstance(result, Images)
    assert texts_of(result.warnings) == ("size: rounded to 64x64", "it was late")
    assert [notice.field for notice in result.warnings] == [None, None]


def test_warnings_of_an_operation_that_an_earlier_version_has_accepted_are_read() -> None:
    generation = {"model": "m", "mode": "t2v", "seed": 1}
    accepted = {"generation": generation, "warnings": ["audio_type: has no effect"]}
    operation = read_operation("video.generation", accepted)
    assert isinstance(operation, ProduceVideo)
    assert texts_of(operation.warnings) == ("audio_type: has no effect",)


def test_texts_that_stages_of_earlier_versions_have_returned_are_read() -> None:
    record = json.dumps({"form": 1, "result": {"tuple": [["eins"], ["it was late"]]}})
    texts, warnings = read_record(record, stage="translate")
    assert texts == ["eins"]
    assert as_notices(warnings) == (Notice(text="it was late"),)
    assert as_notices([ROUNDED, ODD]) == (ROUNDED, ODD)


def test_warnings_in_the_row_of_a_job_of_an_earlier_version_are_read() -> None:
    read = JobWarning.model_validate({"text": "size: rounded", "revision": 3})
    assert (str(read), read.revision) == ("size: rounded", 3)
    written = to_json(JobWarning(field="size", text="rounded", revision=3))
    assert JobWarning.model_validate(written) == JobWarning(
        field="size", text="rounded", revision=3
    )


@pytest.mark.parametrize("content", [7, None, {"text": "a", "odd": 1}])
def test_nothing_else_is_read(content: object) -> None:
    with pytest.raises(ValidationError):
        Notice.model_validate(content)
