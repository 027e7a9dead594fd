"""The composition root: the Serve application from its configuration.

The only importer of engines and pipelines, each inside the branch that needs it, so that nothing
heavy is imported before a replica loads its engine.
"""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any, cast

import ray
from ray import serve
from ray.serve.config import AutoscalingConfig

from serve_app.access.bootstrap import announcement, prepare_access
from serve_app.api.v1.job_rendering import JobRendering
from serve_app.core.config import INGRESS, JOBS, AppConfig, Family, Model
from serve_app.core.engine import Engine, Report
from serve_app.core.media import BlobStore
from serve_app.core.options import (
    AvOptions,
    EspeakOptions,
    FakeOptions,
    FasterWhisperOptions,
    HpssOptions,
    PocketsphinxOptions,
    TransformersOptions,
    VllmOptions,
)
from serve_app.core.settings import Placement, Storage
from serve_app.core.stages import Stage
from serve_app.database.connection import Database
from serve_app.database.migrate import migrate
from serve_app.ingress import Ingress
from serve_app.jobs.assembly import ComposePipeline
from serve_app.jobs.replica import JobsReplica, MainJobsReplica
from serve_app.models import Models
from serve_app.registration import with_registration_times
from serve_app.replica import Replica
from serve_app.storage_check import check_storage

STARTER = "builtin:starter"


def build(args: AppConfig) -> serve.Application:
    """One deployment per family and pipeline, and the ingress over them."""
    check_storage(args.storage, nodes=_nodes())
    config = with_registration_times(args)
    _prepare_database(config.storage)
    families = {family.name: _family(config, family) for family in config.families}
    pipelines = {
        pipeline.name: _deployment(JobsReplica, pipeline.name, pipeline.placement, -1).bind(
            config, pipeline.name, families, compose=PIPELINES
        )
        for pipeline in config.pipelines
    }
    jobs = _deployment(MainJobsReplica, JOBS, config.jobs.placement, -1).bind(
        config, JOBS, families, pipelines=pipelines, render=JobRendering
    )
    ingress = _deployment(Ingress, INGRESS, config.ingress, -1)
    return ingress.bind(config, families, {JOBS: jobs, **pipelines})


def _nodes() -> int:
    """How many machines the cluster has now; one that joins later is not seen."""
    if not ray.is_initialized():
        return 1
    return sum(node["Alive"] for node in ray.nodes())  # type: ignore[no-untyped-call]


def _prepare_database(storage: Storage) -> None:
    database = Database(storage.database_location)
    try:
        migrate(database)
        made = prepare_access(database, os.environ)
    finally:
        database.close()
    if made is not None:
        # Not through a log handler, which might drop it or keep it.
        sys.stderr.write(announcement(made))


def _family(config: AppConfig, family: Family) -> serve.Application:
    load = partial(load_engine, family, config.storage)
    deployment = _deployment(Replica, family.name, family.placement, config.limits.max_pending)
    deployment = deployment.options(**resources(family))
    return deployment.bind(family, load, load_wait_s=config.limits.load_wait_s)


def resources(family: Family) -> dict[str, Any]:
    """What a replica takes of the cluster. vLLM runs its workers in actors of their own, so its
    GPUs are bundles of a placement group, one per worker, and the replica itself holds none.
    """
    placement, options = family.placement, family.options
    if not isinstance(options, VllmOptions):
        return {"ray_actor_options": {"num_cpus": placement.cpus, "num_gpus": placement.gpus}}
    workers = options.tensor_parallel * options.pipeline_parallel
    first = {"CPU": max(placement.cpus, 1.0), "GPU": placement.gpus}
    return {
        "ray_actor_options": {"num_cpus": max(placement.cpus, 1.0), "num_gpus": 0},
        "placement_group_bundles": [first, *[{"GPU": placement.gpus}] * (workers - 1)],
        "placement_group_strategy": "PACK",
    }


def _deployment(target: type, name: str, placement: Placement, max_queued: int) -> serve.Deployment:
    deployment = cast("serve.Deployment", serve.deployment(target))
    return deployment.options(
        name=name,
        max_ongoing_requests=placement.max_ongoing_requests,
        max_queued_requests=max_queued,
        ray_actor_options={"num_cpus": placement.cpus, "num_gpus": placement.gpus},
        **_scaling(placement),
    )


