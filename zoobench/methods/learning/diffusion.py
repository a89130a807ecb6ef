"""Flow matching and diffusion over vectors: networks, losses, and samplers.

Both begin with noise at time 0 and end with data at time 1. A sampler may begin later, at `begin`, from given data with
as much noise as there is at that time: near the data then, as around anchors (Meng et al., SDEdit, arXiv 2108.01073).

A diffusion's network gives v = √ᾱ · noise − √(1 − ᾱ) · data, from which the noise follows (Salimans & Ho, arXiv
2202.00512). For data of unit variance an output of zero is then right for a Gaussian. MLPs with LayerNorm that gave the
noise itself did not follow samples that grew, and these ran away.

Sources: Lipman et al., Flow matching for generative modeling, arXiv 2210.02747; Ho, Jain & Abbeel, Denoising diffusion
probabilistic models, arXiv 2006.11239.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

WAVES = 32  # of the time, each as a sine and a cosine
LONGEST = 1e4
FIRST_BETA, LAST_BETA = 1e-4, 0.02  # of `DDPM_STEPS` steps, as published
DDPM_STEPS = 1000

PASSES = 8
"""Through the held-out models at a look, each with other noise and times (and images, if there are any)."""

Process = Literal["flow", "ddpm"]
Field = Callable[[Tensor, Tensor], Tensor]
"""The network: the velocity of a flow, or v of a diffusion, of noisy data [batch, ...] at times [batch]."""


class TimeNet(nn.Module):
    """An MLP of noisy data, its time, and a condition; its output starts at zero.

    Source of shape and widths: Gupta et al., DeepWeightFlow, arXiv 2601.05052 (h, h/2, h, with LayerNorm and GELU).
    """

    def __init__(self, size: int, width: int, condition: int = 0, dropout: float = 0.1) -> None:
        super().__init__()
        widths = [size + 2 * WAVES + condition, width, width // 2, width]
        layers: list[nn.Module] = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [nn.Linear(inputs, outputs), nn.LayerNorm(outputs), nn.GELU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(width, size)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, time: Tensor, condition: Tensor | None = None) -> Tensor:
        """x [batch, size], time [batch] in [0, 1], condition [batch, condition] if the network has one."""
        parts = [x, waves(time)] if condition is None else [x, waves(time), condition]
        out: Tensor = self.out(self.layers(torch.cat(parts, dim=1)))
        return out


def waves(time: Tensor) -> Tensor:
    """Sines and cosines [batch, 2 · WAVES] of times [batch] in [0, 1]."""
    frequencies = torch.exp(-math.log(LONGEST) * torch.arange(WAVES, device=time.device) / WAVES)
    angles = DDPM_STEPS * time[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def loss(process: Process, field: Field, data: Tensor) -> Tensor:
    """The mean squared error of the field on data [batch, ...], at times and with noise drawn from PyTorch's generator.

    flow: the velocity data − noise, at noise + time · (data − noise). ddpm: the noise, at √ᾱ · data + √(1 − ᾱ) · noise.
    """
    noise = torch.randn_like(data)
    if process == "flow":
        time = torch.rand(len(data), device=data.device)
        wanted = data - noise
    else:
        step = torch.randint(1, DDPM_STEPS + 1, (len(data),), device=data.device)
        time, wanted = 1 - step / DDPM_STEPS, noise
    mixed = _mixed(process, data, noise, time)
    found = field(mixed, time) if process == "flow" else _noise(field, mixed, time)
    return (found - wanted).square().mean()


def sample(
    process: Process,
    field: Field,
    noise: Tensor,
    steps: int,
    generator: torch.Generator,
    begin: Tensor | None = None,
    time: float = 0.0,
) -> Tensor:
    """Data [batch, ...] from noise of that shape.

    flow: Heun's method. ddpm: ancestral sampling of `steps` of the trained steps that are left, evenly spread, or of
    all that are left. begin: data to begin from, with the noise of that time; None means pure noise, at time 0. The
    generator gives ancestral noise.
    """
    times = _times(process, steps, 0.0 if begin is None else time)
    first = torch.full((len(noise),), times[0], device=noise.device)
    x = noise if begin is None else _mixed(process, begin, noise, first)
    for now, then in itertools.pairwise(times):
        x = _flown(field, x, now, then) if process == "flow" else _denoised(field, x, now, then, generator)
    return x


def kept_noise(time: Tensor) -> Tensor:
    """ᾱ of DDPM at times in [0, 1]: the share of the variance that is data's; 1 at time 1."""
    betas = torch.linspace(FIRST_BETA, LAST_BETA, DDPM_STEPS, dtype=torch.float64)
    shares = torch.cat([torch.ones(1, dtype=torch.float64), (1 - betas).cumprod(0)]).float().to(time.device)
    return shares[((1 - time) * DDPM_STEPS).round().long()]


def _times(process: Process, steps: int, begin: float) -> list[float]:
    """From where sampling begins to 1. ddpm: trained times, each once; nothing changes between two of them."""
    if process == "flow":
        return torch.linspace(begin, 1.0, steps + 1).tolist()
    left = max(1, round((1 - begin) * DDPM_STEPS))
    return (1 - torch.linspace(left, 0, min(steps, left) + 1).round() / DDPM_STEPS).tolist()


def _mixed(process: Process, data: Tensor, noise: Tensor, time: Tensor) -> Tensor:
    """Data with the noise that there is at each one's time [batch]."""
    time = time.view(-1, *[1] * (data.dim() - 1))
    if process == "flow":
        return noise + time * (data - noise)
    share = kept_noise(time)
    return share.sqrt() * data + (1 - share).sqrt() * noise


def _noise(field: Field, x: Tensor, time: Tensor) -> Tensor:
    """The noise in x [batch, ...]."""
    share = kept_noise(time).view(-1, *[1] * (x.dim() - 1))
    return share.sqrt() * field(x, time) + (1 - share).sqrt() * x


def _flown(field: Field, x: Tensor, now: float, then: float) -> Tensor:
    """One step of Heun's method."""
    first, last = (torch.full((len(x),), each, device=x.device) for each in (now, then))
    velocity = field(x, first)
    ahead = field(x + (then - now) * velocity, last)
    return x + (then - now) * (velocity + ahead) / 2


def _denoised(field: Field, x: Tensor, now: float, then: float, generator: torch.Generator) -> Tensor:
    """One ancestral step, which may span several of those that were trained."""
    times = torch.full((len(x),), now, device=x.device)
    before, after = kept_noise(times[:1]), kept_noise(times[:1] * 0 + then)
    predicted = (x - (1 - before).sqrt() * _noise(field, x, times)) / before.sqrt()
    alpha = before / after
    mean = (after.sqrt() * (1 - alpha) * predicted + alpha.sqrt() * (1 - after) * x) / (1 - before)
    spread = ((1 - alpha) * (1 - after) / (1 - before)).sqrt()
    return mean + spread * torch.randn(x.shape, generator=generator).to(x)
