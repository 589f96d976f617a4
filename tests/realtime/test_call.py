"""realtime/call.py: what the call does when its client is lost and comes back."""

from __future__ import annotations

import json

import numpy as np

from vivavoce.codecs.audio import FRAME
from vivavoce.model.dialogue import AudioToken, WordEnd
from vivavoce.realtime.audio.playout import Playout
from vivavoce.realtime.call import PLACES, ClientResumption
from vivavoce.realtime.session.opening import SessionRequest, open_session, random_ids

WORDS = 5
WORD = 10  # frames


def speaking() -> tuple[Playout, ClientResumption]:
    """A call that has a reply of five words to play, ten frames each."""
    playout = Playout()
    session = open_session(playout, True, SessionRequest(extras=True), random_ids(), 1000)
    ends = tuple(WordEnd(4 * n, n * WORD * FRAME) for n in range(1, WORDS + 1))
    playout.push(1, AudioToken(np.full(WORDS * WORD * FRAME, 0.1, np.float32), ends))
    return playout, ClientResumption(session, playout)


def pull(playout: Playout, resumption: ClientResumption, frames: int) -> int:
    """Frames of sound, of those pulled."""
    sounding = 0
    for _ in range(frames):
        sounding += bool(playout.take(FRAME).samples.any())
        resumption.pulled()
    return sounding


def test_frames_that_were_not_heard_are_played_again_from_a_words_beginning() -> None:
    playout, resumption = speaking()
    pull(playout, resumption, 35)
    resumption.unheard(12)  # 23 were heard: two words, and a piece of the third
    assert playout.heard(1) == (2 * WORD * FRAME, 8)
    assert pull(playout, resumption, 100) == 3 * WORD


def test_frames_are_counted_from_where_the_playout_was_rewound_to() -> None:
    playout, resumption = speaking()
    pull(playout, resumption, 35)
    resumption.unheard(12)
    pull(playout, resumption, 4)
    resumption.unheard(4)  # nothing of the second connection was heard
    assert playout.heard(1) == (2 * WORD * FRAME, 8)
    pull(playout, resumption, 15)
    resumption.unheard(4)
    assert playout.heard(1) == (3 * WORD * FRAME, 12)


def test_frames_further_back_than_is_remembered_are_played_from_the_oldest_on() -> None:
    playout, resumption = speaking()
    resumption.unheard(1)  # before anything was pulled
    pull(playout, resumption, 35)
    resumption.unheard(2 * PLACES)
    assert playout.heard(1) == (0, 0)


def test_while_the_client_is_away_the_playout_knows_it() -> None:
    playout, resumption = speaking()
    pull(playout, resumption, 35)
    resumption.lost()
    assert playout.away
    (event,) = map(json.loads, resumption.resumed())
    assert not playout.away
    assert event["type"] == "vivavoce.call.resumed"
    (offer,) = map(json.loads, resumption.offer("secret", 30.0))
    assert (offer["type"], offer["token"], offer["seconds"]) == ("vivavoce.call.resumable", "secret", 30.0)
