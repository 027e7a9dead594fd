"""SAM as its library runs it: what `vision.py` compares the server's segmentation with."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

BOX = [24, 20, 104, 96]
"""In an image of 128 pixels."""
PNG_RUNS = 3


def save_sam(folder: Path) -> None:
    """A SAM of random weights that looks at 512 pixels."""
    from transformers import SamConfig, SamImageProcessorPil, SamModel

    vision = {
        "hidden_size": 192,
        "num_hidden_layers": 6,
        "num_attention_heads": 6,
        "image_size": 512,
        "global_attn_indexes": [2, 5],
        "initializer_range": 0.02,
    }
    config = SamConfig(vision_config=vision, prompt_encoder_config={"image_size": 512})
    SamModel(config).save_pretrained(folder)
    size = {"height": 512, "width": 512}
    SamImageProcessorPil(size={"longest_edge": 512}, pad_size=size).save_pretrained(folder)


def open_sam(folder: Path) -> Callable[[bytes], bytes]:
    """As the model's page shows it, for one box."""
    import torch
    from transformers import SamImageProcessorPil, SamModel, SamProcessor

    torch.set_num_threads(1)
    processor = SamProcessor(SamImageProcessorPil.from_pretrained(folder))
    network = SamModel.from_pretrained(folder).eval()

    def run(data: bytes) -> bytes:
        image = Image.open(io.BytesIO(data)).convert("RGB")
        inputs = processor(images=image, input_boxes=[[BOX]], return_tensors="pt")
        sizes = inputs.pop("original_sizes"), inputs.pop("reshaped_input_sizes")
        inputs["input_boxes"] = inputs["input_boxes"].float()
        with torch.inference_mode():
            output = network(**inputs, multimask_output=False)
        (masks,) = processor.image_processor.post_process_masks(output.pred_masks, *sizes)
        target = io.BytesIO()
        mask = np.where(masks[0, 0].numpy(), 255, 0).astype(np.uint8)
        Image.fromarray(mask).save(target, "PNG", compress_type=PNG_RUNS)
        return target.getvalue()

    return run
