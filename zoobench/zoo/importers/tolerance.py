"""What cannot be imported is told and left out; the rest comes in."""

from __future__ import annotations


class RejectedError(Exception):
    """A model or checkpoint cannot come in; the message is the reason, as a clause."""
