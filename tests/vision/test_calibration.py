from statistics import NormalDist

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vision.calibration import (
    CEILING,
    CUBE_ROOT,
    Calibration,
    CalibrationError,
    attempt,
    false_accepts_per_day,
    fit,
    operating_point,
)

rates = st.floats(1e-9, 0.5)
sizes = st.integers(1, 10_000_000)


def apart(seed: int, count: int, dimensions: int = 40) -> np.ndarray:
    """Distances between independent points, as of people who are nothing to each other; 0.9 in the middle."""
    between = np.random.default_rng(seed).normal(0, 0.9 / np.sqrt(2 * dimensions), (count, 2, dimensions))
    return np.linalg.norm(between[:, 0] - between[:, 1], axis=1)


@pytest.fixture(scope="module")
def calibration() -> Calibration:
    return fit(np.array([0.2, 0.3, 0.4, 0.5]), apart(1, 20_000), people=200)


@pytest.mark.parametrize("quantile", [1e-2, 1e-3, 1e-4, 1e-5])
def test_the_tail_is_predicted_far_beyond_what_was_fitted(quantile: float) -> None:
    fitted = fit(np.empty(0), apart(2, 2000), people=1000)
    true = np.quantile(apart(3, 2_000_000), quantile)
    assert fitted.false_accept(float(true)) == pytest.approx(quantile, rel=1.0)
    assert fitted.false_accept(float(true)) > quantile / 2


def test_few_people_give_a_careful_threshold() -> None:
    few, many = (fit(np.empty(0), apart(4, 3000), people=people) for people in (4, 400))
    assert (
        operating_point(few, far=1e-3, gallery=100).threshold < operating_point(many, far=1e-3, gallery=100).threshold
    )


@given(rates, sizes)
def test_a_threshold_keeps_to_the_false_accepts_wanted(far: float, gallery: int) -> None:
    made = Calibration(people=50, impostor_pairs=5000, mean=0.93, sd=0.05, nearest_impostor=0.9)
    try:
        point = operating_point(made, far=far, gallery=gallery)
    except CalibrationError:
        return
    assert attempt(made.false_accept(point.threshold), gallery) <= far * (1 + 1e-6)
    assert point.threshold <= CEILING
    assert point.extrapolated == (-np.expm1(np.log1p(-far) / gallery) * 5000 < 1)


@given(rates, rates, sizes, sizes)
def test_more_people_or_fewer_accidents_never_raise_the_threshold(a: float, b: float, m: int, n: int) -> None:
    made = Calibration(people=50, impostor_pairs=5000, mean=0.93, sd=0.05, nearest_impostor=0.9)

    def threshold(far: float, gallery: int) -> float:
        try:
            return operating_point(made, far=far, gallery=gallery).threshold
        except CalibrationError:
            return 0.0

    assert threshold(min(a, b), max(m, n)) <= threshold(max(a, b), min(m, n))


@given(st.floats(0, 1), sizes)
def test_one_attempt_is_what_multiplying_out_gives(far_pair: float, gallery: int) -> None:
    expected = 1 - (1 - far_pair) ** gallery
    assert attempt(far_pair, gallery) == pytest.approx(expected, abs=1e-7)


def test_no_threshold_is_above_the_nearest_two_people_seen(calibration: Calibration) -> None:
    twins = msgspec.structs.replace(calibration, nearest_impostor=0.31)
    point = operating_point(twins, far=0.01, gallery=1)
    assert point.threshold == 0.31
    assert "the nearest two people" in point.why


def test_what_residents_pay_is_stated(calibration: Calibration) -> None:
    assert calibration.false_reject(0.35) == 0.5
    assert msgspec.structs.replace(calibration, genuine=()).false_reject(0.35) is None
    point = operating_point(calibration, far=1e-4, gallery=200)
    assert point.frr == calibration.false_reject(point.threshold)


def test_false_accepts_a_day_are_strangers_times_their_chance(calibration: Calibration) -> None:
    point = operating_point(calibration, far=1e-3, gallery=500)
    per_day = false_accepts_per_day(calibration, threshold=point.threshold, gallery=500, strangers=300)
    assert per_day == pytest.approx(0.3, rel=0.01)


def test_a_wish_that_would_turn_everybody_away_is_refused() -> None:
    wide = Calibration(people=50, impostor_pairs=5000, mean=0.9, sd=0.15, nearest_impostor=0.6)
    with pytest.raises(CalibrationError, match="search a building instead"):
        operating_point(wide, far=1e-6, gallery=5000)


@pytest.mark.parametrize(("far", "gallery"), [(0.0, 5), (1.0, 5), (0.1, 0)])
def test_what_is_no_rate_or_no_gallery_is_refused(calibration: Calibration, far: float, gallery: int) -> None:
    with pytest.raises(ValueError, match="a rate is between"):
        operating_point(calibration, far=far, gallery=gallery)


@pytest.mark.parametrize("impostor", [np.full(99, 0.9), np.full(200, 0.9)])
def test_pairs_that_say_nothing_are_refused(impostor: np.ndarray) -> None:
    with pytest.raises(CalibrationError, match=r"too few|equally far apart"):
        fit(np.array([0.3]), impostor, people=20)


def test_a_calibration_survives_being_stored(calibration: Calibration) -> None:
    assert msgspec.json.decode(msgspec.json.encode(calibration), type=Calibration) == calibration
    expected = NormalDist(calibration.mean, calibration.sd).cdf(0.5**CUBE_ROOT)
    assert calibration.false_accept(0.5) == pytest.approx(expected)
