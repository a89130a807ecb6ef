"""The licence under which a dataset is published."""

from __future__ import annotations

import re

from zoo_generation.errors import InputError

NOT_STATED = "unknown"  # Hugging Face's word for it
IDENTIFIER = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")


def check_licence(licence: str | None) -> str:
    """The licence's Hugging Face identifier, `NOT_STATED` without one. Raises `InputError` for any other text."""
    if licence is None:
        return NOT_STATED
    if not IDENTIFIER.fullmatch(licence):
        raise InputError(
            f"cannot state the licence {licence!r:.80}: name it by its Hugging Face identifier, such as mit, "
            "cc-by-4.0 or other, with --licence"
        )
    return licence
