"""realtime/session/rate_limit.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.realtime.session.rate_limit import WINDOW, Addresses, Bucket


def test_a_bucket_gives_its_limit_at_once_and_no_more() -> None:
    bucket = Bucket(3)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.remaining(100.0) == 0


def test_an_empty_bucket_says_when_to_come_back_and_keeps_its_word() -> None:
    bucket = Bucket(6)
    for _ in range(6):
        bucket.take(0)
    assert bucket.wait(0) == pytest.approx(10)
    assert bucket.reset(0) == pytest.approx(WINDOW)
    assert not bucket.take(9.9)
    assert bucket.take(10.1)


def test_a_bucket_that_was_left_alone_is_full_and_not_fuller() -> None:
    bucket = Bucket(2)
    bucket.take(0)
    assert bucket.remaining(1000) == 2
    assert bucket.reset(1000) == bucket.wait(1000) == 0


@given(st.integers(1, 50), st.lists(st.floats(0, 5), max_size=200))
def test_in_the_long_run_no_more_than_the_limit_gets_through(limit: int, pauses: list[float]) -> None:
    bucket, now, taken = Bucket(limit), 0.0, 0
    for pause in pauses:
        now += pause
        taken += bucket.take(now)
        assert 0 <= bucket.remaining(now) <= limit
    assert taken <= limit + now * limit / WINDOW + 1e-6


def test_each_address_has_a_limit_of_its_own() -> None:
    addresses = Addresses(1)
    assert addresses.take("a", 0) == 0
    assert addresses.take("a", 0) == pytest.approx(WINDOW)
    assert addresses.take("b", 0) == 0
    assert addresses.take("a", WINDOW) == 0


def test_of_too_many_addresses_the_one_seen_longest_ago_is_forgotten() -> None:
    addresses = Addresses(1, max_kept=2)
    for address in ("a", "b", "a", "c"):  # "b" was seen longest ago when "c" came
        addresses.take(address, 0)
    assert addresses.take("a", 0) > 0
    assert addresses.take("b", 0) == 0
