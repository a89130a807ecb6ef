"""How far networks have learned each skill of a dataset: by all inputs there are, see `SparseParity.inputs`."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo_generation.data.made.sparse_parity import STRENGTH, SparseParity
from zoo_generation.networks.accuracy import logits
from zoo_generation.networks.architectures import Layout


def skill_strengths(
    weights: Tensor, layout: Layout, module: nn.Module, skills: SparseParity, device: str = "cpu"
) -> tuple[Tensor, Tensor]:
    """Strengths and losses, each float64 [models, skills], of models [models, D] of one output f.

    The strength of skill k is E[g_k f] / S over all its inputs, where g_k is 1 for an even parity and -1 for an odd
    one: 0 before it is learned, 1 when it is. Its loss is E[(S g_k - f)²] / 2. Those of a model whose weights are not
    finite are NaN. Source: Nam et al., arXiv 2404.17563, sections 2 and 3.
    """
    found = [_of_skill(weights, layout, module, *skills.inputs(skill), device) for skill in range(1, skills.skills + 1)]
    strengths, losses = (torch.stack(each, dim=1) for each in zip(*found, strict=True))
    return strengths, losses


def _of_skill(
    weights: Tensor, layout: Layout, module: nn.Module, inputs: Tensor, parities: Tensor, device: str
) -> tuple[Tensor, Tensor]:
    """The strength and the loss [models] of the skill with these inputs."""
    answers = logits(weights, layout, module, inputs.float() / 255, device)[:, :, 0].double()
    truth = (1.0 - 2.0 * parities) * STRENGTH
    return (answers * truth).mean(1) / STRENGTH**2, (answers - truth).square().mean(1) / 2
