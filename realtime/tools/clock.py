"""Time and date in a place or a time zone. Pure but for the zones' tables, which come with the system or `tzdata`."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

_PLACES: Final = {
    "utc": "UTC",
    "gmt": "UTC",
    "beijing": "Asia/Shanghai",
    "boston": "America/New_York",
    "california": "America/Los_Angeles",
    "china": "Asia/Shanghai",
    "delhi": "Asia/Kolkata",
    "france": "Europe/Paris",
    "germany": "Europe/Berlin",
    "india": "Asia/Kolkata",
    "italy": "Europe/Rome",
    "mumbai": "Asia/Kolkata",
    "munich": "Europe/Berlin",
    "rio": "America/Sao_Paulo",
    "san francisco": "America/Los_Angeles",
    "seattle": "America/Los_Angeles",
    "spain": "Europe/Madrid",
    "texas": "America/Chicago",
    "uk": "Europe/London",
    "washington": "America/New_York",
}
"""What people say for a zone that is called otherwise."""


class UnknownPlace(ValueError):
    """No time zone of this name; the message may be shown."""


def told(now: datetime, place: str) -> str:
    """The moment `now` (aware) in words, in the zone of a place; in its own zone for "". Raises `UnknownPlace`."""
    local = now.astimezone(ZoneInfo(zone_of(place))) if place.strip() else now
    hour, suffix = local.hour % 12 or 12, "AM" if local.hour < 12 else "PM"
    where = f" in {place.strip()}" if place.strip() else ""
    return f"It is {hour}:{local.minute:02} {suffix}{where} on {local:%A}, {local:%B} {local.day}, {local.year}."


def zone_of(place: str) -> str:
    """The name of the time zone of a city or region: "tokyo" is "Asia/Tokyo". Raises `UnknownPlace`."""
    said = " ".join(place.lower().replace("_", " ").split())
    known = {name.lower(): name for name in available_timezones()}
    for wanted in (said, said.rpartition(",")[0].strip() or said):
        if wanted in _PLACES:
            return _PLACES[wanted]
        spelled = wanted.replace(" ", "_")
        if spelled in known:
            return known[spelled]
        cities = sorted(name for low, name in known.items() if low.rpartition("/")[2] == spelled)
        if cities:
            return cities[0]
    raise UnknownPlace(f"There is no time zone called {place!r}. Say a large city, or a name such as Europe/Paris.")
