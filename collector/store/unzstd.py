"""Unpack what the store has packed, in bounded memory also where it is damaged."""

from __future__ import annotations

import zstandard


def unzstd(blob: bytes, most: int) -> bytes:
    """Raises ZstdError. most: bytes that may come out."""
    # zstandard takes the memory that the frame's header asks for, whatever max_output_size says.
    claimed = zstandard.frame_content_size(blob)
    if claimed > most:
        raise zstandard.ZstdError(f"claims {claimed} bytes; {most} is the most that is ever packed together")
    whole: bytes = zstandard.ZstdDecompressor().decompress(blob, max_output_size=most)
    return whole
