"""Parts of a dataset's images, so that models can be trained on different images of the same dataset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
import torch
from pydantic import Field, ValidationError, model_validator
from torch import Tensor

from zoo_generation.errors import InputError
from zoo_generation.settings import Fields, sentence
from zoo_generation.text import as_given

PART_SEED = 1  # of the order in which images are dealt out; not that in which a dataset is split
SHARE = 0.8  # Jin et al., arXiv 2212.09849, section 4.1
TEXT = re.compile(r"(?P<by>[a-z]+)-(?P<number>\d{1,9})-of-(?P<of>\d{1,9})(?:-(?P<share>\d*\.?\d+))?")
FORMS = "give one such as iid-0-of-2, skew-1-of-2-0.8 or classes-0-of-5"


class DataPart(Fields):
    """One of `of` disjoint parts that cover a set of labelled images; they depend on the labels' order alone.

    by: `iid`: images are dealt out at random, as many to each part, but for one; `classes`: so are classes, those of
    the lowest numbers to part 0; `skew`: of the images of each class, `share` are in the part that has the class by
    `classes`, and the rest are spread evenly over the others; number: which part, from 0.

    >>> str(DataPart(by="skew", of=2, number=1))
    'skew-1-of-2-0.8'
    >>> DataPart.read("classes-1-of-2").classes(10)
    (5, 6, 7, 8, 9)
    """

    by: Literal["iid", "skew", "classes"]
    of: Annotated[int, Field(ge=2, le=1000)]
    number: Annotated[int, Field(ge=0)]
    share: float | None = None

    @model_validator(mode="before")
    @classmethod
    def _with_share(cls, fields: Any) -> Any:
        if isinstance(fields, Mapping) and fields.get("by") == "skew" and fields.get("share") is None:
            return {**fields, "share": SHARE}
        return fields

    @model_validator(mode="after")
    def _is_one(self) -> DataPart:
        if self.number >= self.of:
            raise ValueError(f"there is no part {self.number} of {self.of}; they are counted from 0 to {self.of - 1}")
        if self.by == "skew" and not 1 / self.of < (self.share or 0) < 1:
            raise ValueError(f"the share of a skewed part of {self.of} must lie between 1/{self.of} and 1")
        if self.by != "skew" and self.share is not None:
            raise ValueError(f"only 'skew' takes a share, not '{self.by}'")
        return self

    @classmethod
    def read(cls, given: object) -> DataPart:
        """A part of its text or its fields. Raises `InputError` that says what was given and what is allowed."""
        fields: Any = given
        if isinstance(given, str) and (match := TEXT.fullmatch(given)):
            fields = {name: value for name, value in match.groupdict().items() if value is not None}
        if not isinstance(fields, Mapping):
            raise InputError(f"{as_given(given)} is not a part of a dataset; {FORMS}")
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            raise InputError(f"{sentence(error, 'field of a part', cls)}; {FORMS}") from None

    def __str__(self) -> str:
        share = "" if self.share is None else f"-{self.share}"
        return f"{self.by}-{self.number}-of-{self.of}{share}"

    def classes(self, count: int) -> tuple[int, ...]:
        """The classes of its images, of `count` classes: all, unless it is by `classes`."""
        return tuple(each for each in range(count) if self.by != "classes" or each * self.of // count == self.number)

    def rows(self, labels: Tensor, classes: int) -> Tensor:
        """Which of the images with these labels [images] are its own, int64, ascending. classes: of the dataset."""
        return (self._owners(labels, classes) == self.number).nonzero().flatten()

    def _owners(self, labels: Tensor, classes: int) -> Tensor:
        """The number of the part that each image is in, int64 [images]."""
        if self.by == "iid":
            return _dealt(len(labels)) % self.of
        homes = labels * self.of // classes
        if self.by == "classes":
            return homes
        owners = homes.clone()
        for label in labels.unique():
            images = (labels == label).nonzero().flatten()
            home, rank = homes[images[0]], _dealt(len(images))
            strangers = rank - round((self.share or 0) * len(images))  # from 0 up for those in other parts
            elsewhere = (home + 1 + strangers % (self.of - 1)) % self.of
            owners[images] = torch.where(strangers < 0, home, elsewhere)
        return owners


def _dealt(images: int) -> Tensor:
    """A fixed random order of images: the place of each, int64 [images]."""
    # NumPy promises that the legacy generator never changes.
    return torch.from_numpy(np.random.RandomState(PART_SEED).permutation(images).astype(np.int64))
