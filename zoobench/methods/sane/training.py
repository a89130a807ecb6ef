"""Train the autoencoder on windows of a token set."""

from __future__ import annotations

import time

import torch
from torch.optim.lr_scheduler import OneCycleLR

from zoobench.methods.base import Report
from zoobench.methods.sane.config import SaneConfig
from zoobench.methods.sane.loss import nt_xent, reconstruction
from zoobench.methods.sane.model import Autoencoder
from zoobench.methods.sane.windows import Batch, WindowSampler

REPORT_SECONDS = 0.5


def train(model: Autoencoder, sampler: WindowSampler, config: SaneConfig, report: Report | None) -> None:
    """Train for `config.steps` steps: γ · NT-Xent between the two views + (1 − γ) · reconstruction of both."""
    matrices = [parameter for parameter in model.parameters() if parameter.dim() > 1]
    vectors = [parameter for parameter in model.parameters() if parameter.dim() <= 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}],
        config.learning_rate,
        fused=True,
    )
    schedule = OneCycleLR(optimizer, config.learning_rate, total_steps=config.steps, cycle_momentum=False)
    model.train()
    told = time.monotonic()
    for step in range(config.steps):
        losses = _losses(model, sampler.draw(config.batch_size), config, sampler.generator)
        loss = config.gamma * losses["contrastive"] + (1 - config.gamma) * losses["reconstruction"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if report is not None and (time.monotonic() - told > REPORT_SECONDS or step + 1 == config.steps):
            told = time.monotonic()
            report(step + 1, config.steps, {name: value.item() for name, value in losses.items()})
    model.eval()


def _losses(
    model: Autoencoder, batch: Batch, config: SaneConfig, generator: torch.Generator
) -> dict[str, torch.Tensor]:
    views = batch.views.flatten(0, 1)
    positions, mask, real = (torch.cat([part, part]) for part in (batch.positions, batch.mask, batch.real))
    attended = None if bool(real.all()) else real
    noisy = views * (1 + config.noise * torch.randn(views.shape, generator=generator))
    latents = model.encode(noisy, positions, attended)
    first, second = model.project(latents, attended).chunk(2)
    output = model.decode(latents, positions, attended)
    return {
        "contrastive": nt_xent(first, second, config.temperature),
        "reconstruction": reconstruction(output, views, mask, config.normalization),
    }
