"""SANE as a method: fitted to a token set, it embeds checkpoints and generates new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo_generation.errors import InputError
from zoobench.files import directory_written_aside, read_json, write_json
from zoobench.methods.base import Report
from zoobench.methods.sane.canonical import canonical, reference_of, views
from zoobench.methods.sane.config import SaneConfig
from zoobench.methods.sane.embedding import embed, embed_layers
from zoobench.methods.sane.generation import Sampler
from zoobench.methods.sane.model import Autoencoder
from zoobench.methods.sane.training import train
from zoobench.methods.sane.windows import WindowSampler, in_windows
from zoobench.methods.target import Target
from zoobench.tokens import Population, Tokenizer, TokenSet

CHUNK = 64  # models encoded or decoded at once


@dataclasses.dataclass(eq=False)
class Sane:
    """A trained SANE.

    `max_positions` bounds (tokens, layers, channels) of the models it can read; `references` are the models [D] that
    populations, by name, are matched to.
    """

    config: SaneConfig
    token_size: int
    max_positions: tuple[int, int, int]
    references: dict[str, Tensor]

    def __post_init__(self) -> None:
        c = self.config
        self.model = Autoencoder(
            self.token_size,
            c.latent,
            c.d_model,
            c.heads,
            c.layers,
            self.max_positions,
            c.window,
            token_norm=c.token_norm,
        ).eval()

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: SaneConfig, report: Report | None = None) -> Sane:
        """Train on the training split of a token set."""
        populations = [population for population in tokens.split("train").populations if len(population)]
        positions = torch.cat([p.tokenizer.positions for p in populations]).max(0).values + 1
        references = {p.name: reference_of(p) for p in populations} if config.canonical else {}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            sane = cls(config, tokens.token_size, tuple(positions.tolist()), references)
        generator = torch.Generator().manual_seed(seed)
        sampler = WindowSampler(
            [p.with_weights(canonical(p, references)) for p in populations],
            [views(p, config.permutations, generator) for p in populations],
            config.window,
            generator,
        )
        train(sane.model, sampler, config, report)
        return sane

    def encode(self, tokenizer: Tokenizer, weights: Tensor) -> Tensor:
        """Latents [models, tokens, latent] of flat weights [models, D]."""
        self._check(tokenizer)
        chunks = [self._run(self.model.encode, tokenizer.tokens(chunk), tokenizer) for chunk in weights.split(CHUNK)]
        return torch.cat(chunks)

    def decode(self, tokenizer: Tokenizer, latents: Tensor, base: Tensor | None = None) -> Tensor:
        """Flat weights [models, D] of latents [models, tokens, latent]; `base` [D] gives what is no token."""
        self._check(tokenizer)
        chunks = [
            tokenizer.weights(self._run(self.model.decode, chunk, tokenizer), base) for chunk in latents.split(CHUNK)
        ]
        return torch.cat(chunks)

    def embed(self, population: Population) -> Tensor:
        """The mean of a checkpoint's token embeddings, [checkpoints, latent]."""
        return embed(self, population)

    def embed_layers(self, population: Population) -> Tensor:
        """The mean of the token embeddings of each of a checkpoint's layers, [checkpoints, layers, latent]."""
        return embed_layers(self, population)

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """New weights [count, D] drawn from a kernel density over the anchors' latents; see `Sampler` for more."""
        return Sampler.of(self, Target.of(anchors)).generate(anchors, count, seed)

    def save(self, path: Path) -> None:
        with directory_written_aside(path) as aside:
            save_file(self.model.state_dict(), aside / "model.safetensors")
            save_file(self.references, aside / "references.safetensors")
            card = {"method": "sane", "token_size": self.token_size, "max_positions": self.max_positions}
            write_json(aside / "config.json", card | {"config": dataclasses.asdict(self.config)})

    @classmethod
    def load(cls, path: Path) -> Sane:
        card = read_json(path / "config.json", "the configuration of the trained SANE")
        references = load_file(path / "references.safetensors")
        sane = cls(SaneConfig(**card["config"]), card["token_size"], tuple(card["max_positions"]), references)
        sane.model.load_state_dict(load_file(path / "model.safetensors"))
        return sane

    def _run(self, part: Callable[[Tensor, Tensor], Tensor], sequence: Tensor, tokenizer: Tokenizer) -> Tensor:
        with torch.inference_mode():
            return in_windows(part, sequence, tokenizer.positions, self.config.window, self.config.halo)

    def _check(self, tokenizer: Tokenizer) -> None:
        largest = tokenizer.positions.max(0).values + 1
        if tokenizer.token_size != self.token_size or (largest > torch.tensor(self.max_positions)).any():
            raise InputError(
                f"this SANE reads tokens of size {self.token_size} of models of at most {self.max_positions[0]} tokens,"
                f" {self.max_positions[1]} layers and {self.max_positions[2]} channels, and was given size "
                f"{tokenizer.token_size} and {largest.tolist()}; train one on a zoo that has such models"
            )
