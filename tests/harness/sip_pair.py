"""Two SIP user agents on a network in memory, with a clock that the test moves: whole calls in microseconds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiosipua import SipMessage, SipRequest, SipResponse
from aiosipua.auth import SipDigestAuth

from vivavoce.realtime.config.sip import CODECS, CodecName
from vivavoce.realtime.telephony.sip.dialog import DialogEvent, InviteDialog, OutgoingDialog
from vivavoce.realtime.telephony.sip.messages import Remote, TransportProtocol
from vivavoce.realtime.telephony.sip.sdp import LocalSdp
from vivavoce.realtime.telephony.sip.transactions import SipSender, Transactions
from vivavoce.realtime.telephony.sip.user_agent import DialogChanged, Invited, UserAgent, UserAgentEvent

Message = SipRequest | SipResponse


class Side:
    """One of them. `all_events` are those of its user agent."""

    def __init__(
        self, host: str, auth: SipDigestAuth | None, codecs: tuple[CodecName, ...], protocol: TransportProtocol
    ) -> None:
        self.at = Remote(host, 5060, protocol)
        self.local = LocalSdp(host, 40_000, codecs, 1, 1)
        sender = SipSender(Transactions(), lambda remote: host, 5060, "me", auth)
        self.user_agent = UserAgent(sender, codecs, lambda remote: True)
        self.all_events: list[UserAgentEvent] = []

    @property
    def dialog(self) -> InviteDialog:
        """The last call that came in."""
        return next(event.dialog for event in reversed(self.all_events) if isinstance(event, Invited))

    @property
    def events(self) -> list[DialogEvent]:
        """The events of its dialogs."""
        return [event.event for event in self.all_events if isinstance(event, DialogChanged)]


@dataclass
class Pair:
    """`anna` calls `bob`. `lost`: whether a message, the n-th of all, gets lost."""

    protocol: TransportProtocol = "UDP"
    auth: SipDigestAuth | None = None
    lost: Callable[[int, Message], bool] = lambda number, message: False
    codecs: tuple[CodecName, ...] = CODECS
    now: float = 100.0
    sent: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.anna = Side("10.0.0.1", self.auth, CODECS, self.protocol)
        self.bob = Side("10.0.0.2", None, self.codecs, self.protocol)

    def call(self) -> OutgoingDialog:
        """Anna calls Bob, whose user agent gets the INVITE."""
        self.anna.user_agent.sender.now = self.now
        dialog = self.anna.user_agent.call("sip:anna@10.0.0.1", "sip:bob@10.0.0.2", self.bob.at, self.anna.local)
        self.settle()
        return dialog

    def talk(self) -> tuple[OutgoingDialog, InviteDialog]:
        """A call that is answered: Anna's dialog, Bob's dialog."""
        dialog = self.call()
        self.bob.dialog.ring()
        self.bob.dialog.answer(self.bob.local)
        self.settle()
        return dialog, self.bob.dialog

    def settle(self) -> None:
        """Delivers all messages, and those sent in response."""
        while any([self._carry(self.anna, self.bob), self._carry(self.bob, self.anna)]):
            pass

    def later(self, seconds: float) -> None:
        """Lets time pass, for both."""
        end = self.now + seconds
        while True:
            due = [d for side in (self.anna, self.bob) if (d := side.user_agent.deadline) is not None and d <= end]
            if not due:
                break
            self.now = max(self.now, min(due))
            for side in (self.anna, self.bob):
                side.all_events += side.user_agent.tick(self.now)
            self.settle()
        self.now = end
        for side in (self.anna, self.bob):
            side.user_agent.sender.now = end

    def count(self, name: str) -> int:
        """How often a method or a status was sent."""
        return sum(message_name(message) == name for message in self.sent)

    def _carry(self, sender: Side, receiver: Side) -> bool:
        out = sender.user_agent.to_send()
        for data, _ in out:
            message = SipMessage.parse(data)
            self.sent.append(message)
            if not self.lost(len(self.sent), message):
                receiver.all_events += receiver.user_agent.receive(data, sender.at, self.now)
        return bool(out)


def message_name(message: Message) -> str:
    """Method of a request, or status of a response with its method: "INVITE", "200 INVITE"."""
    if isinstance(message, SipRequest):
        return message.method
    return f"{message.status_code} {message.cseq.method if message.cseq else ''}"


def names(messages: Iterable[Message]) -> list[str]:
    """The names of all of them, in order."""
    return [message_name(message) for message in messages]
