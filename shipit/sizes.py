"""Read sizes as people write them."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(MB|GB|TB)")
_BYTES = {"MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_size(text: object) -> int:
    """Return the bytes of a size such as `500MB` or `10GB`, in decimal units; raises ValueError for anything else."""
    found = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if not found:
        raise ValueError(f"{text!r} is not a size; write 500MB or 10GB")
    return round(float(found[1]) * _BYTES[found[2]])
