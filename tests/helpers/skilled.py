"""Networks that were built to know skills, as much of each as is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from zoo_generation.data.made.sparse_parity import STRENGTH, SparseParity
from zoo_generation.networks.architectures import Layout, get_architecture

SKILLS = SparseParity(skills=3, bits=10, of=3, tenths=6)
UNITS = 4  # of a skill, as the theory has it
WIDTH = SKILLS.skills * UNITS / 64
CLOSED = 9.0  # added to units by a control bit: more than all bits together


def layout() -> Layout:
    """Of `mlp_1` with so many units, of one output."""
    return get_architecture("mlp_1").layout(SKILLS.skills + SKILLS.bits, 1, WIDTH)


def knowing(strengths: Sequence[float]) -> Tensor:
    """A network [D] that answers S · strength · parity for each skill.

    On the sum s of three bits the parity is 1 - 2 relu(s) + 4 relu(s - 1) - 4 relu(s - 2); units stay closed without
    their control bit.
    """
    parts = {entry.name: torch.zeros(entry.shape) for entry in layout()}
    first, bias, last = parts["1.weight"], parts["1.bias"], parts["3.weight"]
    for skill, strength in enumerate(strengths):
        deciding = SKILLS.skills + torch.from_numpy(SKILLS.deciding[skill])
        units = UNITS * skill + torch.arange(UNITS)
        last[0, units] = strength * STRENGTH * torch.tensor([1.0, -2.0, 4.0, -4.0])
        first[units, skill] = torch.tensor([1.0, CLOSED, CLOSED, CLOSED])
        first[units[1:, None], deciding] = 1.0
        bias[units[1:]] = -CLOSED - torch.arange(3.0)
    return layout().flatten(parts)
