"""Fit a method or load the kept fit; the record of a fitted method."""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, cast

import pandas as pd

from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError
from zoo_generation.files import SUMS, read_json, sums_of, writing_into
from zoo_generation.kept import check, kept, save
from zoo_generation.machine import check_writable
from zoo_generation.networks.program import device_of
from zoo_generation.progress import QUIET, Progress
from zoobench.methods.course import Course
from zoobench.methods.granting import granted
from zoobench.methods.method import Method
from zoobench.methods.protocols import HERE, Execution, FittedModel, moved
from zoobench.methods.registry import get_method
from zoobench.populations import Population, Tokenizer, TokenSet
from zoobench.zoo.workspace import Workspace

CARD = "fitted.json"
"""The card of a fitted method, beside its files."""

LOSSES = "losses.json"
"""The losses reported by a fit, and its core-seconds: these depend on how fast it is."""

CURVE = "curve.json"
"""One row per look at validation data; the same if the same fit is made again."""

FIT = "fit.json"
"""What a fit that is kept for several uses was of, and how long it took."""

ANYWHERE, HOME = ImageStore(), Workspace()


@dataclass(frozen=True, eq=False)
class Fitted:
    """A fitted method.

    config: its configuration; model: what it learned, with methods such as `embed`; seed: of the fit; digest: sixteen
    hexadecimal digits of the SHA-256 of its files; losses: one row per report, with `step`; course: how the fit went,
    None if it has no steps.
    """

    method: Method
    config: object
    model: Any
    seed: int = 0
    digest: str = ""
    losses: pd.DataFrame = field(default_factory=pd.DataFrame)
    course: Course | None = None

    @property
    def curve(self) -> pd.DataFrame:
        """One row per look at validation data: `step`, `total` and other losses. Empty if there were none."""
        return pd.DataFrame() if self.course is None else self.course.curve

    def __repr__(self) -> str:
        kept = f", digest {self.digest}" if self.digest else ""
        return f"<Fitted {self.method.name}, seed {self.seed}{kept}>"

    def save(self, path: str | Path) -> Fitted:
        """Write it to a folder, whole or not at all, with checksums. Returns it with its digest."""
        save(self.model, Path(path), self._cards())
        return replace(self, digest=_digest(Path(path)))

    def _cards(self) -> dict[str, dict[str, Any]]:
        """What is kept beside the model, by file name."""
        config = asdict(self.config) if is_dataclass(self.config) and not isinstance(self.config, type) else None
        card = {"method": self.method.name, "version": self.method.version, "seed": self.seed, "config": config}
        told: dict[str, Any] = {"losses": self.losses.to_dict("records")}
        if (course := self.course) is None:
            return {CARD: card, LOSSES: told}
        return {
            CARD: card | {"steps": course.steps, "epochs": course.epochs},
            LOSSES: told | {"core_seconds": course.core_seconds},
            CURVE: {"curve": course.curve.to_dict("records")},
        }

    @classmethod
    def load(cls, path: str | Path, method: Method | None = None) -> Fitted:
        """Read a saved fit of any method. An older folder does not name its method, so `method` must be given.

        Raises `InputError` if there is no fitted method, if it is of another method, or if its files have changed.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"there is no folder {path}; name one in which a fitted method was saved")
        card = read_json(path / CARD, "the card of the fitted method") if (path / CARD).is_file() else {}
        name = str(card.get("method", ""))
        if method is None:
            if not name:
                raise InputError(f"{path} does not say which method it is of; name the method")
            method = get_method(name)
        if name not in ("", method.name):
            raise InputError(f"{path} holds a fitted {name}, not {method.name}; take --method {name}")
        if (path / SUMS).exists():  # missing if an older zoobench or a script saved it
            check(path, f"the trained {method.name}", "train it again, or restore it")
        try:
            model: Any = method.load(path)
        except InputError as error:
            raise InputError(f"{path} holds no readable trained {method.name} ({error})") from None
        seed = int(card.get("seed", 0))
        return cls(method, getattr(model, "config", None), model, seed, _digest(path), _losses(path), course_at(path))

    @classmethod
    def kept_at(cls, path: Path, method: Method, config: object, model: Any, seed: int) -> Fitted:
        """The record of a model that `fit_kept` left at `path`."""
        return cls(method, config, model, seed, _digest(path), _losses(path), course_at(path))

    def in_its_tokens(self, populations: Sequence[Population]) -> tuple[Population, ...]:
        """The populations in tokens of the model's `token_size`, or unchanged if it has none."""
        size = getattr(self.model, "token_size", None)
        return tuple(
            each
            if size in (None, each.tokenizer.token_size)
            else replace(each, tokenizer=Tokenizer.of(each.layout, size, each.tokenizer.batch_norm))
            for each in populations
        )


