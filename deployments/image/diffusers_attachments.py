"""What is attached to a model while a request is generated, and detached again: LoRAs, another
autoencoder, reference images.

Imported only where diffusers is.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from deployments.image.diffusers_calls import PipelineSettings
from deployments.image.diffusers_loading import ImageCheckpoint
from deployments.transformers_checkpoint import loading
from serve_app.core.config import Model
from serve_app.core.errors import AppError, InvalidRequest, UnsupportedCapability
from serve_app.core.image.attachments import Lora, References
from serve_app.core.image.images import ImageGeneration
from serve_app.core.notices import Notice
from serve_app.core.options.image import DiffusersOptions
from serve_app.runtime.memory import is_out_of_memory

Locate = Callable[[str], Path]
"""The files of a hub id or local path; raises BackendUnavailable."""

IP_ADAPTER = "ip_adapter"
IMAGE_ENCODER = "image_encoder"
LORA_FILE = "pytorch_lora_weights.safetensors"
TENSORS = ("lora_A", "lora_B", "lora.up", "lora.down", "lora_up", "lora_down")


@dataclass(frozen=True)
class AttachmentInputs:
    """What a request brings along, in memory: the tensors of its LoRAs, its reference images and
    what of their files was left out.
    """

    loras: tuple[dict[str, torch.Tensor], ...] = ()
    references: tuple[Any, ...] = ()
    warnings: tuple[Notice, ...] = ()


@dataclass
class Attached:
    """What a pipeline is called with besides, and what has to be said of it."""

    arguments: dict[str, Any] = field(default_factory=dict)
    warnings: list[Notice] = field(default_factory=list)


class Attachments:
    """For one model. Everything but `check` and `lora_file` is for the thread that generates."""

    def __init__(
        self,
        options: DiffusersOptions,
        model: Model,
        path: Path | None,
        *,
        checkpoint: ImageCheckpoint,
        locate: Locate,
    ) -> None:
        self._options = options
        self._model = model
        self._path = path
        self._checkpoint = checkpoint
        self._locate = locate
        self._vaes: dict[str, Any] = {}
        self._places: dict[str, Path] = {}

    def check(self, request: ImageGeneration, pipeline: Any) -> None:
        """Refuse at once what can never be attached."""
        if request.loras and not hasattr(pipeline, "load_lora_weights"):
            raise self._unsupported("loras", "takes no LoRAs")
        for position, lora in enumerate(request.loras):
            self._check_lora(lora, f"loras[{position}]")
        name = request.vae_model
        if name is not None and name not in self._options.vaes:
            raise InvalidRequest(
                f"unknown VAE {name[:100]!r} for model {self._model.id!r}",
                remedy=f"VAEs in its options: {_names(self._options.vaes)}",
                param="vae_model",
            )
        if request.references is not None and not self._takes_references(pipeline):
            field_name = request.references.field
            raise self._unsupported(field_name, "takes no reference images; it has no IP-Adapter")

    def lora_file(self, lora: Lora, param: str) -> Path:
        """The file of a LoRA that is no upload. Blocks, and may download."""
        source = self._options.loras[lora.registered] if lora.registered else lora.source
        assert source is not None
        try:
            found = self._found(source)
        except AppError as error:
            raise InvalidRequest(error.problem, remedy=error.remedy, param=param) from error
        files = [found] if found.is_file() else sorted(found.glob("*.safetensors"))
        files = [file for file in files if file.name == LORA_FILE] or files
        if len(files) != 1:
            raise InvalidRequest(
                f"LoRA {source!r} has {len(files)} safetensors files, not one", param=param
            )
        return files[0]

    @contextmanager
    def attached(
        self, pipeline: Any, settings: PipelineSettings, attachment_inputs: AttachmentInputs
    ) -> Generator[Attached]:
        """The pipeline as the settings want it; as before when the block is left."""
        attached = Attached()
        with (
            self._other_vae(pipeline, settings.vae_model),
            self._loras(pipeline, settings.loras, attachment_inputs.loras, attached),
            self._references(pipeline, settings.references, attachment_inputs.references, attached),
        ):
            yield attached

    @contextmanager
    def _loras(
        self,
        pipeline: Any,
        loras: Sequence[Lora],
        tensors: Sequence[dict[str, torch.Tensor]],
        attached: Attached,
    ) -> Generator[None]:
        if not loras:
            yield
            return
        try:
            names = []
            for position, state in enumerate(tensors):
                names.append(f"lora_{position}")
                warnings = self._load_lora(pipeline, state, names[-1], f"loras[{position}]")
                attached.warnings.extend(warnings)
            pipeline.set_adapters(names, [lora.weight for lora in loras])
            yield
        finally:
            pipeline.unload_lora_weights()

    def _load_lora(
        self, pipeline: Any, state: dict[str, torch.Tensor], name: str, param: str
    ) -> list[Notice]:
        try:
            pipeline.load_lora_weights(dict(state), adapter_name=name)
        except Exception as error:  # The library refuses foreign tensors with many classes.
            if is_out_of_memory(error):
                raise
            raise self._incompatible(param) from error
        wanted = sum(any(kind in key for kind in TENSORS) for key in state)
        there = _adapter_tensors(pipeline, name)
        if not there:
            raise self._incompatible(param)
        if there < wanted:
            said = f"{wanted - there} of {wanted} tensors do not fit this model"
            return [Notice(field=param, text=said)]
        return []

    @contextmanager
    def _other_vae(self, pipeline: Any, name: str | None) -> Generator[None]:
        if name is None:
            yield
            return
        own = pipeline.vae
        pipeline.vae = self._vae(name, own)
        try:
            yield
        finally:
            pipeline.vae = own

    def _vae(self, name: str, own: Any) -> Any:
        if name not in self._vaes:
            found = self._found(self._options.vaes[name])
            folder = found / "vae" if (found / "vae").is_dir() else found
            with loading(self._model, folder, library="diffusers") as directory:
                vae = type(own).from_pretrained(
                    str(directory), dtype=self._checkpoint.dtype, local_files_only=True
                )
            self._vaes[name] = vae.to(self._checkpoint.device)
        vae = self._vaes[name]
        if _latents(vae) != _latents(own):
            raise InvalidRequest(
                f"the VAE {name!r} is made for another kind of model than {self._model.id!r}",
                param="vae_model",
            )
        return vae

    @contextmanager
    def _references(
        self,
        pipeline: Any,
        references: References | None,
        images: Sequence[Any],
        attached: Attached,
    ) -> Generator[None]:
        if references is None:
            yield
            return
        folder = self._ip_adapter()
        assert folder is not None
        file = _weights_file(folder, self._options.ip_adapter_weights)
        arguments: dict[str, Any] = {"image_encoder_folder": IMAGE_ENCODER, "subfolder": ""}
        if "image_encoder_folder" not in signature(pipeline.load_ip_adapter).parameters:
            encoder = str(file.parent / IMAGE_ENCODER)
            arguments = {"image_encoder_pretrained_model_name_or_path": encoder}
        try:
            with loading(self._model, file.parent, library="diffusers") as directory:
                pipeline.load_ip_adapter(
                    str(directory), weight_name=file.name, local_files_only=True, **arguments
                )
            pipeline.set_ip_adapter_scale(references.strength)
            attached.arguments["ip_adapter_image"] = [list(images)]
            yield
        finally:
            pipeline.unload_ip_adapter()

    def _takes_references(self, pipeline: Any) -> bool:
        is_able = hasattr(pipeline, "load_ip_adapter")
        is_told = "ip_adapter_image" in signature(type(pipeline).__call__).parameters
        return is_able and is_told and self._ip_adapter() is not None

    def _ip_adapter(self) -> Path | None:
        if self._options.ip_adapter is not None:
            return self._found(self._options.ip_adapter)
        own = self._path / IP_ADAPTER if self._path else None
        return own if own and own.is_dir() else None

    def _found(self, source: str) -> Path:
        """Once found, a hub is not asked again."""
        if source not in self._places:
            self._places[source] = self._locate(source)
        return self._places[source]

    def _check_lora(self, lora: Lora, param: str) -> None:
        if lora.registered is not None and lora.registered not in self._options.loras:
            raise InvalidRequest(
                f"unknown LoRA {lora.registered[:100]!r} for model {self._model.id!r}",
                remedy=f"LoRAs in its options: {_names(self._options.loras)}",
                param=param,
            )
        if lora.source is not None and not self._options.hub_loras:
            raise InvalidRequest(
                f"LoRAs from the hub are not allowed for model {self._model.id!r}",
                remedy="send the file, or ask the operator to list it or to set hub_loras",
                param=param,
            )

    def _incompatible(self, param: str) -> InvalidRequest:
        return InvalidRequest(
            f"the LoRA does not fit model {self._model.id!r}",
            remedy="use one that was trained for its architecture",
            param=param,
        )

    def _unsupported(self, param: str, what: str) -> UnsupportedCapability:
        return UnsupportedCapability(f"model {self._model.id!r} {what}", param=param)


def lora_tensors(file: Path, param: str) -> dict[str, torch.Tensor]:
    """What is in a LoRA's file. InvalidRequest for anything but safetensors, which alone cannot
    run code when it is read.
    """
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise InvalidRequest("this is not a LoRA in the safetensors format", param=param) from error


def _adapter_tensors(pipeline: Any, name: str) -> int:
    """How many tensors of an adapter lie in the pipeline's parts."""
    return sum(
        f".{name}." in key
        for part in pipeline.components.values()
        if isinstance(part, torch.nn.Module)
        for key, _ in part.named_parameters()
    )


def _weights_file(folder: Path, wanted: str | None) -> Path:
    if wanted is not None:
        return folder / wanted
    files = sorted(file for file in folder.iterdir() if file.suffix in (".safetensors", ".bin"))
    return files[0] if files else folder / "ip_adapter.safetensors"


def _latents(vae: Any) -> tuple[object, object]:
    """What the rest of a pipeline knows of its autoencoder."""
    config = vae.config
    return getattr(config, "latent_channels", None), len(getattr(config, "block_out_channels", ()))


def _names(listed: dict[str, str]) -> str:
    return ", ".join(map(repr, listed)) or "none"
