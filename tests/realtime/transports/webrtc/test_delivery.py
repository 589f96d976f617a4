"""realtime/transports/webrtc/delivery.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.realtime.transports.webrtc.delivery import KEPT, Delivery, Report


def report(highest: int, lost: int = 0, jitter: float = 0.0, round_trip: float | None = None) -> Report:
    return Report(highest, lost, 0.0, jitter, round_trip)


def sending(packets: int, first: int = 100, start: int = 5000) -> Delivery:
    """`packets` packets, one frame each, 960 ticks apart."""
    delivery = Delivery()
    for n in range(packets):
        delivery.sent((first + n) % (1 << 16), (start + 960 * n) % (1 << 32), n + 1)
    return delivery


def frames(delivery: Delivery) -> int:
    assert delivery.confirmed is not None
    return delivery.confirmed.frames


def test_a_report_confirms_all_up_to_its_highest_number() -> None:
    delivery = sending(50)
    delivery.report(report(129, lost=2, round_trip=0.03), now=7.5)
    assert frames(delivery) == 30
    assert delivery.confirmed is not None
    assert (delivery.confirmed.at, delivery.confirmed.lost, delivery.confirmed.round_trip) == (7.5, 2, 0.03)


def test_numbers_begin_anew_after_65535() -> None:
    delivery = sending(50, first=65_520)
    delivery.report(report((1 << 16) + 3), now=0)
    assert frames(delivery) == 20


def test_a_late_report_takes_nothing_back() -> None:
    delivery = sending(50)
    delivery.report(report(140), now=0)
    delivery.report(report(120), now=1)
    assert frames(delivery) == 41


def test_a_report_about_packets_never_sent_confirms_nothing() -> None:
    delivery = sending(50)
    delivery.report(report(4000), now=0)
    assert frames(delivery) == 0


def test_frames_that_dtx_left_out_belong_to_the_packet_after_them() -> None:
    delivery = Delivery()
    for number, count in enumerate((1, 2, 22, 23), 100):
        delivery.sent(number, 960 * count, count)
    delivery.report(report(101), now=0)
    assert frames(delivery) == 2
    delivery.report(report(102), now=0)
    assert frames(delivery) == 22


def test_between_reports_a_sign_of_life_speaks_for_what_left_a_round_trip_before() -> None:
    delivery = sending(100)
    delivery.report(report(119, round_trip=0.06), now=0)
    assert delivery.reached() == 20
    delivery.live(80)
    assert delivery.reached() == 77
    delivery.live(40)
    assert delivery.reached() == 77


def test_before_any_report_a_round_trip_is_assumed() -> None:
    delivery = sending(100)
    assert delivery.reached() == 0
    delivery.live(80)
    assert delivery.reached() == 75


@pytest.mark.parametrize("start", [5000, (1 << 32) - 960 * 10])
def test_what_the_peer_says_it_played_last_counts_most(start: int) -> None:
    delivery = sending(100, start=start)
    delivery.live(100)
    assert delivery.reached((start + 960 * 29) % (1 << 32)) == 30
    assert delivery.reached((start + 960 * 29 + 500) % (1 << 32)) == 30


def test_a_timestamp_that_was_never_sent_is_not_believed() -> None:
    delivery = sending(100)
    delivery.live(80)
    assert delivery.reached(5000 + 960 * 4000) == 75
    assert delivery.reached(4000) == 75


@given(st.integers(1, 2 * KEPT), st.integers(0, 65_535), st.integers(0, (1 << 32) - 1), st.data())
def test_whatever_was_sent_a_report_confirms_just_that(
    packets: int, first: int, start: int, data: st.DataObject
) -> None:
    delivery = sending(packets, first, start)
    n = data.draw(st.integers(max(0, packets - KEPT), packets - 1))
    delivery.report(report(first + n), now=0)
    assert frames(delivery) == n + 1
    assert delivery.reached((start + 960 * n) % (1 << 32)) == n + 1
