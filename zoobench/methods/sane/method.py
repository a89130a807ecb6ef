"""SANE as a method: fitted to a token set, it embeds checkpoints and generates new ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import PositiveInt, TypeAdapter
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.files import directory_written_aside, read_json, write_json
from zoo_generation.networks.program import device_of
from zoobench.methods.course import Course
from zoobench.methods.learning.resume import Snapshots, identity_of
from zoobench.methods.learning.saving import damaged
from zoobench.methods.learning.tracking import tracked
from zoobench.methods.protocols import HERE, Execution
from zoobench.methods.sane.canonical import canonical, random_view
from zoobench.methods.sane.codec import Codec
from zoobench.methods.sane.config import SaneConfig
from zoobench.methods.sane.embedding import embed, embed_layers
from zoobench.methods.sane.generation import Sampler, SaneSampling, fitted_gaussian
from zoobench.methods.sane.standardization import Standardization
from zoobench.methods.sane.training import train
from zoobench.methods.sane.windows import WindowSampler, generator_of
from zoobench.populations import Population, TokenSet
from zoobench.populations.symmetries import reference_of
from zoobench.populations.target import Target

VALIDATION = 1_000_003  # added to the seed, so that validation windows differ from those of training


@dataclasses.dataclass(eq=False)
class Sane(Codec):
    """A trained SANE. course: how its fit went; None if it was read from a folder, beside which that is kept."""

    course: Course | None = None

    @classmethod
    def fit(cls, tokens: TokenSet, seed: int, config: SaneConfig, execution: Execution = HERE) -> Sane:
        """Train on the training split of a token set, and look at its validation split meanwhile."""
        populations = [population for population in tokens.split("train").populations if len(population)]
        held_out = [population for population in tokens.split("val").populations if len(population)]
        positions = torch.cat([p.tokenizer.positions for p in populations]).max(0).values + 1
        references = {p.name: reference_of(p) for p in populations} if config.canonical else {}
        matched = [p.with_weights(canonical(p, references, config.flips)) if references else p for p in populations]
        standardization = Standardization.of(matched) if config.normalization == "layer" else Standardization()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            sane = cls(config, tokens.token_size, tuple(positions.tolist()), references, standardization)
        generator = generator_of(seed, -1)
        sampler = WindowSampler(
            matched,
            [random_view(p, config.permutations, config.view_flips, generator) for p in populations],
            config.window,
            seed,
            noise=config.noise,
            erase=config.erase,
            standardization=standardization,
        )
        validation = WindowSampler(
            [p.with_weights(canonical(p, references, config.flips)) if references else p for p in held_out],
            [random_view(p, config.permutations, config.view_flips, generator) for p in held_out],
            config.window,
            seed + VALIDATION,
            standardization=standardization,
        )
        sane._train(sampler, validation if held_out else None, execution, identity_of(tokens, seed, config))
        return sane

    def _train(
        self, sampler: WindowSampler, validation: WindowSampler | None, execution: Execution, identity: str
    ) -> None:
        from zoobench.methods.sane.distributed import train_on_workers

        execution = dataclasses.replace(execution, device=device_of(execution.device))
        scratch = execution.scratch
        snapshots = None if scratch is None else Snapshots(scratch / "training.pt", identity)
        with tracked(execution, self.config) as log:
            if execution.workers > 1:
                self.course = train_on_workers(
                    self.model, sampler, validation, self.config, execution, log=log, snapshots=snapshots
                )
            else:
                self.course = train(
                    self.model.to(execution.device),
                    sampler,
                    validation,
                    self.config,
                    report=execution.report,
                    log=log,
                    snapshots=snapshots,
                )
        if snapshots is not None:
            snapshots.clear()
        if not all(bool(each.isfinite().all()) for each in self.model.parameters()):
            raise InputError(
                "the training of this SANE diverged: its weights are not finite; lower its 'learning_rate', "
                "or look for models with much larger weights than others have ('zoobench zoo validate')"
            )

    def embed(self, population: Population) -> Tensor:
        """The mean of a checkpoint's token embeddings, [checkpoints, latent]."""
        return embed(self, population)

    def embed_layers(self, population: Population) -> Tensor:
        """The mean of the token embeddings of each of a checkpoint's layers, [checkpoints, layers, latent]."""
        return embed_layers(self, population)

    def generate(self, anchors: Population, count: int, seed: int) -> Tensor:
        """New weights [count, D] drawn from a kernel density over the anchors' latents; see `Sampler` for more."""
        return Sampler.of(self, Target.of(anchors)).generate(anchors, count, seed)

    def sampler(self, target: Target, settings: SaneSampling | None, known: Sequence[Population]) -> Sampler:
        """A generator of models of the target, around anchors of it or of another dataset, or from a Gaussian."""
        settings = settings or SaneSampling()
        gaussian = fitted_gaussian(self, known) if settings.gaussian == "fitted" else None
        return Sampler.of(self, target, settings.kernel(self.config), gaussian)

    def recorded(self, settings: SaneSampling, *, anchors: bool, rounds: int) -> Mapping[str, Any]:
        """The kernel if there are anchors, else the Gaussian, and the kernel of later rounds."""
        kernel = dataclasses.asdict(settings.kernel(self.config))
        if anchors:
            if settings.gaussian is not None:
                raise InputError("--gaussian is for models without anchors; leave it out, or take --anchors 0")
            return kernel
        return {"gaussian": settings.gaussian or "standard"} | (kernel if rounds > 1 else {})

    def reconstruct(self, population: Population) -> Tensor:
        """Weights [checkpoints, D] of the canonical form, encoded and decoded: the same function, if that were exact.

        Weights outside tokens are the checkpoints' average, as in generated models.
        """
        weights = canonical(population, self.references, self.config.flips)
        latents = self.encode(population.tokenizer, weights)
        return self.decode(population.tokenizer, latents, base=weights.mean(0)).cpu()

    def save(self, path: Path) -> None:
        with directory_written_aside(path) as aside:
            save_file(self.model.state_dict(), aside / "model.safetensors")
            save_file(self.references, aside / "references.safetensors")
            save_file(self.standardization.statistics, aside / "standardization.safetensors")
            card = {"method": "sane", "token_size": self.token_size, "max_positions": self.max_positions}
            write_json(aside / "config.json", card | {"config": dataclasses.asdict(self.config)})

    @classmethod
    def load(cls, path: Path) -> Sane:
        """Read what `save` wrote. Raises `InputError` if it is damaged, or of a SANE with other settings."""
        card = read_json(path / "config.json", "the configuration of the trained SANE")
        try:
            positions = TypeAdapter(tuple[int, int, int]).validate_python(card["max_positions"])
            sane = cls(
                TypeAdapter(SaneConfig).validate_python(card["config"]),
                TypeAdapter(PositiveInt).validate_python(card["token_size"]),
                positions,
                load_file(path / "references.safetensors"),
                Standardization(load_file(path / "standardization.safetensors")),
            )
            sane.model.load_state_dict(load_file(path / "model.safetensors"))
        except (KeyError, ValueError, RuntimeError, OSError, SafetensorError) as error:
            raise damaged(path, "sane", error) from None
        return sane
