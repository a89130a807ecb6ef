"""SANE and a flow, or a diffusion, over its sequences of latents, as one method."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from zoo_generation.errors import InputError, unknown
from zoo_generation.files import directory_written_aside, read_json, write_json
from zoobench.methods.course import Course
from zoobench.methods.fitting import Fitted
from zoobench.methods.learning import Examples, Recipe, identity_of, joined, seeded, train
from zoobench.methods.learning.bounds import check_at_least, check_below_one
from zoobench.methods.learning.diffusion import WAVES, Field, Process, loss, sample, waves
from zoobench.methods.learning.matched import moments_of
from zoobench.methods.learning.saving import damaged
from zoobench.methods.protocols import HERE, Execution
from zoobench.methods.sane import METHOD as SANE
from zoobench.methods.sane import PRESETS as SANE_PRESETS
from zoobench.methods.sane import Sane
from zoobench.methods.sane.canonical import canonical
from zoobench.methods.sane.model import Transformer
from zoobench.methods.sane.positions import make_positions
from zoobench.methods.sane.windows import in_windows
from zoobench.populations import Population, Tokenizer, TokenSet


@dataclass(frozen=True)
class SaneDiffusionConfig(Recipe):
    """See `Recipe` for the training of the flow. sane, sane_steps: SANE's preset and number of steps; it is trained
    first. process: `flow` or `ddpm`; width, heads, layers: of its transformer; window: latents that it is trained on at
    once; sampling_steps: of sampling.

    around: the time in [0, 1) at which sampling begins, from an anchor's latents with the noise of that time; 0 means
    from noise alone; there is as much noise as data at 0.5 in a flow, at 0.75 in a diffusion. If the flow was trained
    on models of several datasets, only anchors say of which a model is to be.
    """

    steps: int = 1500
    batch_size: int = 16
    sane: str = "tiny"
    sane_steps: int = 400
    process: Process = "flow"
    width: int = 128
    heads: int = 4
    layers: int = 2
    window: int = 64
    around: float = 0.5
    sampling_steps: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sane not in SANE_PRESETS:
            raise unknown("preset of sane", self.sane, SANE_PRESETS)
        check_at_least(self, 1, "sane_steps", "heads", "layers", "sampling_steps")
        check_at_least(self, 3, "window")
        check_at_least(self, 4, "width")
        check_below_one(self, "around")
        if self.width % self.heads or self.width % 2:  # positions take half of it each
            raise InputError(f"'width' is {self.width}; take an even number that {self.heads} 'heads' divide equally")


PRESETS = {
    "default": SaneDiffusionConfig(),
    "unconditional": SaneDiffusionConfig(around=0.0),
    "ddpm": SaneDiffusionConfig(process="ddpm", sampling_steps=200, around=0.75),
}


class TokenNet(nn.Module):
    """A transformer of noisy latents, their positions, and their time; its output starts at zero."""

    def __init__(self, latent: int, width: int, heads: int, layers: int) -> None:
        super().__init__()
        self.latent_in, self.time_in = nn.Linear(latent, width), nn.Linear(2 * WAVES, width)
        self.positions = make_positions("sinusoidal", width, (0, 0, 0))
        self.transformer = Transformer(width, heads, layers)
        self.norm_out, self.out = nn.LayerNorm(width), nn.Linear(width, latent)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, time: Tensor, positions: Tensor) -> Tensor:
        """x [batch, tokens, latent], time [batch] in [0, 1], positions [batch, tokens, 3]."""
        embedded = self.latent_in(x) + self.time_in(waves(time))[:, None] + self.positions(positions)
        out: Tensor = self.out(self.norm_out(self.transformer(embedded, None)))
        return out


@dataclass(eq=False)
class SaneDiffusion:
    """A fitted SANE and flow. scale: mean and deviation [2, latent] of the latents of training models; course: how the
    fit went; None if it was read from a folder."""

    config: SaneDiffusionConfig
    sane: Sane
    scale: Tensor
    course: Course | None = None

    def __post_init__(self) -> None:
        c = self.config
        self.net = TokenNet(self.sane.config.latent, c.width, c.heads, c.layers).eval()

    @property
    def token_size(self) -> int:
        """Of the tokens that populations are to be given in."""
        return self.sane.token_size

    @classmethod
    def fit(
        cls, tokens: TokenSet, seed: int, config: SaneDiffusionConfig, execution: Execution = HERE
    ) -> SaneDiffusion:
        """Train SANE, on all workers, then the flow over the latents of the training models, in windows, on one."""
        identity = identity_of(tokens, seed, config)
        sane, first = _sane(tokens, seed, config, identity, execution)
        populations = [each for each in tokens.without("test").populations if len(each)]
        data = [sane.encode(p.tokenizer, canonical(p, sane.references, sane.config.flips)).cpu() for p in populations]
        examples = Examples.of(populations)
        known = torch.cat([each[rows].flatten(0, 1) for each, rows in zip(data, examples.train, strict=True)])
        scale = moments_of(known)
        with seeded(seed):
            fitted = cls(config, sane.to("cpu"), scale)
        standard = [(each - scale[0]) / scale[1] for each in data]

        def of_batch(group: int, rows: Tensor) -> Tensor:
            latents, positions = standard[group][rows.cpu()], populations[group].tokenizer.positions
            start = int(torch.randint(max(1, len(positions) - config.window + 1), (1,)))
            part = slice(start, start + config.window)
            there = positions[part].to(rows.device).expand(len(rows), -1, -1)
            return loss(config.process, lambda x, time: fitted.net(x, time, there), latents[:, part].to(rows.device))

        alone = replace(execution, workers=1)
        second = train(fitted.net, of_batch, examples, config, seed, identity, alone, name="flow")
        fitted.course = second if first is None else joined([first, second])
        return fitted

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """New weights [count, D] of the anchors' layout; with `around`, each from an anchor drawn at random.

        Weights outside tokens are the anchors' mean.
        """
        generator = torch.Generator().manual_seed(seed)
        tokenizer, begin = anchors.tokenizer, None
        if self.config.around:
            matched = canonical(anchors, self.sane.references, self.sane.config.flips)
            latents = (self.sane.encode(tokenizer, matched) - self.scale[0]) / self.scale[1]
            begin = latents[torch.randint(len(anchors), (count,), generator=generator)]
        noise = torch.randn(count, len(tokenizer), self.scale.shape[1], generator=generator)
        with torch.inference_mode():
            field, steps = self._field(tokenizer), self.config.sampling_steps
            drawn = sample(self.config.process, field, noise, steps, generator, begin, self.config.around)
        return self.sane.decode(tokenizer, drawn * self.scale[1] + self.scale[0], base=anchors.weights.mean(0))

    def _field(self, tokenizer: Tokenizer) -> Field:
        """The network on whole models, in windows of the length that it was trained on, with context around each."""
        window = self.config.window

        def field(x: Tensor, time: Tensor) -> Tensor:
            def part(latents: Tensor, positions: Tensor) -> Tensor:
                return self.net(latents, time[:1].expand(len(latents)), positions)  # in sampling, all have one time

            return in_windows(part, x, tokenizer.positions, window, (window - 1) // 5)

        return field

    def save(self, path: Path) -> None:
        with directory_written_aside(path) as aside:
            self.sane.save(aside / "sane")
            save_file(self.net.state_dict() | {"scale": self.scale}, aside / "flow.safetensors")
            write_json(aside / "config.json", {"method": "sane_diffusion", "config": asdict(self.config)})

    @classmethod
    def load(cls, path: Path) -> SaneDiffusion:
        """Read what `save` wrote. Raises `InputError` if it is damaged."""
        card = read_json(path / "config.json", "the configuration of the fitted sane_diffusion")
        try:
            config = TypeAdapter(SaneDiffusionConfig).validate_python(card["config"])
            found = load_file(path / "flow.safetensors")
            fitted = cls(config, Sane.load(path / "sane"), found.pop("scale"))
            fitted.net.load_state_dict(found)
        except (KeyError, ValueError, RuntimeError, OSError, SafetensorError) as error:
            raise damaged(path, "sane_diffusion", error) from None
        return fitted


def _sane(
    tokens: TokenSet, seed: int, config: SaneDiffusionConfig, identity: str, execution: Execution
) -> tuple[Sane, Course | None]:
    """The trained SANE, and how its training went. With a scratch folder it is kept there, for an interrupted fit."""
    chosen = replace(SANE_PRESETS[config.sane], steps=config.sane_steps)
    if execution.scratch is None:
        sane = Sane.fit(tokens, seed, chosen, execution)
        return sane, sane.course
    path = execution.scratch / f"sane-{identity[:16]}"
    if path.is_dir():
        kept = Fitted.load(path, SANE)
        return kept.model, kept.course
    sane = Sane.fit(tokens, seed, chosen, replace(execution, scratch=path.with_suffix(".training")))
    Fitted(SANE, chosen, sane, seed, course=sane.course).save(path)
    return sane, sane.course
