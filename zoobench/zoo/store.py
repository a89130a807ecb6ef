"""Read zoo directories.

    zoo.json                    the card: format, name, spec, code version, hardware
    models/<part>.parquet       one row per model: hyperparameters, seed, status
    checkpoints/<part>.parquet  one row per checkpoint: model, epoch, metrics, part and row of its weights
    weights/<part>.safetensors  `weights` [checkpoints, D] float32, with the layout as metadata
    checksums/<part>.sha256     SHA-256 of these three, as `sha256sum` writes them
    landscape/<cell>.parquet    what was measured around checkpoints, if it was; see `zoobench.zoo.landscape`

A part is what one worker wrote at once. Its models file is written last: if it exists, the part is complete, unless the
storage lost something. The directory may be on a remote store: see `zoo_path`. The format, for readers and writers in
other languages, is `docs/format.md`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from html import escape
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from upath import UPath
from upath.implementations.local import FilePath

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath, local_copy, read_json
from zoo_generation.names import ALLOWED, is_file_name
from zoo_generation.networks.architectures import Layout
from zoo_generation.text import quoted
from zoobench.zoo.landscape.table import read_landscape
from zoobench.zoo.parts import (
    AGAIN,
    DamagedPartError,
    asked_at_once,
    part_file,
    part_names,
    read_table,
    recorded_sums,
)
from zoobench.zoo.schema import CHECKPOINTS, FORMAT, POPULATION, layout_of


class Zoo:
    """A zoo, opened for reading. Tables are read at their first use; local weights are memory-mapped.

    Raises `InputError` if there is no zoo, if it is in another format, or if it has a name that is not possible for
    files.

    >>> from zoobench.zoo import ZooSink
    >>> ZooSink(Path("zoos/mine")).write_card("mine", {})
    >>> Zoo(Path("zoos/mine")).name
    'mine'
    """

    def __init__(self, path: StoragePath) -> None:
        self.path = path
        if not (path / "zoo.json").is_file():
            raise InputError(
                f"{path} is not a zoo: it has no zoo.json; build one with 'zoobench build-zoo --out {path}'"
            )
        self.card = read_json(path / "zoo.json", "the card of the zoo")
        if self.card.get("format") != FORMAT:
            raise InputError(
                f"{path} is in format {self.card.get('format')!r}, and this zoobench reads {FORMAT!r}; update zoobench"
            )

        name = self.card.get("name")
        if not is_file_name(name):
            raise InputError(
                f"the zoo {path} is named {quoted(repr(name))}, which is not a safe file name: {ALLOWED}; give it "
                "another name in its zoo.json"
            )

    @property
    def name(self) -> str:
        return str(self.card["name"])

    def __repr__(self) -> str:
        return f"<Zoo {self.name}: {self.path}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: one row per population."""
        from zoobench.zoo.inspection import inspect_zoo

        try:
            return inspect_zoo(self)._repr_html_()
        except InputError as error:
            return escape(f"{self!r} is not whole: {error}")

    @cached_property
    def models(self) -> pd.DataFrame:
        """One row per model, ordered by population and id; `part` says where its checkpoints are.

        A model in two parts, for example after a retry with other shards, counts once.
        """
        parts = part_names(self.path)
        tables = asked_at_once(lambda part: read_table(self.path, "models", part).assign(part=part), parts)
        if not tables:
            raise InputError(f"the zoo {self.path} holds no models yet; run its 'zoobench build-zoo' command again")
        models = pd.concat(tables, ignore_index=True).drop_duplicates("model_id")
        return models.sort_values([*POPULATION, "model_id"], ignore_index=True)

    @cached_property
    def checkpoints(self) -> pd.DataFrame:
        """One row per checkpoint, with its model's columns, ordered by population, model and epoch; if the zoo's
        landscape was measured, also the columns `MEASURED` of the schema, null where it was not."""
        parts = sorted(self.models["part"].unique())
        tables = asked_at_once(lambda part: read_table(self.path, "checkpoints", part), parts)
        kept = [table for table in tables if len(table)] or [CHECKPOINTS.empty_table().to_pandas()]
        checkpoints = pd.concat(kept, ignore_index=True)
        joined = self.models.merge(checkpoints, on=["model_id", "part"], validate="one_to_many")
        if len(landscape := read_landscape(self.path)):
            joined = joined.merge(landscape, how="left", on=["model_id", "epoch"], validate="one_to_one")
        return joined.sort_values([*POPULATION, "model_id", "epoch"], ignore_index=True)

    def weights(self, checkpoints: pd.DataFrame) -> tuple[Tensor, Layout]:
        """Flat weights [rows, D] of rows of `checkpoints` that share one layout, and that layout."""
        layouts: set[Layout] = set()
        pieces: list[Tensor] = []
        order: list[int] = []
        for part, rows in checkpoints.reset_index(drop=True).groupby("part", sort=False):
            with self._stored(str(part)) as (stored, layout):
                layouts.add(layout)
                pieces.append(stored[rows["row"].to_list()])
            order.extend(rows.index)
        if len(layouts) != 1:
            raise ValueError(f"checkpoints of {len(layouts)} layouts were asked for at once; ask for one population")
        weights = torch.empty(len(checkpoints), pieces[0].shape[1])
        weights[order] = torch.cat(pieces)
        return weights, layouts.pop()

    def digests(self, checkpoints: pd.DataFrame) -> list[str]:
        """The SHA-256 of the weights of each row of `checkpoints`, of any layouts and parts; see `digests_of`."""
        digests: dict[tuple[str, int], str] = {}
        for part, rows in checkpoints.groupby("part", sort=False):
            with self._stored(str(part)) as (stored, _):
                for row in rows["row"].to_list():
                    (digests[str(part), row],) = digests_of(stored[row : row + 1])
        return [digests[place] for place in zip(checkpoints["part"], checkpoints["row"], strict=True)]

    def identities(self, checkpoints: pd.DataFrame) -> list[str]:
        """For each row of `checkpoints`, a text that changes if its weights do: their digest; for a remote zoo, to
        avoid downloading weights, the recorded checksum of their file, and their row."""
        if isinstance(self.path, Path):
            return self.digests(checkpoints)
        parts = list(checkpoints["part"].unique())
        sums = dict(zip(parts, asked_at_once(lambda part: recorded_sums(self.path, part), parts), strict=True))
        files = [f"weights/{part_file(self.path, 'weights', part).name}" for part in checkpoints["part"]]
        places = zip(checkpoints["part"], files, checkpoints["row"], strict=True)
        return [f"{sums[part].get(file)}:{row}" for part, file, row in places]

    @contextmanager
    def _stored(self, part: str) -> Iterator[tuple[Tensor, Layout]]:
        """A part's weights [rows, D], mapped, and their layout. Raises `DamagedPartError`."""
        path = part_file(self.path, "weights", part)
        try:
            with local_copy(path) as local, safe_open(local, framework="pt") as file:
                layout = layout_of(json.loads(file.metadata()["layout"]))
                stored = file.get_tensor("weights")
                if stored.dim() != 2 or stored.shape[1] != layout.size:
                    raise ValueError(f"they are {list(stored.shape)}, but the layout has {layout.size} elements")
                yield stored, layout
        except (SafetensorError, OSError, KeyError, TypeError, ValueError, IndexError) as error:
            raise DamagedPartError(f"the weights {path} are damaged ({error}); {AGAIN}") from None


