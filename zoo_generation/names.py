"""Names that become files. Zoos of others, their models and their datasets may have any name."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

LONGEST = 200
"""Most letters of a name, so that prefixes and suffixes still fit into a file's name."""

SAFE = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._+-]{{0,{LONGEST - 1}}}(?<!\.)")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows reserves for devices."""

ALLOWED = f"letters, digits and . _ + - are allowed, {LONGEST} at most, not . + - at the start nor . at the end"


def is_file_name(text: object) -> bool:
    """Whether a text names the same file on every system, inside its folder."""
    return isinstance(text, str) and bool(SAFE.fullmatch(text)) and not RESERVED.fullmatch(text)


def file_name(text: str) -> str:
    """The text itself if it `is_file_name`, else a similar name with a hash, so that different texts stay different.

    >>> file_name("cnn_s"), file_name("../x")
    ('cnn_s', '___x-d6b96a97')
    """
    if is_file_name(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    kept = re.sub(r"[^A-Za-z0-9_+-]", "_", text).lstrip("+-")[: LONGEST - len(digest) - 1]
    return f"{kept}-{digest}" if kept else digest


def inside(folder: Path, text: str, suffix: str = "") -> Path:
    """The path of that name in a folder; whatever the text is, the path is never elsewhere."""
    return folder / f"{file_name(text)}{suffix}"