def fit(
    method: Method,
    config: object,
    on: TokenSet,
    seed: int,
    *,
    execution: Execution = HERE,
    images: ImageStore = ANYWHERE,
    progress: Progress = QUIET,
) -> Fitted:
    """Fit a method, in a configuration, to the training models of a token set. The method never sees test models."""
    told: list[dict[str, float]] = []
    step = progress.stage(f"{method.name}: training, seed {seed}")

    def report(done: float, of: float, numbers: Mapping[str, float] = {}, note: str = "") -> None:
        told.append({"step": done, **numbers})
        step(done, of, numbers, note)

    populations = (granted(method, each, method.access, images) for each in on.without("test").populations)
    shown = TokenSet(on.token_size, tuple(populations))
    model = method.fit(shown, seed, config, replace(execution, report=report))
    return Fitted(method, config, model, seed, losses=pd.DataFrame(told), course=getattr(model, "course", None))


def fit_into(path: Path, method: Method, config: object, on: TokenSet, seed: int, **how: Any) -> Fitted:
    """Fit a method as `fit` does and save it to a folder. After an interruption, call it again to go on.

    Raises `InputError` if the folder exists already, or cannot be written.
    """
    if path.exists():
        raise InputError(f"{path} is there already; choose another --out, or delete it")
    check_writable(path)
    scratch = path.with_name(f".{path.name}.training")
    execution = replace(how.pop("execution", HERE), scratch=scratch)
    fitted = fit(method, config, on, seed, execution=execution, **how)
    shutil.rmtree(scratch, ignore_errors=True)  # first: nobody looks for it once the method exists
    with writing_into(path):
        return fitted.save(path)


def fit_kept(
    method: Method,
    config: object,
    on: TokenSet,
    seed: int,
    path: Path,
    *,
    device: str = "auto",
    images: ImageStore = ANYWHERE,
    beside: Mapping[str, Any] = {},
    progress: Progress = QUIET,
) -> FittedModel:
    """Load the method kept at `path`, or fit it now and keep it there; an interrupted fit goes on.
    Either way it computes on the device.

    beside: JSON objects to keep beside it, by file name; the `seconds` and `core_seconds` of the fit are added to each.
    """
    where = device_of(device)
    if (there := kept(path, method.load)) is not None:
        return cast(FittedModel, moved(there, where))
    started, used = time.monotonic(), time.process_time()
    scratch = path.with_name(f"{path.name}.training")
    execution = Execution(device=device, scratch=scratch)
    fitted = fit(method, config, on, seed, execution=execution, images=images, progress=progress)
    shutil.rmtree(scratch, ignore_errors=True)  # first: nobody looks for it once the method exists
    course = fitted.course  # counts what was done before an interruption, and by workers, as well
    core_seconds = time.process_time() - used if course is None else course.core_seconds
    took = {"seconds": round(time.monotonic() - started, 1), "core_seconds": round(core_seconds, 3)}
    cards = fitted._cards() | {name: dict(content) | took for name, content in beside.items()}
    save(fitted.model, path, cards)
    return cast(FittedModel, moved(fitted.model, where))


def course_at(folder: Path) -> Course | None:
    """How the fit in a folder went. None if it has no steps, or is of an older zoobench."""
    card = _beside(folder, CARD)
    if "steps" not in card:
        return None
    seconds = float(_beside(folder, LOSSES).get("core_seconds", "nan"))
    curve = pd.DataFrame(_beside(folder, CURVE).get("curve", []))
    return Course(int(card["steps"]), float(card["epochs"]), seconds, curve)


def _losses(folder: Path) -> pd.DataFrame:
    """One row per report; none if the folder is of an older zoobench."""
    return pd.DataFrame(_beside(folder, LOSSES).get("losses", []))


def _beside(folder: Path, name: str) -> dict[str, Any]:
    """A record that is kept beside a fit; empty if the folder is of an older zoobench."""
    return read_json(folder / name, "the record of the fit") if (folder / name).is_file() else {}


def _digest(folder: Path) -> str:
    """Of what it learned: not of what is kept beside, which says how long that took."""
    beside = tuple(f"  {name}\n" for name in (CARD, LOSSES, CURVE, FIT))
    lines = [line for line in sums_of(folder).splitlines(keepends=True) if not line.endswith(beside)]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
