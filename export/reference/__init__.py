"""The models in numpy and float64, written from their definitions: exports are verified against them."""

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Float64Array: TypeAlias = npt.NDArray[np.float64]
