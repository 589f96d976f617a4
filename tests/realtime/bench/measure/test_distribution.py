"""realtime/bench/measure/distribution.py"""

import math

import pytest

from vivavoce.realtime.bench.measure.distribution import describe, rate, slope


def test_percentiles_interpolate_between_observations() -> None:
    found = describe([float(n) for n in range(101)])
    assert found is not None
    assert (found.n, found.p50.value, found.p95.value, found.p99.value) == (101, 50.0, 95.0, 99.0)
    assert (found.least, found.most) == (0.0, 100.0)


def test_nothing_observed_is_no_distribution() -> None:
    assert describe([]) is None


def test_the_interval_holds_the_median_and_narrows_with_more_observations() -> None:
    few, many = describe([1.0, 2.0, 3.0, 4.0, 5.0]), describe([1.0, 2.0, 3.0, 4.0, 5.0] * 40)
    assert few is not None
    assert many is not None
    assert few.p50.low < few.p50.value < few.p50.high
    assert many.p50.high - many.p50.low < few.p50.high - few.p50.low


def test_the_same_observations_give_the_same_interval() -> None:
    assert describe([3.0, 1.0, 2.0]) == describe([2.0, 3.0, 1.0])


@pytest.mark.parametrize(("n", "few"), [(9, True), (10, False)])
def test_fewer_than_ten_observations_are_few(n: int, few: bool) -> None:
    assert rate(0, n).few == few


def test_no_event_in_ten_chances_is_no_certainty() -> None:
    found = rate(0, 10)
    assert found.value == 0
    assert found.high == pytest.approx(0.278, abs=0.001)  # Wilson


def test_a_rate_of_nothing_is_no_number() -> None:
    assert math.isnan(rate(0, 0).value)


def test_one_outlier_does_not_move_the_slope() -> None:
    points = [(float(n), 3.0 * n) for n in range(20)]
    points[7] = (7.0, 1e6)
    assert slope(points) == pytest.approx(3.0)


def test_a_point_has_no_slope() -> None:
    assert slope([(1.0, 1.0)]) == 0.0
