"""What a call's two ends have agreed upon about its sound, and whose turn it is to say something (RFC 3264, RFC 6337).

request with an offer ──describe──► our answer, `media`          without one ──describe──► our offer; `owed` is True
their answer ──settle──► `media`                                 renew ──► an offer that changes nothing
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from aiosipua import SipRequest

from vivavoce.realtime.telephony.sip import offers
from vivavoce.realtime.telephony.sip.messages import kind_of
from vivavoce.realtime.telephony.sip.offers import Media, NoDeal, Own

SDP: Final = "application/sdp"


class Agreement:
    """That of one call. `own`: our end, as we described it last."""

    def __init__(self, own: Own) -> None:
        self.own = own
        self.media: Media | None = None
        self.owed = False
        """Our offer waits for its answer."""

    def describe(self, request: SipRequest) -> str:
        """What our 200 to `request` says. Raises `NoDeal`."""
        if not request.body:
            self.owed = True
            return offers.offer(self.own)
        if kind_of(request) != SDP:
            raise NoDeal("the body is no SDP")
        sdp, self.media = offers.answer(request.text, self.own)
        return sdp

    def settle(self, text: str) -> Media:
        """Takes their answer to our offer. Raises `NoDeal`."""
        self.owed = False
        self.media = offers.settle(text, self.own)
        return self.media

    def renew(self) -> str:
        """An offer of what there is already."""
        self.own = self.own.next()
        codecs = (self.media.codec,) if self.media else self.own.codecs
        return offers.offer(replace(self.own, codecs=codecs))
