"""Where a zoo lies: a directory, or a URL of a remote store."""

from __future__ import annotations

from pathlib import Path

from upath import UPath
from upath.implementations.local import FilePath

from zoo_generation.errors import InputError
from zoo_generation.files import StoragePath


def zoo_path(text: str) -> StoragePath:
    """The path of a zoo: a plain `Path` for a directory or `file://` URL, else one under an fsspec URL.

    Raises `InputError` where the store's protocol is unknown, its package is not installed, or it does not answer.
    Which credentials it is given is the store's own affair: its environment variables and configuration files.
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
