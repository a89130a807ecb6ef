"""Embed the checkpoints of zoos, a few at a time, into Parquet files with a record of what they hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from zoo_generation.data.load import ImageStore
from zoo_generation.errors import InputError, unknown
from zoo_generation.files import directory_written_aside, write_json
from zoo_generation.progress import QUIET, Progress
from zoo_generation.training.sink import Status
from zoobench.methods.fitting import Fitted
from zoobench.methods.granting import granted
from zoobench.methods.protocols import Embedder, LayerEmbedder
from zoobench.populations import KEPT, Population, select_checkpoints
from zoobench.populations.population import varying_classes
from zoobench.populations.selection import Stored
from zoobench.zoo import Zoo

ANYWHERE = ImageStore()
ELEMENTS = 2**25  # of weights read at once, 128 MiB
CARD = "embeddings.json"
SAMPLE = 2000  # the first checkpoints of a population, at most this many, are in its figure


@dataclass(frozen=True)
class Chosen:
    """Which checkpoints to embed. None means all."""

    population: str | None = None
    model_id: str | None = None
    epoch: int | None = None

    @classmethod
    def of(cls, population: str | None, checkpoint: str | None) -> Chosen:
        """From ID or ID:EPOCH. Raises `InputError` if the epoch is not a number.

        >>> Chosen.of(None, "1f2e:5").epoch
        5
        """
        if checkpoint is None:
            return cls(population)
        model_id, colon, epoch = checkpoint.partition(":")
        if colon and not epoch.isdecimal():
            raise InputError(f"--checkpoint was given '{checkpoint}'; give ID or ID:EPOCH, where EPOCH is a number")
        return cls(population, model_id, int(epoch) if colon else None)

    def rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Which of a table's rows are chosen."""
        chosen = rows if self.model_id is None else rows[rows["model_id"] == self.model_id]
        return chosen if self.epoch is None else chosen[chosen["epoch"] == self.epoch]


@dataclass
class Embeddings:
    """The record of a population's embeddings.

    checkpoints: their number; width: numbers per embedding; left_out: model and epoch of those whose embedding is not
    finite; sample and accuracy: vectors and test accuracies of the first ones, for a figure.
    """

    name: str
    left_out: list[tuple[str, int]] = field(default_factory=list)
    checkpoints: int = 0
    width: int = 0
    sample: list[np.ndarray] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)

    @property
    def points(self) -> np.ndarray:
        """The sample as one matrix [checkpoints, width], float64, because squares of large numbers are beyond
        float32."""
        return np.concatenate(self.sample).astype(float)

    @property
    def mean_norm(self) -> float:
        """The mean L2 norm of the sample's vectors."""
        return float(np.linalg.norm(self.points, axis=1).mean())


def embed_population(
    fitted: Fitted, population: Population, *, layers: bool = False, images: ImageStore = ANYWHERE
) -> pd.DataFrame:
    """One row per checkpoint of a population, or per checkpoint and layer.

    Columns: population, model_id, epoch, with layers also layer and name, and embedding [width] float32. The method is
    asked blind: it sees weights, but not which models they belong to (`Population.blind`). Raises `InputError` if the
    method does not embed.
    """
    _check(fitted, layers)
    (population,) = fitted.in_its_tokens([population])
    shown = granted(fitted.method, population, fitted.method.access, images)
    hidden = [name for name, _ in varying_classes(population.table)]
    vectors = shown.asked(fitted.model.embed_layers if layers else fitted.model.embed, hidden)
    table = _table(population.table, vectors, population.tokenizer.layers if layers else ()).to_pandas()
    table.insert(0, "population", population.name)
    return table