def digests_of(weights: Tensor) -> list[str]:
    """SHA-256 of each of the flat weights [rows, D], 64 hexadecimal digits, of their bytes as they are stored."""
    return [hashlib.sha256(row.contiguous().view(torch.uint8).numpy()).hexdigest() for row in weights]


def latest_zoo(folder: Path) -> Path:
    """The most recently built zoo under a folder. Raises `InputError` with the command that makes one."""
    cards = [(str(read_json(card, "the card of the zoo").get("built", "")), card) for card in folder.glob("*/zoo.json")]
    if not cards:
        raise InputError(f"there is no zoo under {folder}; build one with 'zoobench build-zoo', or name one with --zoo")
    return max(cards)[1].parent


def zoo_path(text: str) -> StoragePath:
    """The path of a zoo: a plain `Path` for a directory or `file://` URL, else one under an fsspec URL.

    >>> zoo_path("zoos/mine")
    PosixPath('zoos/mine')

    Raises `InputError` if the store's protocol is unknown, its package is not installed, or it does not answer.
    The store takes its credentials from its own environment variables and configuration files.
    """
    try:
        path = UPath(text)
    except ValueError as error:
        raise InputError(
            f"cannot use {text}: {_reason(error)}; name a directory or a URL such as s3://bucket/zoo"
        ) from None
    if isinstance(path, Path | FilePath):
        return Path(path.path)
    try:
        path.stat()
    except FileNotFoundError:
        return path
    except ImportError as error:
        raise InputError(f"cannot use {text}: {_reason(error)}; install that package, or name a directory") from None
    except Exception as error:  # every store has its own
        raise InputError(
            f"cannot reach {text} ({_reason(error)}); check the address, the network and your credentials"
        ) from None
    return path


def _reason(error: Exception) -> str:
    return str(error).split("\n")[0] or type(error).__name__
