"""Decode image files to one tensor."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from zoo_generation.data.source import ImageRows
from zoo_generation.errors import InputError
from zoo_generation.machine import cores

FORMATS = ("PNG", "JPEG", "WEBP")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp"})
CHUNK = 256  # images a thread decodes in a row


def decode(files: Sequence[bytes | Path | None], channels: int, size: int, told: Callable[[int], str]) -> Tensor:
    """Encoded images (contents or paths) as uint8 [images, channels, size, size].

    Images of another size are resized (bilinear, antialiased), of another colour mode converted. An image
    that cannot be decoded is an `InputError` that calls image i `told(i)`.
    """
    from PIL import Image

    mode = "L" if channels == 1 else "RGB"
    pixels = np.empty((len(files), size, size, channels), np.uint8)

    def decode_chunk(start: int) -> None:
        for number, file in enumerate(files[start : start + CHUNK], start):
            if file is None:
                raise InputError(f"{told(number)} is empty")
            try:
                with Image.open(BytesIO(file) if isinstance(file, bytes) else file, formats=FORMATS) as opened:
                    image = opened if opened.mode == mode else opened.convert(mode)
                    if image.size != (size, size):
                        image = image.resize((size, size), Image.Resampling.BILINEAR)
                    pixels[number] = np.asarray(image).reshape(size, size, channels)
            except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
                reason = f"no {', '.join(FORMATS)} image" if "cannot identify" in str(error) else error
                raise InputError(f"{told(number)} cannot be decoded: {reason}") from None

    with ThreadPoolExecutor(cores()) as pool:
        for _ in pool.map(decode_chunk, range(0, len(files), CHUNK)):
            pass
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous()


def path_rows(labelled: Sequence[tuple[Path, int]], channels: int, size: int) -> ImageRows:
    """ImageRows of image files that are read when they are asked for."""

    def read(rows: Tensor) -> Tensor:
        files = [labelled[row][0] for row in rows.tolist()]
        return decode(files, channels, size, lambda number: f"the image {files[number]}")

    return ImageRows(torch.tensor([label for _, label in labelled], dtype=torch.int64), read)
