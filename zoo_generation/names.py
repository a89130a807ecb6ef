"""Names that become files: zoos of others name themselves, their models and their datasets as they like."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

LONGEST = 200
"""Letters of a file's name, so that there is room for what is put before and behind it."""

SAFE = re.compile(rf"[A-Za-z0-9_][A-Za-z0-9._+-]{{0,{LONGEST - 1}}}(?<!\.)")
RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices."""

ALLOWED = f"letters, digits and . _ + - may stand in it, {LONGEST} at most, . + - not first and . not last"


def is_file_name(text: object) -> bool:
    """Whether a text names the same file on every system, and none outside of the folder that it stands in."""
    return isinstance(text, str) and bool(SAFE.fullmatch(text)) and not RESERVED.fullmatch(text)


def file_name(text: str) -> str:
    """The text itself where it `is_file_name`; else one like it with a hash of it, so that no two become one."""
    if is_file_name(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    kept = re.sub(r"[^A-Za-z0-9_+-]", "_", text).lstrip("+-")[: LONGEST - len(digest) - 1]
    return f"{kept}-{digest}" if kept else digest


def inside(folder: Path, text: str, suffix: str = "") -> Path:
    """The file or folder of that name in a folder, whatever the text is: it never lies elsewhere."""
    return folder / f"{file_name(text)}{suffix}"
