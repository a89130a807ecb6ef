"""Multitask sparse parity: several skills, each the parity of some bits, that come up with power-law frequencies.

Source: Nam et al., An exactly solvable model for emergence and scaling laws in the multitask sparse parity problem,
arXiv 2404.17563, section 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from zoo_generation.data.entry import DatasetEntry
from zoo_generation.data.source import ImageRows, ImageSource
from zoo_generation.errors import InputError

CLASSES = ("even", "odd")
COUNTS = [100_000, 2_000, 5_000]  # inputs to train, validate and test with
STRENGTH = 5.0
"""S: the number to regress on is S where the parity is even, and -S where it is odd."""
MOST_BITS, MOST_TENTHS = 1024, 100
MOST_INPUTS = 2**16  # of a skill that are enumerated
DRAWN = 20_000  # inputs of a skill in their place, if there are more; as many as the authors draw
SEED = 240417563  # changing it changes the datasets


@dataclass(frozen=True)
class SparseParity:
    """The skills of a dataset: skill k of 1, 2, … is the parity of `of` of its bits, and comes up in proportion to
    k^-(alpha + 1).

    skills: how many; bits: of each input, beside one control bit per skill that says which skill is asked for; of: bits
    that decide a skill, no two skills share one; tenths: alpha in tenths. Raises `InputError` for numbers that do not
    fit.

    >>> SparseParity(skills=2, bits=4, of=2, tenths=10).frequencies
    array([0.8, 0.2])
    """

    skills: int = 4
    bits: int = 12
    of: int = 3
    tenths: int = 6

    def __post_init__(self) -> None:
        if min(self.skills, self.of) < 1 or not (self.skills * self.of <= self.bits <= MOST_BITS):
            raise InputError(
                f"there is no dataset '{self.name}': its numbers are 1 or more, the first times the third is at most "
                f"the second, and that is at most {MOST_BITS}"
            )
        if not 1 <= self.tenths <= MOST_TENTHS:
            raise InputError(f"there is no dataset '{self.name}': its last number lies between 1 and {MOST_TENTHS}")

    @property
    def name(self) -> str:
        """The name of the dataset."""
        return f"sparse_parity-{self.skills}-{self.bits}-{self.of}-{self.tenths}"

    @property
    def alpha(self) -> float:
        """α, from which the exponents of scaling laws follow."""
        return self.tenths / 10

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """P(k) of each skill [skills]; they sum to 1."""
        return frequencies(self.skills, self.alpha)

    @property
    def deciding(self) -> NDArray[np.int64]:
        """The bits that decide each skill, [skills, of] int64, counted from 0 without the control bits.

        They are drawn once for all datasets of as many bits and skills of as many bits, whatever α is.
        """
        random = np.random.RandomState([SEED, self.skills, self.bits, self.of])  # NumPy promises that it never changes
        return random.permutation(self.bits)[: self.skills * self.of].reshape(self.skills, self.of)

    def inputs(self, skill: int) -> tuple[Tensor, Tensor]:
        """Every input of a skill, counted from 1, once: uint8 0 or 255 [inputs, skills + bits, 1, 1]; and its parity,
        int64 [inputs], 0 if it is even. If there are more than `MOST_INPUTS`, the same `DRAWN` ones every time."""
        if 2**self.bits <= MOST_INPUTS:
            every = np.arange(2**self.bits)[:, None] >> np.arange(self.bits) & 1
        else:
            random = np.random.RandomState([SEED, self.skills, self.bits, self.of, skill])
            every = random.randint(0, 2, (DRAWN, self.bits))
        return self.images(np.full(len(every), skill - 1), every), self.parities(np.full(len(every), skill - 1), every)

    def images(self, asked: NDArray[np.int64], drawn: NDArray[np.int64]) -> Tensor:
        """Control bits of the skills asked for, counted from 0 [inputs], then bits [inputs, bits], as images."""
        control = np.arange(self.skills) == asked[:, None]
        return torch.from_numpy((np.hstack([control, drawn]) * 255).astype(np.uint8))[:, :, None, None]

    def parities(self, asked: NDArray[np.int64], drawn: NDArray[np.int64]) -> Tensor:
        """The classes int64 [inputs] of inputs as of `images`."""
        return torch.from_numpy(np.take_along_axis(drawn, self.deciding[asked], 1).sum(1) % 2)

    def read(self) -> ImageSource:
        """The dataset: inputs drawn at random, so that one of few bits may be in several splits."""
        random = np.random.RandomState([SEED, self.skills, self.bits, self.of, self.tenths])
        asked = random.choice(self.skills, sum(COUNTS), p=self.frequencies)
        drawn = random.randint(0, 2, (sum(COUNTS), self.bits))
        images, labels = self.images(asked, drawn), self.parities(asked, drawn)
        rows = map(ImageRows.of, torch.split(images, COUNTS), torch.split(labels, COUNTS))
        return ImageSource(f"{self.skills} sparse parities", CLASSES, *rows)


def frequencies(skills: int, alpha: float) -> NDArray[np.float64]:
    """P(k) of each skill [skills], in proportion to k^-(α + 1); they sum to 1.

    >>> frequencies(2, 1.0)
    array([0.8, 0.2])
    """
    shares = np.arange(1.0, skills + 1) ** -(alpha + 1)
    return np.asarray(shares / shares.sum())


def sparse_parity(skills: int = 4, bits: int = 12, of: int = 3, tenths: int = 6) -> DatasetEntry:
    """Multitask sparse parity: flat inputs, images of one pixel with a channel for each number; see `SparseParity`.

    The numbers 0 and 1 reach a network as they are.
    """
    made = SparseParity(skills, bits, of, tenths)
    return DatasetEntry(
        *(skills + bits, 1, CLASSES),
        read=made.read,
        summary=f"{skills} skills, each the parity of {of} of {bits} bits, as flat inputs; α is {made.alpha:g}",
        paper="Nam et al., An Exactly Solvable Model for Emergence and Scaling Laws, arXiv 2404.17563",
        standardised=False,
        targets=(STRENGTH, -STRENGTH),
        skills=made,
    )
