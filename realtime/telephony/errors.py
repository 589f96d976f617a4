"""The exceptions of phone calls, one tree.

    TelephonyError
    ├── SetupError               our side: the settings ask for something that cannot be
    │   ├── CannotListen           a port cannot be listened on
    │   └── SipNotInstalled        SIP without its libraries
    ├── PeerError                the far end sent what its protocol does not allow
    │   ├── BadFrame               media streams of providers
    │   │   └── StreamNotSupported   a stream that begins, and cannot be taken
    │   ├── BadAudioSocket         AudioSocket
    │   ├── BadChanWebSocket       chan_websocket
    │   │   └── FormatNotSupported   a call that begins, in a format that is not supported
    │   ├── BadSipMessage          SIP (in sip/messages.py: it holds the request)
    │   └── SdpNotAcceptable       SDP: unreadable, or nothing in common
    ├── ActionFailed             a transfer or DTMF that was requested in a call
    │   └── NotSupported           this kind of connection has no such thing
    ├── CallNotAnswered          an outgoing call: busy, declined, no answer
    ├── CallCancelled            an incoming call whose caller gave up before it was answered
    └── WebhookUndelivered       no application took the webhook

A far end that hangs up or is lost raises `PeerGone` (transports), a call that may not begin `Denied` (admission).
Messages hold no phone numbers: they may be logged.
"""

from __future__ import annotations

from typing import Final


class TelephonyError(Exception):
    """Something went wrong with a phone call; the message says what."""


class SetupError(TelephonyError):
    """The settings cannot be carried out; the message names the setting and the remedy."""


class CannotListen(SetupError):
    """A port of the settings cannot be listened on."""


class SipNotInstalled(SetupError):
    """The settings ask for SIP, and its libraries are not installed."""

    def __init__(self) -> None:
        super().__init__("'phone.sip.listen' needs the extra 'sip'. In a checkout: pip install -e '.[sip]'")


class PeerError(TelephonyError):
    """The far end does not keep to its protocol; the message names what was expected and what came."""


class BadFrame(PeerError):
    """A frame of a media stream that cannot be read. The message holds nothing of its content."""


class StreamNotSupported(BadFrame):
    """The first message of a stream that cannot be taken: an unknown provider or format, or another call."""


class BadAudioSocket(PeerError):
    """The far end does not speak AudioSocket."""


class BadChanWebSocket(PeerError):
    """A text frame that is not of chan_websocket's protocol. The message holds nothing of its content."""


class FormatNotSupported(BadChanWebSocket):
    """Asterisk asks for a format that is not supported."""


class SdpNotAcceptable(PeerError):
    """An offer or answer that cannot be read, or with nothing in common; worth a 488."""


class ActionFailed(TelephonyError):
    """A transfer or DTMF was not carried out; the message may be shown to the model."""


class NotSupported(ActionFailed):
    """This kind of connection cannot transfer, or send DTMF."""


_CAUSES: Final = {
    403: "it is not allowed",
    404: "there is no such number",
    408: "nobody answered",
    480: "nobody answered",
    486: "the line is busy",
    487: "nobody answered",
    488: "no codec in common",
    603: "it was declined",
}


class CallNotAnswered(TelephonyError):
    """An outgoing call was not answered. `status`: the final SIP status."""

    def __init__(self, status: int) -> None:
        super().__init__(f"The call was not taken: {_CAUSES.get(status, 'the other side refused')} (SIP {status}).")
        self.status = status


class CallCancelled(TelephonyError):
    """The caller gave up before the call was answered."""


class WebhookUndelivered(TelephonyError):
    """No application took the webhook."""
