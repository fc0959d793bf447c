"""Random numbers that depend on a name alone, so that adding others moves none."""

import hashlib


def chance(seed: int, name: str) -> float:
    """A number in [0, 1) that a seed and a name determine."""
    digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
