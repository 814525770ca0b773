"""Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3").

A number depends only on its key and counter. So a seed gives the same tokens alone or in any batch, and
before or after a replay. The tests compare with the known answers of the paper.
"""

import numpy as np

from deployments.decoder.sampling.arrays import Float64, UInt64

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox4x32(counter: tuple[UInt64, ...], key: tuple[UInt64, ...]) -> tuple[UInt64, ...]:
    """Returns four words of 32 random bits per element; all words are 32 bits in uint64."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        p0, p1 = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (p1 >> _HALF) ^ c1 ^ k0, p1 & _LOW, (p0 >> _HALF) ^ c3 ^ k1, p0 & _LOW
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return c0, c1, c2, c3


def uniforms(seeds: UInt64, positions: UInt64) -> Float64:
    """Returns a number in [0, 1), a multiple of 2**-32, for each pair of seed and position (any shape)."""
    zero = np.zeros_like(seeds)
    words = philox4x32((positions & _LOW, positions >> _HALF, zero, zero), (seeds & _LOW, seeds >> _HALF))
    return words[0].astype(np.float64) * 2.0**-32
