"""Webhooks are believed only when they are signed. The expected signatures were computed by the providers' own packages
(twilio 9.13, plivo 4.63; PyJWT for Vonage), those of Telnyx by its scheme with a fresh key."""

import base64
import hashlib

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from vivavoce.realtime.telephony.providers import signatures

FORM = [
    ("CallSid", "CA1234567890ABCDE"),
    ("Caller", "+14158675309"),
    ("Digits", "1234"),
    ("From", "+14158675309"),
    ("To", "+18005551212"),
]
WEBHOOK = "https://voice.example.org/phone/twilio?a=b&c=d"
STREAM = "wss://voice.example.org/phone/twilio/stream"


@pytest.mark.parametrize(
    ("url", "fields", "signature"),
    [
        (WEBHOOK, FORM, "QjmGE5xew8HnoJjp+Tnx9z7pxUk="),
        (WEBHOOK, FORM, "2R7nQ2fEpvOxniQZo62+5PpCXQk="),  # with :443, as Twilio signs it at times
        (WEBHOOK.replace(".org", ".org:443"), FORM, "QjmGE5xew8HnoJjp+Tnx9z7pxUk="),
        (STREAM, [], "SRGaPiyoEzpKFTRYU/Gj8YbIKf8="),
        (STREAM, [], "MphR/BUfhXe2bdquE5GI62BBi00="),  # with a slash at the end
    ],
)
def test_what_twilio_signed_is_believed(url: str, fields: list[tuple[str, str]], signature: str) -> None:
    assert signatures.twilio("12345", url, fields, signature)
    assert not signatures.twilio("12346", url, fields, signature)
    assert not signatures.twilio("12345", url, [*fields, ("Digits", "5")], signature)
    assert not signatures.twilio("12345", f"{url}x", fields, signature)
    assert not signatures.twilio("12345", url, fields, "")


PLIVO = "https://voice.example.org/phone/plivo"


@pytest.mark.parametrize(
    ("method", "url", "fields", "signature"),
    [
        (
            "POST",
            PLIVO,
            [("From", "15551234"), ("To", "15557654"), ("CallUUID", "u-1")],
            "NjV24CIaXBie/lFl+W9+sFDNQySGlCFAZTIB90M9n04=",
        ),
        ("POST", f"{PLIVO}?z=1&a=2", [("From", "15551234")], "Ad8RJXDDp4zmBxueaE14/3N+X7r+lqUvqwgavzNnyxY="),
        ("GET", f"{PLIVO}?From=1&CallUUID=u", [], "ZcxtIK0kqH0ZbmT23QVcx6TgAOc/cC3ADGdu9G8rBrw="),
        ("GET", PLIVO, [], "Q05TkXBkHoYraOWaLRxJLzdbfHferunpdpHs2qzsdTw="),
    ],
)
def test_what_plivo_signed_is_believed(method: str, url: str, fields: list[tuple[str, str]], signature: str) -> None:
    assert signatures.plivo("plivo-token", method, url, fields, "nonce-1", signature)
    assert signatures.plivo("plivo-token", method, url, fields, "nonce-1", f"other,{signature}")
    assert not signatures.plivo("plivo-token", method, url, fields, "nonce-2", signature)
    assert not signatures.plivo("other", method, url, fields, "nonce-1", signature)
    assert not signatures.plivo("plivo-token", method, url, [*fields, ("To", "1")], "nonce-1", signature)
    assert not signatures.plivo("plivo-token", method, url, fields, "nonce-1", "")


def test_what_telnyx_signed_lately_is_believed() -> None:
    key = Ed25519PrivateKey.generate()
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    public, body = base64.b64encode(raw).decode(), b'{"data": {}}'
    signature = base64.b64encode(key.sign(b"1000|" + body)).decode()
    assert signatures.telnyx(public, body, "1000", signature, now=1100.0)
    assert not signatures.telnyx(public, body, "1000", signature, now=2000.0)
    assert not signatures.telnyx(public, body + b" ", "1000", signature, now=1000.0)
    assert not signatures.telnyx(public, body, "1001", signature, now=1000.0)
    for broken in ("", "x", "AAAA"):
        assert not signatures.telnyx(public, body, "1000", broken, now=1000.0)
        assert not signatures.telnyx(broken, body, "1000", signature, now=1000.0)


SECRET = "a secret of thirty-two bytes or more"


def vonage(body: bytes, key: str = SECRET, algorithm: str = "HS256", **claims: object) -> str:
    said = {"iat": 1000, "payload_hash": hashlib.sha256(body).hexdigest(), **claims}
    return f"Bearer {jwt.encode(said, key, algorithm)}"


def test_what_vonage_signed_lately_is_believed() -> None:
    body = b'{"from": "442079460000"}'
    assert signatures.vonage(SECRET, body, vonage(body), now=1200.0)
    assert signatures.vonage(SECRET, b"", vonage(b"", payload_hash=None), now=1000.0)
    refused = {
        "old": vonage(body, iat=100),
        "expired": vonage(body, exp=999),
        "another body": vonage(b"other"),
        "without the body": vonage(body, payload_hash=None),
        "another key": vonage(body, key="another secret of thirty-two bytes or so"),
        "another way": vonage(body, key=SECRET * 2, algorithm="HS384"),
        "no bearer": vonage(body).removeprefix("Bearer "),
        "nothing": "",
        "nonsense": "Bearer a.b.c",
        "deep": f"Bearer {base64.urlsafe_b64encode(b'[' * 99_999).decode()}.e30.c",
        "not even text": "Bearer \u00e4.\u00e4.\u00e4",
    }
    for why, authorization in refused.items():
        assert not signatures.vonage(SECRET, body, authorization, now=1000.0), why