def embed_zoos(
    fitted: Fitted,
    zoos: Sequence[Zoo],
    out: Path,
    *,
    chosen: Chosen = Chosen(),
    layers: bool = False,
    statuses: Sequence[Status] = KEPT,
    images: ImageStore = ANYWHERE,
    progress: Progress = QUIET,
) -> list[Embeddings]:
    """Write embeddings of the chosen checkpoints into a folder: one Parquet file per population, a card and a figure.

    Raises `InputError` if nothing is chosen, if no embedding is finite, or if the folder holds anything else.
    """
    from zoobench.display import figures

    _check(fitted, layers)
    name = fitted.method.name
    selected = select_checkpoints(zoos, getattr(fitted.model, "token_size", None), statuses=statuses, first_epoch=0)
    sources = [(source, list(_places(source, chosen))) for source in selected.sources]
    if chosen.population is not None:
        names = [source.name for source in selected.sources]
        if chosen.population not in names:
            raise unknown("population", chosen.population, names)
        sources = [(source, places) for source, places in sources if source.name == chosen.population]
    sources = [(source, places) for source, places in sources if places]
    if not sources:
        epoch = "" if chosen.epoch is None else f" after epoch {chosen.epoch}"
        raise InputError(f"there is no checkpoint of model '{chosen.model_id}'{epoch}; the zoo's tables have their ids")
    if out.exists() and not (out / CARD).is_file():
        raise InputError(f"{out} holds something other than embeddings; choose another --out")
    total, done, written = sum(len(places) for _, places in sources), 0, []
    step = progress.stage("embedding")
    with directory_written_aside(out) as aside:
        for source, places in sources:
            made = Embeddings(source.name)
            for _ in _write(source, places, fitted, layers, images, aside / f"{source.name}.parquet", made):
                done += 1
                step(done, total)
            written += [made] if made.checkpoints else []
            for model, after in made.left_out:
                reason = f"its weights, or what {name} makes of them, are beyond float32"
                progress.tell(f"model {model} after epoch {after} is not embedded: {reason}")
        if not written:
            raise InputError(f"no embedding by {name} is finite; take another method, or look at the weights")
        counts = {
            made.name: {"checkpoints": made.checkpoints, "numbers": made.width, "left_out": made.left_out}
            for made in written
        }
        how = {"method": name, "fitted": fitted.digest, "layers": layers, "zoos": [zoo.name for zoo in zoos]}
        drawn = figures.scatter({made.name: (made.points, made.accuracy) for made in written})
        figures.save(drawn, aside / "embeddings.png")
        write_json(aside / CARD, how | {"populations": counts})
    return written


def _check(fitted: Fitted, layers: bool) -> None:
    if not isinstance(fitted.model, LayerEmbedder if layers else Embedder):
        what = "layers: leave --layers out, or take" if layers else "checkpoints: take"
        raise InputError(f"{fitted.method.name} does not embed {what} a method that does, such as sane")


def _places(source: Stored, chosen: Chosen) -> Iterator[slice]:
    """Which rows of a population to embed: one slice per single checkpoint, or else large slices."""
    rows = chosen.rows(source.table).index
    if len(rows) < len(source.table):
        yield from (slice(row, row + 1) for row in rows)
        return
    step = max(1, ELEMENTS // max(1, source.tokenizer.layout.size))
    for start in range(0, len(rows), step):
        yield slice(start, min(start + step, len(rows)))


def _write(
    source: Stored,
    places: Sequence[slice],
    fitted: Fitted,
    layers: bool,
    images: ImageStore,
    file: Path,
    made: Embeddings,
) -> Iterator[None]:
    """Embed slice by slice into the file. Yields after each slice, and records in `made` what was written."""
    writer: pq.ParquetWriter | None = None
    hidden = [name for name, _ in varying_classes(source.table)]
    ask = fitted.model.embed_layers if layers else fitted.model.embed
    for where in places:
        rows = source.table.iloc[where].reset_index(drop=True)
        population = Population.of(source.name, source.tokenizer, source.fetch(where), rows)
        vectors = granted(fitted.method, population, fitted.method.access, images).asked(ask, hidden)
        finite = vectors.isfinite().flatten(1).all(1).numpy() & ~population.boundless
        made.left_out += list(rows.loc[~finite, ["model_id", "epoch"]].itertuples(index=False, name=None))
        rows, vectors = rows[finite].reset_index(drop=True), vectors[torch.from_numpy(finite)]
        if len(rows):
            content = _table(rows, vectors, source.tokenizer.layers if layers else ())
            writer = writer or pq.ParquetWriter(file, content.schema)
            writer.write_table(content)
            made.width, made.checkpoints = vectors.shape[-1], made.checkpoints + len(rows)
            if len(made.accuracy) < SAMPLE:
                made.sample.append((vectors.mean(1) if layers else vectors).numpy())
                made.accuracy += rows["test_accuracy"].astype(float).tolist()
        yield
    if writer is not None:
        writer.close()


def _table(rows: pd.DataFrame, vectors: Tensor, layers: Sequence[str]) -> pa.Table:
    """Columns model_id, epoch, with layers `layer` and `name`, and embedding [width] float32."""
    repeats = max(1, len(layers))
    flat = pa.array(vectors.float().contiguous().numpy().ravel())
    columns = {
        "model_id": pa.array(np.repeat(rows["model_id"].to_numpy(object), repeats), pa.string()),
        "epoch": pa.array(np.repeat(rows["epoch"].to_numpy(np.int64), repeats)),
    }
    if layers:
        columns["layer"] = pa.array(np.tile(np.arange(len(layers)), len(rows)))
        columns["name"] = pa.array(list(layers) * len(rows), pa.string())
    columns["embedding"] = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[-1])
    return pa.table(columns)