def _scaling(placement: Placement) -> dict[str, Any]:
    """A fixed number of replicas, or a range that follows the requests under way."""
    if placement.min_replicas == placement.max_replicas:
        return {"num_replicas": placement.min_replicas}
    scaling = AutoscalingConfig(
        min_replicas=placement.min_replicas,
        max_replicas=placement.max_replicas,
        target_ongoing_requests=max(1.0, 0.7 * placement.max_ongoing_requests),
        upscale_delay_s=0,
        downscale_delay_s=placement.idle_unload_s,
        look_back_period_s=12,
    )
    return {"autoscaling_config": scaling}


def load_engine(family: Family, storage: Storage, model: Model, report: Report) -> Engine:
    """The engine of one model, loaded. Blocks; runs in a replica.

    One line per engine and task: this match is the whole list of what the server can load.
    """
    from serve_app.blobs.store import FsspecBlobStore

    blobs: BlobStore = FsspecBlobStore(storage.blobs_location)
    path = _model_path(storage, model, report)
    match family.options:
        case FakeOptions() as options:
            return _fake(options, model, blobs)
        case TransformersOptions(task="chat") as options:
            from deployments.transformers_chat import TransformersChat

            return TransformersChat(options, model, path=path, blobs=blobs)
        case TransformersOptions(task="embeddings") as options:
            from deployments.transformers_embeddings import TransformersEmbeddings

            return TransformersEmbeddings(options, model, path=path, blobs=blobs)
        case TransformersOptions() as options:
            from deployments.transformers_rerank import TransformersRerank

            return TransformersRerank(options, model, path=path, blobs=blobs)
        case VllmOptions() as options:
            from deployments.vllm_chat import VllmChat

            return VllmChat(options, model, path=path, blobs=blobs)
        case FasterWhisperOptions() as options:
            from deployments.faster_whisper_transcription import FasterWhisperTranscription

            return FasterWhisperTranscription(options, model, path=path, blobs=blobs)
        case PocketsphinxOptions() as options:
            from deployments.pocketsphinx_transcription import PocketsphinxTranscription

            return PocketsphinxTranscription(options, model, path=path, blobs=blobs)
        case EspeakOptions() as options:
            from deployments.espeak import EspeakSpeech

            return EspeakSpeech(options, model, path=path, blobs=blobs)
        case HpssOptions() as options:
            from deployments.hpss_stems import HpssStems

            return HpssStems(options, model, path=path, blobs=blobs)
        case AvOptions() as options:
            from deployments.av_media import AvMedia

            return AvMedia(options, model, path=path, blobs=blobs)


def _fake(options: FakeOptions, model: Model, blobs: BlobStore) -> Engine:
    from deployments import fake

    match options.task:
        case "chat":
            return fake.FakeChat(options, model, blobs=blobs)
        case "embeddings":
            return fake.FakeEmbeddings(options, model, blobs=blobs)
        case "rerank":
            return fake.FakeRerank(options, model, blobs=blobs)
        case "speech":
            return fake.FakeSpeech(options, model, blobs=blobs)
        case "transcription":
            return fake.FakeTranscription(options, model, blobs=blobs)
        case "images":
            from deployments.fake_images import FakeImages

            return FakeImages(options, model, blobs=blobs)
        case "stems":
            from deployments.fake_stems import FakeStems

            return FakeStems(options, model, blobs=blobs)
        case "media":
            return fake.FakeMedia(options, model, blobs=blobs)


def _model_path(storage: Storage, model: Model, report: Report) -> Path | None:
    """Where the model's files are; downloads them, or makes the starter, when they are not."""
    if model.source is None:
        return None
    if model.source == STARTER:
        from deployments.starter import ensure_starter

        return ensure_starter(storage.data_dir / "models" / "starter")
    from serve_app.model_files import locate

    return locate(
        model.source,
        revision=model.revision,
        model_id=model.id,
        data_dir=storage.data_dir,
        report=report,
    )


def compose_video_dub(config: AppConfig, models: Models, stage: Stage) -> Models:
    """The catalog with the video-dub pipeline over it."""
    from pipelines.video_dub import VideoDub
    from serve_app.blobs.store import FsspecBlobStore
    from serve_app.composed import CatalogChat, CatalogSpeech, CatalogTranscription

    pipeline = next(pipeline for pipeline in config.pipelines if pipeline.name == "video-dub")
    dubber = VideoDub(
        CatalogTranscription(models),
        CatalogChat(models),
        CatalogSpeech(models),
        models.media(pipeline.media),
        FsspecBlobStore(config.storage.blobs_location),
        stage,
    )
    return models.with_video_dub(dubber)


PIPELINES: dict[str, ComposePipeline] = {"pipeline.video-dub": compose_video_dub}
"""By the name of the operation that they do."""
