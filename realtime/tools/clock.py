"""Say the time and date in a city or time zone. Pure, but for the zone tables of the system or of `tzdata`."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

from vivavoce.realtime.tools import ToolError

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
"""Common names of places whose zone has another name."""


class UnknownPlace(ToolError):
    """There is no time zone of this name."""


def time_in_words(now: datetime, place: str) -> str:
    """The aware time `now` in words, in the zone of a place; in its own zone for "". Raises `UnknownPlace`."""
    local = now.astimezone(ZoneInfo(zone_of(place))) if place.strip() else now
    hour, suffix = local.hour % 12 or 12, "AM" if local.hour < 12 else "PM"
    where = f" in {place.strip()}" if place.strip() else ""
    return f"It is {hour}:{local.minute:02} {suffix}{where} on {local:%A}, {local:%B} {local.day}, {local.year}."


def zone_of(place: str) -> str:
    """The name of the time zone of a city or region: "tokyo" is "Asia/Tokyo". Raises `UnknownPlace`."""
    spoken = " ".join(place.lower().replace("_", " ").split())
    zones = {zone.lower(): zone for zone in available_timezones()}
    for name in (spoken, spoken.rpartition(",")[0].strip() or spoken):
        if name in _PLACES:
            return _PLACES[name]
        spelled = name.replace(" ", "_")
        if spelled in zones:
            return zones[spelled]
        cities = sorted(zone for low, zone in zones.items() if low.rpartition("/")[2] == spelled)
        if cities:
            return cities[0]
    raise UnknownPlace(f"There is no time zone called {place!r}. Say a large city, or a name such as Europe/Paris.")
