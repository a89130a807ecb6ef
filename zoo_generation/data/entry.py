"""The record of a dataset, known before any of its images are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo_generation.data.made.sparse_parity import SparseParity
    from zoo_generation.data.source import ImageSource


@dataclass(frozen=True)
class Vision:
    """A dataset class of torchvision, its arguments for each split, and the files it reads under its root."""

    name: str
    splits: Mapping[str, Mapping[str, Any]]
    files: tuple[str, ...]


@dataclass(frozen=True)
class DatasetEntry:
    """A dataset of square images.

    channels, size: of its images, size in pixels; classes: their names, empty if they come with the data;
    unnamed_classes: how many there are then; folders: names of folders that may hold it, beside its own name; vision:
    how torchvision reads it; read: makes or reads its images, instead of the files that zoobench looks for; summary:
    one line; paper: where it comes from; alterations: of its images after they are read, by name, see `altered`;
    standardised: whether networks see images less the mean of the training images, by their deviation, or else as they
    are, on the [0, 1] scale; targets: the number that stands for each class, to regress on, empty if none does; skills:
    what its models learn one after the other, None if that is not known.
    """

    channels: int
    size: int
    classes: tuple[str, ...] = ()
    unnamed_classes: int = 10
    folders: tuple[str, ...] = ()
    vision: Vision | None = None
    read: Callable[[], ImageSource] | None = None
    summary: str = ""
    paper: str = ""
    alterations: tuple[str, ...] = ()
    standardised: bool = True
    targets: tuple[float, ...] = ()
    skills: SparseParity | None = None

    @property
    def class_count(self) -> int:
        """How many classes it has."""
        return len(self.classes) or self.unnamed_classes

    @property
    def needs(self) -> str:
        """Where its images come from."""
        if self.read is not None:
            return "no files"
        return "files under --data-root" + (", or a download" if self.vision else "")
