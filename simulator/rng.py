"""Named chance: one counter-based stream per (seed, owner, purpose).

A stream depends on its name alone, so adding a site, a measurement or an algorithm changes nobody
else's draws. The generator is Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3",
SC 2011) keyed by a digest of the name.
"""

import hashlib

import numpy as np


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the stream that belongs to ``seed`` and ``names``, always from its beginning."""
    text = "\x1f".join([str(seed), *(str(name) for name in names)])
    digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def draw_seed(seed: int, *names: str | int) -> int:
    """Return a 63-bit integer named like a stream, for libraries that take a seed."""
    return int(stream(seed, *names).integers(2**63))
