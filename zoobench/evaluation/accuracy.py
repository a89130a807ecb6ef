"""Evaluate populations of flat weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call

from zoo_generation.architectures import Layout
from zoobench.evaluation.images import Images

BATCH = 500  # images; larger batches fall out of the cache on a CPU


def accuracies(weights: Tensor, layout: Layout, module: nn.Module, images: Images) -> Tensor:
    """Accuracy in [0, 1] of each of the models [models, D] on the images, as float64 [models].

    Weights that are not finite count as wrong on every image.
    """
    correct = torch.zeros(len(weights), dtype=torch.float64)
    with torch.inference_mode():
        for model, flat in enumerate(weights):
            if not torch.isfinite(flat).all():
                continue
            state = layout.unflatten(flat)
            for images_batch, labels in zip(images.images.split(BATCH), images.labels.split(BATCH), strict=True):
                logits = functional_call(module, state, (images_batch,))
                correct[model] += (logits.argmax(1) == labels).sum()
    return correct / len(images.labels)


def condition_batch_norm(
    weights: Tensor, layout: Layout, module: nn.Module, images: Images, passes: int = 3, batch: int = 100
) -> Tensor:
    """Set each model's BatchNorm statistics by forward passes over training images, without gradients.

    Returns new weights [models, D]; without BatchNorm the very weights given. Source: Schürholt et al., SANE,
    arXiv 2406.09997, section 3.3. Statistics are plain averages over the passes; three are enough for narrow ResNets.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    if not norms:
        return weights
    conditioned = weights.clone()
    for norm in norms:
        norm.train()
        norm.momentum = None  # average over all passes instead of the last few
    with torch.inference_mode():
        for model, flat in enumerate(weights):
            module.load_state_dict(layout.unflatten(flat), strict=False)
            for norm in norms:
                norm.reset_running_stats()
            for images_batch in images.images[: passes * batch].split(batch):
                module(images_batch)
            conditioned[model] = layout.flatten(module.state_dict())
    for norm in norms:
        norm.eval()
    return conditioned
