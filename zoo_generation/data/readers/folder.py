"""Read a folder of image files, one subfolder per class; also Tiny ImageNet's own layout."""

from __future__ import annotations

from pathlib import Path

from zoo_generation.data.entry import DatasetEntry
from zoo_generation.data.readers.decode import SUFFIXES, path_rows
from zoo_generation.data.source import ImageRows, ImageSource
from zoo_generation.errors import InputError

ANNOTATIONS = "val_annotations.txt"  # of Tiny ImageNet: tab-separated file name, class, bounding box


def is_image_folder(folder: Path) -> bool:
    """Whether `folder/train` holds at least one class."""
    return bool(_subfolders(folder / "train"))


def read_image_folder(folder: Path, entry: DatasetEntry) -> ImageSource:
    """A source whose classes are the subfolders of `folder/train`, in alphabetical order."""
    classes = _subfolders(folder / "train")
    train = _rows(folder / "train", classes, entry)
    if train is None:
        raise InputError(f"{folder / 'train'} holds no images ({', '.join(sorted(SUFFIXES))})")
    val, test = (_rows(folder / split, classes, entry) for split in ("val", "test"))
    return ImageSource(str(folder), classes, train, val, test)


def _subfolders(folder: Path) -> tuple[str, ...]:
    if not folder.is_dir():
        return ()
    return tuple(sorted(path.name for path in folder.iterdir() if path.is_dir() and path.name[0] != "."))


def _rows(folder: Path, classes: tuple[str, ...], entry: DatasetEntry) -> ImageRows | None:
    if (folder / ANNOTATIONS).is_file():
        named = _annotated(folder)
    else:
        found = _subfolders(folder)
        if found == ("images",) != classes:  # Tiny ImageNet's test images, which have no labels
            return None
        named = [(path, name) for name in found for path in sorted((folder / name).rglob("*"))]
    strange = sorted({name for _, name in named} - set(classes))
    if strange:
        raise InputError(f"{folder} has a class '{strange[0]}' that the training images lack")
    numbers = {name: number for number, name in enumerate(classes)}
    labelled = [(path, numbers[name]) for path, name in named if _is_image(path)]
    return path_rows(labelled, entry.channels, entry.size) if labelled else None


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.name[0] != "."  # macOS leaves files such as ._1.png


def _annotated(folder: Path) -> list[tuple[Path, str]]:
    lines = [line.split("\t") for line in (folder / ANNOTATIONS).read_text(errors="replace").splitlines() if line]
    if any(len(line) < 2 for line in lines):
        raise InputError(f"{folder / ANNOTATIONS} must hold a file name and a class on every line")
    return [(folder / "images" / line[0], line[1]) for line in lines]
