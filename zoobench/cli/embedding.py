"""Embed checkpoints, a few at a time, with progress; write Parquet, and what the embeddings look like."""

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

from zoo_generation.errors import InputError, unknown
from zoo_generation.files import directory_written_aside, write_json
from zoo_generation.kept import tell
from zoo_generation.names import inside
from zoo_generation.training.sink import Status
from zoobench.cli.console import console, counting, stages, table
from zoobench.cli.learned import fitted_method
from zoobench.methods.protocols import Embedder, FittedModel, LayerEmbedder
from zoobench.methods.registry import Method
from zoobench.methods.sane import Sane
from zoobench.populations import Population, select_checkpoints
from zoobench.populations.selection import Source
from zoobench.tasks.probe import varying_classes
from zoobench.zoo import Zoo

ELEMENTS = 2**25  # of weights that are read at once, 128 MiB
CARD = "embeddings.json"
PLOTTED = 2000  # checkpoints of a population, at most: the plot is of its first ones


@dataclass(frozen=True)
class Chosen:
    """Which checkpoints are embedded; none: all."""

    population: str | None = None
    model_id: str | None = None
    epoch: int | None = None

    @classmethod
    def of(cls, population: str | None, checkpoint: str | None) -> Chosen:
        """As a user names them; raises `InputError` where the epoch is no number."""
        if checkpoint is None:
            return cls(population)
        model_id, colon, epoch = checkpoint.partition(":")
        if colon and not epoch.isdecimal():
            raise InputError(f"--checkpoint was given '{checkpoint}', and is ID or ID:EPOCH, the epoch a number")
        return cls(population, model_id, int(epoch) if colon else None)

    def rows(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Those of a table's rows."""
        chosen = rows if self.model_id is None else rows[rows["model_id"] == self.model_id]
        return chosen if self.epoch is None else chosen[chosen["epoch"] == self.epoch]


@dataclass
class Written:
    """A population's embeddings: how many checkpoints, numbers in each, and what is plotted of them; model and epoch of
    those that are left out, since their embeddings are not finite."""

    name: str
    left_out: list[tuple[str, int]] = field(default_factory=list)
    checkpoints: int = 0
    width: int = 0
    sample: list[np.ndarray] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


def embed_zoos(
    zoos: Sequence[Zoo],
    trained_on: Sequence[Zoo],
    method: Method,
    config: object,
    folder: Path | None,
    statuses: Sequence[Status],
    chosen: Chosen,
    layers: bool,
    seed: int,
    out: Path | None,
    home: Path,
) -> list[Written]:
    """Write the embeddings of the chosen checkpoints into a folder, a file a population; print a table, and plot."""
    with stages() as stage:
        fitted = fitted_method(method, config, folder, trained_on, statuses, seed, home / "runs", stage)
    learned = fitted.learned
    if not isinstance(learned, LayerEmbedder if layers else Embedder):
        what = "layers: leave --layers out, or take" if layers else "checkpoints: take"
        raise InputError(f"{method.name} does not embed {what} --model sane")
    token_size = learned.token_size if isinstance(learned, Sane) else None
    selected = select_checkpoints(zoos, token_size, statuses=statuses, first_epoch=0)
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
    title = f"{'+'.join(zoo.name for zoo in zoos)}-{method.name}"
    path = out or inside(home / "results", f"embeddings-{title}")
    if path.exists() and not (path / CARD).is_file():
        raise InputError(f"{path} is there, and holds no embeddings that could be replaced; choose another --out")
    total, done, written = sum(len(places) for _, places in sources), 0, []
    with directory_written_aside(path) as aside:
        with counting("embedding") as told:
            for source, places in sources:
                made = Written(source.name)
                for piece in _write(source, places, learned, layers, aside / f"{source.name}.parquet", made):
                    done += piece
                    told(done, total)
                written += [made] if made.checkpoints else []
                for model, epoch in made.left_out:
                    reason = f"its weights, or what {method.name} makes of them, are beyond float32"
                    tell(f"model {model} after epoch {epoch} is not embedded: {reason}")
        if not written:
            raise InputError(f"no embedding by {method.name} is finite; take another method, or look at the weights")
        plot(written, aside / "embeddings.png")
        counts = {
            made.name: {"checkpoints": made.checkpoints, "numbers": made.width, "left_out": made.left_out}
            for made in written
        }
        how = {"method": method.name, "fitted": fitted.digest, "layers": layers, "zoos": [zoo.name for zoo in zoos]}
        write_json(aside / CARD, how | {"populations": counts})
    console.print(embedding_table(f"Embeddings by {method.name}", written, layers))
    console.print(f"Parquet, card and plot: {path}", soft_wrap=True)
    return written


def _places(source: Source, chosen: Chosen) -> Iterator[slice]:
    """Which rows of a source to embed: of single checkpoints a slice each, else large ones."""
    rows = chosen.rows(source.table).index
    if len(rows) < len(source.table):
        yield from (slice(row, row + 1) for row in rows)
        return
    step = max(1, ELEMENTS // max(1, source.tokenizer.layout.size))
    for start in range(0, len(rows), step):
        yield slice(start, min(start + step, len(rows)))


def _write(
    source: Source, places: Sequence[slice], learned: FittedModel, layers: bool, file: Path, made: Written
) -> Iterator[int]:
    """Embed slice by slice into the file; yields 1 after each, and notes in `made` what was written."""
    writer: pq.ParquetWriter | None = None
    hidden = [name for name, _ in varying_classes(source.table)]
    for where in places:
        rows = source.table.iloc[where].reset_index(drop=True)
        population = Population.of(source.name, source.tokenizer, source.fetch(where), rows)
        vectors = _embed(learned, population, layers, hidden)
        finite = vectors.isfinite().flatten(1).all(1).numpy() & ~population.boundless
        made.left_out += list(rows.loc[~finite, ["model_id", "epoch"]].itertuples(index=False, name=None))
        rows, vectors = rows[finite].reset_index(drop=True), vectors[torch.from_numpy(finite)]
        if not len(rows):
            yield 1
            continue
        content = _table(rows, vectors, source.tokenizer.layers if layers else ())
        writer = writer or pq.ParquetWriter(file, content.schema)
        writer.write_table(content)
        made.width, made.checkpoints = vectors.shape[-1], made.checkpoints + len(rows)
        if len(made.accuracy) < PLOTTED:
            made.sample.append((vectors.mean(1) if layers else vectors).numpy())
            made.accuracy += rows["test_accuracy"].astype(float).tolist()
        yield 1
    if writer is not None:
        writer.close()


def _embed(learned: FittedModel, population: Population, layers: bool, hidden: Sequence[str]) -> Tensor:
    if layers:
        assert isinstance(learned, LayerEmbedder)
        return population.asked(learned.embed_layers, hidden)
    assert isinstance(learned, Embedder)
    return population.asked(learned.embed, hidden)


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


def embedding_table(title: str, written: Sequence[Written], layers: bool) -> object:
    """A row a population: checkpoints, numbers of an embedding, and the length of the mean checkpoint's."""
    result = table(title, ["population"], ["checkpoints", "numbers" + (" a layer" if layers else ""), "mean norm"])
    for made in written:
        norm = float(np.linalg.norm(np.concatenate(made.sample).astype(float), axis=1).mean())
        result.add_row(
            made.name, str(made.checkpoints), str(made.width), f"{norm:.3f}" if norm < 1e6 else f"{norm:.3g}"
        )
    return result


def plot(written: Sequence[Written], path: Path) -> None:
    """The two principal components of each population's embeddings, coloured by test accuracy."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, len(written), figsize=(5 * len(written), 4), squeeze=False, layout="constrained")
    for axis, made in zip(axes[0], written, strict=True):
        points = np.concatenate(made.sample).astype(float)  # squares of large ones are beyond float32
        centred = points - points.mean(0)
        left, scale, _ = np.linalg.svd(centred, full_matrices=False)
        across = (left * scale)[:, :2]
        across = np.pad(across, ((0, 0), (0, 2 - across.shape[1])))
        shown = axis.scatter(across[:, 0], across[:, 1], c=made.accuracy, s=8, cmap="viridis", vmin=0, vmax=1)
        axis.set(title=made.name, xlabel="first component", ylabel="second component")
        figure.colorbar(shown, ax=axis, label="test accuracy")
    figure.savefig(path, dpi=120, format="png")
    plt.close(figure)
