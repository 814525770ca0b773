"""Scores are compared position by position; NaN and what is above the tolerance are errors."""

import numpy as np
import pytest

from export.errors import VerificationError
from export.verification.claims import Measurements, Tolerance, check
from export.verification.difference import Difference
from export.verification.score_comparison import ScoreComparison


def _measured(error: float, kl: float) -> Measurements:
    compared = ScoreComparison(4, Difference(error, "logits"), kl, 1.0)
    return Measurements({"reference": compared}, {}, None, scale=1.0)


def test_divergence_is_of_the_given_from_the_expected_and_a_mean_over_positions() -> None:
    expected = np.log([[0.5, 0.5], [0.75, 0.25]])
    given = np.log([[0.75, 0.25], [0.75, 0.25]]) + 3
    compared = ScoreComparison.of("logits", [(given[:1], expected[:1]), (given[1:], expected[1:])])
    assert compared.positions == 2
    assert compared.kl == pytest.approx((0.5 * np.log(0.5 / 0.75) + 0.5 * np.log(0.5 / 0.25)) / 2)
    assert compared.error.size == pytest.approx(3 + np.log(1.5))


def test_agreement_is_the_part_of_positions_with_the_same_likeliest_token() -> None:
    compared = ScoreComparison.of("logits", [(np.eye(4), np.eye(4)[[0, 1, 3, 2]])])
    assert compared.agreement == 0.5


def test_measurements_up_to_the_tolerance_pass() -> None:
    check(_measured(0.1, 0.05), Tolerance(error=0.1, kl=0.05))
    check(_measured(9.0, 0.05), Tolerance(error=np.inf, kl=0.05))


@pytest.mark.parametrize(
    ("error", "kl", "message"),
    [
        (0.2, 0.0, "max abs error 2.00e-01 of 'logits' is above 1.00e-01"),
        (0.0, 0.06, "mean KL divergence 6.00e-02 is above 5.00e-02"),
        (np.nan, 0.0, "max abs error nan"),
        (0.0, np.nan, "mean KL divergence nan"),
    ],
)
def test_measurements_beyond_it_and_nan_do_not(error: float, kl: float, message: str) -> None:
    with pytest.raises(VerificationError, match=f"^reference: {message}"):
        check(_measured(error, kl), Tolerance(error=0.1, kl=0.05))
