"""Two user agents on a wire in memory, with a clock that the test moves: whole SIP calls in microseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiosipua import SipMessage, SipRequest, SipResponse
from aiosipua.auth import SipDigestAuth

from vivavoce.realtime.config.sip import CODECS, CodecName
from vivavoce.realtime.telephony.sip.dialog import InviteDialog, LegEvent
from vivavoce.realtime.telephony.sip.messages import Remote, Wire
from vivavoce.realtime.telephony.sip.outgoing import Outgoing
from vivavoce.realtime.telephony.sip.sdp import LocalSdp
from vivavoce.realtime.telephony.sip.transactions import Outbox, Transactions
from vivavoce.realtime.telephony.sip.user_agent import Fact, Happened, Invited, UserAgent

Sent = SipRequest | SipResponse


class Side:
    """One of them. `facts` are what its agent told."""

    def __init__(self, host: str, auth: SipDigestAuth | None, codecs: tuple[CodecName, ...], wire: Wire) -> None:
        self.at = Remote(host, 5060, wire)
        self.own = LocalSdp(host, 40_000, codecs, 1, 1)
        outbox = Outbox(Transactions(), lambda remote: host, 5060, "me", auth)
        self.agent = UserAgent(outbox, codecs, lambda remote: True)
        self.facts: list[Fact] = []

    @property
    def leg(self) -> InviteDialog:
        """The last call that came in."""
        return next(fact.leg for fact in reversed(self.facts) if isinstance(fact, Invited))

    @property
    def events(self) -> list[LegEvent]:
        """What happened to its calls."""
        return [fact.event for fact in self.facts if isinstance(fact, Happened)]


@dataclass
class Pair:
    """`anna` calls `bob`. `lost`: whether a message, the n-th of all, gets lost."""

    wire: Wire = "UDP"
    auth: SipDigestAuth | None = None
    lost: Callable[[int, Sent], bool] = lambda number, message: False
    codecs: tuple[CodecName, ...] = CODECS
    now: float = 100.0
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.anna = Side("10.0.0.1", self.auth, CODECS, self.wire)
        self.bob = Side("10.0.0.2", None, self.codecs, self.wire)

    def call(self) -> Outgoing:
        """Anna calls Bob, who sees it."""
        self.anna.agent.outbox.now = self.now
        leg = self.anna.agent.call("sip:anna@10.0.0.1", "sip:bob@10.0.0.2", self.bob.at, self.anna.own)
        self.settle()
        return leg

    def talk(self) -> tuple[Outgoing, InviteDialog]:
        """A call that stands: Anna's leg, Bob's leg."""
        leg = self.call()
        self.bob.leg.ring()
        self.bob.leg.answer(self.bob.own)
        self.settle()
        return leg, self.bob.leg

    def settle(self) -> None:
        """All that is said arrives, and what is answered to it."""
        while any([self._carry(self.anna, self.bob), self._carry(self.bob, self.anna)]):
            pass

    def later(self, seconds: float) -> None:
        """Time passes, for both."""
        end = self.now + seconds
        while True:
            due = [d for side in (self.anna, self.bob) if (d := side.agent.deadline) is not None and d <= end]
            if not due:
                break
            self.now = max(self.now, min(due))
            for side in (self.anna, self.bob):
                side.facts += side.agent.tick(self.now)
            self.settle()
        self.now = end
        for side in (self.anna, self.bob):
            side.agent.outbox.now = end

    def said(self, what: str) -> int:
        """How often a method was sent, or a status."""
        return sum(message_name(message) == what for message in self.sent)

    def _carry(self, sender: Side, receiver: Side) -> bool:
        out = sender.agent.to_send()
        for data, _ in out:
            message = SipMessage.parse(data)
            self.sent.append(message)
            if not self.lost(len(self.sent), message):
                receiver.facts += receiver.agent.receive(data, sender.at, self.now)
        return bool(out)


def message_name(message: Sent) -> str:
    """Method of a request, or status of a response with its method: "INVITE", "200 INVITE"."""
    if isinstance(message, SipRequest):
        return message.method
    return f"{message.status_code} {message.cseq.method if message.cseq else ''}"


def names(messages: Iterable[Sent]) -> list[str]:
    """Of all of them, in order."""
    return [message_name(message) for message in messages]
