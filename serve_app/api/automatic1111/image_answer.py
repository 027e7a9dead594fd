"""The answer of txt2img and img2img: the images, the request as it was read, and what is known of
the images, as a text that is itself JSON.
"""

import json
import time
from collections.abc import Sequence
from typing import Any

from serve_app.api.automatic1111.diffusion_body import DiffusionBody
from serve_app.api.automatic1111.image_plan import VERSION, ImagePlan, infotext_of
from serve_app.api.automatic1111.sampler_names import NAMES
from serve_app.api.dialect import Dialect
from serve_app.api.json_answer import StoredBase64
from serve_app.blobs.store import FsspecBlobStore
from serve_app.core.image.images import Image, Images
from serve_app.core.image.samplers import ImageSampling
from serve_app.core.jobs import Job


class GeneratedImages:
    """The results of the jobs of one request, in their order."""

    def __init__(
        self, dialect: Dialect, plan: ImagePlan, body: DiffusionBody, jobs: Sequence[Job]
    ) -> None:
        self.dialect = dialect
        self.plan = plan
        self.body = body
        self.jobs = jobs
        self.results = [job.result for job in jobs if isinstance(job.result, Images)]
        self.images = [image for result in self.results for image in result.images]

    @property
    def numbers(self) -> list[int]:
        """Which image of its set each one is, from 0."""
        return [image.seed - self.plan.seed for image in self.images]

    def files(self, blobs: FsspecBlobStore) -> list[StoredBase64]:
        """The images in base64."""
        return [StoredBase64(blobs, image.image) for image in self.images]

    @property
    def sampling(self) -> ImageSampling:
        """What was sampled with, as far as anything was."""
        used = (result.sampling for result in self.results if result.sampling is not None)
        return next(used, self.plan.sampling.sampling())

    @property
    def second_sampling(self) -> ImageSampling:
        """The same of a second pass."""
        used = (result.second_sampling for result in self.results if result.second_sampling)
        return next(used, self.sampling)

    def infotexts(self) -> list[str]:
        """One for every image."""
        texts = (infotext_of(self.plan, self.body, number) for number in self.numbers)
        return [self.told(text) for text in texts]

    def told(self, text: str) -> str:
        """With what was sampled with in both passes."""
        return NAMES.filled_second(NAMES.filled(text, self.sampling), self.second_sampling)

    def extra(self) -> dict[str, Any]:
        """The further pairs of infotexts."""
        return {
            name: NAMES.filled_second(value, self.second_sampling)
            if isinstance(value, str)
            else value
            for name, value in self.plan.extra.items()
            if value is not None
        }

    def comments(self) -> list[str]:
        """What had to be said, each once."""
        told = (
            text
            for job in self.jobs
            if isinstance(job.result, Images)
            for text in self.dialect.told(job.result.warnings, job.operation_name)
        )
        return [*dict.fromkeys((*self.plan.comments, *told))]


def answer_body(
    generated: GeneratedImages, blobs: FsspecBlobStore, sources: dict[str, Any]
) -> dict[str, Any]:
    """The body; `sources` are the images of the request, where its answer has such fields."""
    body, plan = generated.body, generated.plan
    return {
        "images": generated.files(blobs) if body.send_images else [],
        "parameters": body.parameters(plan.seed) | sources,
        "info": json.dumps(info_object(generated), ensure_ascii=False),
    }


def info_object(generated: GeneratedImages) -> dict[str, Any]:
    """What is known of the images."""
    body, plan, numbers = generated.body, generated.plan, generated.numbers
    count = len(numbers)
    size = _size(generated.images, body)
    return {
        "prompt": plan.prompt,
        "all_prompts": [plan.prompt] * count,
        "negative_prompt": plan.negative_prompt,
        "all_negative_prompts": [plan.negative_prompt] * count,
        "seed": plan.seed,
        "all_seeds": [plan.seed + number for number in numbers],
        "subseed": plan.subseed,
        "all_subseeds": [plan.subseed + number for number in numbers],
        "subseed_strength": body.subseed_strength,
        "width": size[0],
        "height": size[1],
        "sampler_name": NAMES.sampler(generated.sampling),
        "cfg_scale": body.cfg_scale,
        "steps": body.steps,
        "batch_size": body.batch_size,
        "restore_faces": body.restore_faces,
        "face_restoration_model": None,
        "sd_model_name": plan.found.name,
        "sd_model_hash": plan.found.hash,
        "sd_vae_name": plan.vae,
        "sd_vae_hash": None,
        "seed_resize_from_w": body.seed_resize_from_w,
        "seed_resize_from_h": body.seed_resize_from_h,
        "denoising_strength": body.strength,
        "extra_generation_params": generated.extra(),
        "index_of_first_image": 0,
        "infotexts": generated.infotexts(),
        "styles": body.styles,
        "job_timestamp": timestamp(generated.jobs[0]),
        "clip_skip": plan.options.clip_layers,
        "is_using_inpainting_conditioning": False,
        "version": VERSION,
        "comments": "\n".join(generated.comments()),
    }


def _size(images: Sequence[Image], body: DiffusionBody) -> tuple[int, int]:
    first = images[0].size if images else body.size
    return first.width, first.height


def timestamp(job: Job) -> str:
    """When a job began, in digits alone."""
    return time.strftime("%Y%m%d%H%M%S", time.localtime(job.started_at or job.created_at))
