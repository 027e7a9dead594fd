"""The `openai` package against the local default's image model, which draws noise."""

import base64
import io

import openai
import pytest
from openai.types import ImagesResponse
from PIL import Image, ImageChops

SIZE = (96, 80)


def file_of(image: Image.Image) -> tuple[str, bytes, str]:
    target = io.BytesIO()
    image.save(target, "PNG")
    return "picture.png", target.getvalue(), "image/png"


def photo() -> Image.Image:
    across = Image.linear_gradient("L").resize(SIZE)
    return Image.merge("RGB", (across, across.transpose(Image.Transpose.FLIP_LEFT_RIGHT), across))


def clear_left() -> Image.Image:
    mask = Image.new("RGBA", SIZE, "black")
    mask.paste((0, 0, 0, 0), (0, 0, SIZE[0] // 2, SIZE[1]))
    return mask


def images(answer: ImagesResponse) -> list[Image.Image]:
    assert answer.data is not None
    found = []
    for item in answer.data:
        assert item.b64_json is not None
        found.append(Image.open(io.BytesIO(base64.b64decode(item.b64_json))).convert("RGB"))
    return found


def test_generate(client: openai.OpenAI) -> None:
    def drawn(seed: int, n: int = 1) -> list[Image.Image]:
        return images(
            client.images.generate(
                prompt="a red boat",
                model="dall-e-2",
                n=n,
                size="256x256",
                response_format="b64_json",
                extra_body={"seed": seed},
            )
        )

    first, second = drawn(1, n=2)
    assert first.size == (256, 256)
    [again] = drawn(2)
    difference = ImageChops.difference(second, again).getextrema()
    assert max(high for _, high in difference) <= 2
    assert ImageChops.difference(first, second).getbbox()


def test_a_url_is_downloaded(client: openai.OpenAI) -> None:
    answer = client.images.generate(prompt="a red boat", size="auto", output_format="webp")
    assert answer.data is not None
    url = answer.data[0].url
    assert url is not None
    data = client.get(url.removeprefix("/v1"), cast_to=openai.HttpxBinaryResponseContent).content
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.size) == ("WEBP", (512, 512))


def test_edit_one_file(client: openai.OpenAI) -> None:
    answer = client.images.edit(
        image=file_of(photo()), prompt="a red boat", response_format="b64_json"
    )
    [image] = images(answer)
    assert image.size == SIZE
    assert ImageChops.difference(image, photo()).getbbox()


def test_edit_with_a_mask_leaves_the_rest(client: openai.OpenAI) -> None:
    answer = client.images.edit(
        image=file_of(photo()),
        mask=file_of(clear_left()),
        prompt="a red boat",
        response_format="b64_json",
    )
    box = ImageChops.difference(images(answer)[0], photo()).getbbox()
    assert box is not None
    assert box[2] <= SIZE[0] // 2


def test_edit_a_list_of_files(client: openai.OpenAI) -> None:
    """The first is drawn over, the second one seen by the model's IP-Adapter."""
    results = []
    for other in ("red", "blue"):
        answer = client.images.edit(
            image=[file_of(photo()), file_of(Image.new("RGB", (40, 40), other))],
            prompt="a red boat",
            response_format="b64_json",
            extra_body={"seed": "1", "character_strength": "1"},
        )
        results += images(answer)
    assert results[0].size == SIZE
    assert ImageChops.difference(*results).getbbox()


# The package calls variations deprecated, as the models of its makers are that draw them.
@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_variation(client: openai.OpenAI) -> None:
    answer = client.images.create_variation(
        image=file_of(photo()), n=2, size="256x256", response_format="b64_json"
    )
    first, second = images(answer)
    assert first.size == second.size == (256, 256)
    assert ImageChops.difference(first, second).getbbox()


def test_a_model_of_the_hub_that_cannot_be_had(client: openai.OpenAI) -> None:
    patient = client.with_options(max_retries=0)
    with pytest.raises(openai.InternalServerError) as caught:
        patient.images.generate(prompt="a red boat", model="sd-turbo", size="256x256")
    assert caught.value.status_code == 503
    assert caught.value.code == "backend_unavailable"
    assert "sd-turbo" in str(caught.value)


@pytest.mark.parametrize("image", [b"no image", b""])
def test_what_is_no_image_is_refused(client: openai.OpenAI, image: bytes) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        client.images.edit(image=("a.png", image), prompt="x")
    assert caught.value.param == "image"
    test_edit_one_file(client)
