"""Tracks and their pace: real time out, sound and pictures in."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av import VideoFrame

from harness import virtual_time
from harness.tidy import run
from vivavoce.codecs import g711, opus
from vivavoce.codecs.audio import FRAME, SAMPLE_RATE, Samples
from vivavoce.model.dialogue import Picture
from vivavoce.realtime.transports.pacing import PERIOD, STALL, Pace, pull_in_real_time
from vivavoce.realtime.transports.webrtc.jitter_buffer import Packet
from vivavoce.realtime.transports.webrtc.tracks import AudioReceiver, AudioSender, Camera, rgb

# --- pace --------------------------------------------------------------------------------------------------------


def test_the_first_frame_is_due_at_once_and_each_other_20_ms_later() -> None:
    pace = Pace()
    assert [pace.next(100.0) for _ in range(3)] == [(0, 100.0), (1, 100.02), (2, 100.04)]


def test_sleeping_too_long_never_adds_up() -> None:
    pace, now = Pace(), 0.0
    for n in range(100_000):
        number, due = pace.next(now)
        assert number == n
        now = due + 0.004
    assert now == pytest.approx(100_000 * PERIOD, abs=0.03)


def test_after_a_short_stall_the_missed_frames_are_sent_at_once() -> None:
    pace = Pace()
    pace.next(0.0)
    due = [pace.next(0.09) for _ in range(6)]
    assert [number for number, _ in due] == [1, 2, 3, 4, 5, 6]
    assert sum(at <= 0.09 for _, at in due) == 4


def test_after_a_long_stall_the_missed_frames_are_skipped() -> None:
    pace = Pace()
    pace.next(0.0)
    number, due = pace.next(10.0)
    assert number == 500
    assert due == pytest.approx(10.0, abs=PERIOD)
    assert pace.next(10.0)[1] > 10.0
    assert STALL < 10.0


def test_where_no_transport_takes_the_sound_it_is_pulled_in_real_time() -> None:
    async def body() -> None:
        pulled: list[float] = []
        loop = asyncio.get_running_loop()

        def pull() -> Samples:
            pulled.append(loop.time())
            return np.zeros(FRAME, np.float32)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.49):
                await pull_in_real_time(pull)
        assert pulled == pytest.approx([n * PERIOD for n in range(25)])

    virtual_time.run(body())


# --- loudspeaker -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("codec", "step"), [("opus", 960), ("pcmu", 160)])
def test_packets_leave_in_real_time_with_the_codecs_timestamps(codec: str, step: int) -> None:
    async def body() -> None:
        speaker = AudioSender()
        if codec == "pcmu":
            speaker.encode_with(g711.Encoder("pcmu"), g711.CLOCK_HZ)
        loop = asyncio.get_running_loop()
        began = loop.time()
        stamps = []
        for _ in range(15):
            stamps.append((await speaker.recv()).pts)
        assert stamps == [n * step for n in range(15)]
        assert loop.time() - began == pytest.approx(14 * PERIOD)
        speaker.stop()
        with pytest.raises(MediaStreamError):
            await speaker.recv()

    virtual_time.run(body())


def test_a_source_is_asked_for_one_frame_at_the_last_moment() -> None:
    async def body() -> None:
        speaker, asked = AudioSender(), []
        loop = asyncio.get_running_loop()

        def pull() -> Samples:
            asked.append(loop.time())
            return np.zeros(FRAME, np.float32)

        async with asyncio.TaskGroup() as group:
            speaking = group.create_task(speaker.speak(pull))
            await asyncio.sleep(0)
            for n in range(3):
                assert len(asked) == n
                await speaker.recv()
                assert loop.time() == asked[-1] == pytest.approx(n * PERIOD)
            speaking.cancel()
        await speaker.recv()
        assert len(asked) == 3  # nothing is pulled once `speak` has ended

    virtual_time.run(body())


def test_pauses_are_not_sent_when_dtx_is_set() -> None:
    async def body() -> None:
        speaker = AudioSender()
        speaker.encode_with(opus.Encoder(opus.OpusSettings(dtx=True)), opus.CLOCK_HZ)
        stamps: list[int] = []
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                while True:
                    stamps.append((await speaker.recv()).pts or 0)
        assert len(stamps) < 35
        assert stamps[-1] > 960 * len(stamps)

    virtual_time.run(body())


# --- microphone --------------------------------------------------------------------------------------------------


def test_sound_goes_on_when_packets_stop_until_it_is_closed() -> None:
    async def body() -> None:
        heard: list[Samples] = []
        receiver = AudioReceiver(g711.Decoder("pcmu"), heard.append)
        receiver.receive(Packet(1, 0, 0, bytes([0xFF] * 160)))
        receiver.receive(Packet(1, 1, 160, bytes([0xFF] * 160)))
        assert len(heard) == 2
        await asyncio.sleep(0.3)
        assert sum(map(len, heard)) / SAMPLE_RATE == pytest.approx(0.3, abs=0.08)
        assert receiver.lost > 0
        receiver.close()
        count = len(heard)
        await asyncio.sleep(0.05)
        receiver.receive(Packet(1, 2, 320, bytes([0xFF] * 160)))
        assert len(heard) == count

    virtual_time.run(body())


# --- camera ------------------------------------------------------------------------------------------------------


class Film(MediaStreamTrack):
    """Frames as fast as they are read, then the end."""

    kind = "video"

    def __init__(self, frames: Iterator[VideoFrame]) -> None:
        super().__init__()
        self._frames = frames

    async def recv(self) -> VideoFrame:
        for frame in self._frames:
            return frame
        raise MediaStreamError


def still(width: int, height: int, level: int = 128) -> VideoFrame:
    return VideoFrame.from_ndarray(np.full((height, width, 3), level, np.uint8), "rgb24").reformat(format="yuv420p")


@pytest.mark.parametrize(
    ("width", "height", "shape"),
    [
        (1280, 720, (360, 640, 3)),
        (720, 1280, (640, 360, 3)),
        (320, 240, (240, 320, 3)),
        (641, 3, (3, 640, 3)),
        (2000, 2, (1, 640, 3)),
    ],
)
def test_pictures_are_made_small_enough(width: int, height: int, shape: tuple[int, int, int]) -> None:
    pixels = rgb(still(width, height))
    assert pixels.shape == shape
    assert pixels.dtype == np.uint8


def test_colours_are_kept() -> None:
    plain = np.zeros((48, 64, 3), np.uint8)
    plain[:, :32] = (220, 20, 20)
    plain[:, 32:] = (20, 20, 220)
    pixels = rgb(VideoFrame.from_ndarray(plain, "rgb24").reformat(format="yuv420p")).astype(int)
    assert np.allclose(pixels[24, 10], (220, 20, 20), atol=8)
    assert np.allclose(pixels[24, 50], (20, 20, 220), atol=8)


def test_of_a_backlog_only_the_newest_frame_is_shown() -> None:
    async def body() -> None:
        seen: list[Picture] = []
        shown = asyncio.Event()

        def show(picture: Picture | None) -> None:
            seen.extend([picture] if picture else [])
            shown.set()

        film = Film(still(64, 48, level) for level in (10, 20, 30, 200))
        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(Camera(show).watch(film))
            await shown.wait()
            watching.cancel()
        assert len(seen) == 1
        assert seen[0].pixels.mean() == pytest.approx(200, abs=3)

    run(body())


class Screen(MediaStreamTrack):
    """A frame at each of these seconds, and then nothing for ever."""

    kind = "video"

    def __init__(self, *times: float) -> None:
        super().__init__()
        self._times = iter(times)

    async def recv(self) -> VideoFrame:
        loop = asyncio.get_running_loop()
        self._began = getattr(self, "_began", loop.time())
        at = next(self._times, math.inf)
        await asyncio.sleep(min(self._began + at - loop.time(), 1000))
        return still(64, 48)


async def at_once(pool: object, work: Callable[..., Any], *arguments: Any) -> Any:
    return work(*arguments)


def test_a_camera_without_frames_is_off_until_the_next_one() -> None:
    async def body() -> None:
        loop, seen = asyncio.get_running_loop(), list[tuple[bool, int]]()
        began = loop.time()
        loop.run_in_executor = at_once  # type: ignore[assignment, method-assign]  # a thread takes no virtual time
        film = Screen(0, 1.1, 2.2, 20)  # a screen that stands still, then another one
        camera = Camera(lambda picture: seen.append((picture is not None, round(loop.time() - began))))
        with suppress(TimeoutError):
            async with asyncio.timeout(40):
                await camera.watch(film)
        assert seen == [(True, 0), (True, 1), (True, 2), (False, 8), (True, 20), (False, 26)]

    virtual_time.run(body())
