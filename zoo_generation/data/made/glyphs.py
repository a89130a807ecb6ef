"""Glyphs: letters A to J in the fonts that matplotlib ships, drawn bent and shifted; needs no download."""

from __future__ import annotations

import zipfile
import zlib
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING

import numpy as np
import torch

from zoo_generation.data.entry import DatasetEntry
from zoo_generation.data.source import ImageRows, ImageSource
from zoo_generation.files import cache_folder

if TYPE_CHECKING:
    from PIL import Image, ImageFont

CLASSES = tuple("ABCDEFGHIJ")
SPLITS = {"train": 6000, "val": 1000, "test": 2000}
FONTS = (
    *("DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSansMono", "DejaVuSansMono-BoldOblique"),
    *("DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "STIXGeneral", "STIXGeneralBol"),
    *("STIXGeneralItalic", "STIXGeneralBolIta", "cmr10", "cmb10", "cmss10", "cmti10", "cmtt10", "cmmi10"),
)
SIZE = 28  # pixels of an image
SCALE = 3  # letters are drawn this many times larger, then averaged
FONT_SIZE = 66  # pixels at the drawing scale: capitals fill two thirds of the canvas
SEED = 20200  # changing it, or anything above or below, asks for a new name of the cache file
CACHE_FILE = "glyphs-v1.npz"


def read_glyphs() -> ImageSource:
    """A source drawn once and then kept in the cache folder, if that can be written."""
    path = cache_folder() / CACHE_FILE
    images = _cached(path)
    if images is None:
        images = draw_glyphs(range(sum(SPLITS.values())))
        with suppress(OSError):
            _keep(images, path)
    pixels = torch.from_numpy(images)[:, None]
    labels = torch.arange(len(images)) % len(CLASSES)
    counts = list(SPLITS.values())
    rows = map(ImageRows.of, torch.split(pixels, counts), torch.split(labels, counts))
    return ImageSource("the drawn glyphs", CLASSES, *rows)


def draw_glyphs(numbers: range) -> np.ndarray:
    """Draw images by their numbers, uint8 [images, 28, 28]; the class is the number modulo ten."""
    import matplotlib
    from PIL import ImageFont

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    fonts = [ImageFont.truetype(str(folder / f"{name}.ttf"), FONT_SIZE) for name in FONTS]
    return np.stack([_draw(number, fonts) for number in numbers])


def _draw(number: int, fonts: list[ImageFont.FreeTypeFont]) -> np.ndarray:
    """One image, from a generator of its own; NumPy promises that the legacy generator never changes."""
    from PIL import Image, ImageDraw

    random = np.random.RandomState([SEED, number])
    font = fonts[random.randint(len(fonts))]
    weight = random.randint(4)  # pixels at the drawing scale by which every edge grows
    side = SIZE * SCALE
    canvas = Image.new("L", (side, side))
    pen = ImageDraw.Draw(canvas)
    letter = CLASSES[number % len(CLASSES)]
    left, top, right, bottom = pen.textbbox((0, 0), letter, font=font)
    corner = ((side - left - right) / 2, (side - top - bottom) / 2)
    pen.text(corner, letter, fill=255, font=font, stroke_width=weight)
    return np.asarray(_bend(canvas, random).reduce(SCALE))


def _bend(canvas: Image.Image, random: np.random.RandomState) -> Image.Image:
    """A random affine map about the centre: rotation, shear, scale of either axis, shift."""
    from PIL import Image

    angle = random.uniform(-0.45, 0.45)  # radians
    shear = random.uniform(-0.3, 0.3)
    scale = random.uniform(0.7, 1.1) * np.exp(random.uniform(-0.15, 0.15, 2))
    shift = random.uniform(-3, 3, 2) * SCALE
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    back = np.linalg.inv(turn @ np.array([[1, shear], [0, 1]]) @ np.diag(scale))  # Pillow maps output to input
    centre = np.array(canvas.size) / 2
    offset = centre - back @ (centre + shift)
    values = (*back[0], offset[0], *back[1], offset[1])
    return canvas.transform(canvas.size, Image.Transform.AFFINE, values, Image.Resampling.BILINEAR)


def _cached(path: Path) -> np.ndarray | None:
    """The images in a cache file; None if there is none or it is damaged (the archive has checksums)."""
    with suppress(OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        with np.load(path, allow_pickle=False) as file:
            images: np.ndarray = file["images"]
        if images.shape == (sum(SPLITS.values()), SIZE, SIZE) and images.dtype == np.uint8:
            return images
    return None


def _keep(images: np.ndarray, path: Path) -> None:
    """Write aside, then rename: another process may read or write the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as file:
        try:
            np.savez_compressed(file, images=images)
            file.close()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink()
            raise


GLYPHS = DatasetEntry(
    *(1, SIZE, CLASSES),
    read=read_glyphs,
    summary="letters A to J in many fonts, drawn here, 9,000 grey images of 28×28",
)
