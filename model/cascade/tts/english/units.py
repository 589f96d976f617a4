"""Spells out units of measure behind a number: "km/h" -> "kilometers per hour". Pure."""

from __future__ import annotations

import re
from typing import Final

_NAMES: Final = {
    "mm": "millimeter",
    "cm": "centimeter",
    "dm": "decimeter",
    "m": "meter",
    "km": "kilometer",
    "nm": "nanometer",
    "µm": "micrometer",
    "μm": "micrometer",
    "mi": "mile",
    "ft": "foot",
    "yd": "yard",
    "mg": "milligram",
    "g": "gram",
    "kg": "kilogram",
    "t": "ton",
    "oz": "ounce",
    "lb": "pound",
    "lbs": "pound",
    "ml": "milliliter",
    "mL": "milliliter",
    "cl": "centiliter",
    "l": "liter",
    "L": "liter",
    "gal": "gallon",
    "ns": "nanosecond",
    "µs": "microsecond",
    "μs": "microsecond",
    "ms": "millisecond",
    "s": "second",
    "sec": "second",
    "secs": "second",
    "min": "minute",
    "mins": "minute",
    "h": "hour",
    "hr": "hour",
    "hrs": "hour",
    "yr": "year",
    "yrs": "year",
    "Hz": "hertz",
    "kHz": "kilohertz",
    "MHz": "megahertz",
    "GHz": "gigahertz",
    "W": "watt",
    "kW": "kilowatt",
    "MW": "megawatt",
    "GW": "gigawatt",
    "kWh": "kilowatt hour",
    "Ω": "ohm",
    "\u2126": "ohm",
    "kΩ": "kiloohm",
    "V": "volt",
    "mV": "millivolt",
    "kV": "kilovolt",
    "mA": "milliamp",
    "mAh": "milliamp hour",
    "dB": "decibel",
    "J": "joule",
    "kJ": "kilojoule",
    "kcal": "kilocalorie",
    "cal": "calorie",
    "Pa": "pascal",
    "kPa": "kilopascal",
    "hPa": "hectopascal",
    "psi": "P S I",
    "rpm": "R P M",
    "ppm": "parts per million",
    "B": "byte",
    "KB": "kilobyte",
    "kB": "kilobyte",
    "MB": "megabyte",
    "GB": "gigabyte",
    "TB": "terabyte",
    "PB": "petabyte",
    "KiB": "kibibyte",
    "MiB": "mebibyte",
    "GiB": "gibibyte",
    "Kbps": "kilobit per second",
    "kbps": "kilobit per second",
    "kb": "kilobit",
    "kbit": "kilobit",
    "Mb": "megabit",
    "Mbit": "megabit",
    "Mbps": "megabit per second",
    "Gbps": "gigabit per second",
    "Gb": "gigabit",
    "px": "pixel",
    "fps": "frame per second",
    "mph": "mile per hour",
    "kph": "kilometer per hour",
    "ha": "hectare",
    "°C": "degree Celsius",
    "ºC": "degree Celsius",
    "°F": "degree Fahrenheit",
    "°": "degree",
    "º": "degree",
    "%": "percent",
    "‰": "per mille",
}
_INVARIANT: Final = ("percent", "hertz", "per mille", "per million", "P S I", "R P M")
_POWERS: Final = {"²": "square", "2": "square", "³": "cubic", "3": "cubic"}
_ALTERNATIVES: Final = "|".join(sorted(map(re.escape, _NAMES), key=len, reverse=True))

UNIT: Final = rf"(?:{_ALTERNATIVES})(?:[²³]|\^[23])?(?:/(?:{_ALTERNATIVES}|day|week|month|year)(?:[²³]|\^[23])?)?"
"""Pattern of a unit, with an optional power and an optional denominator."""


def unit_words(unit: str, *, single: bool) -> str:
    """ "m/s²", many -> "meters per second squared". `single`: for exactly one of it."""
    above, slash, below = unit.partition("/")
    words = _with_power(above, single=single)
    if not slash:
        return words
    name = re.sub(r"\^?[²³23]$", "", below)
    squared = {"²": " squared", "2": " squared", "³": " cubed", "3": " cubed"}.get(below[-1], "")
    return f"{words} per {_NAMES.get(name, name)}{squared}"


def _with_power(unit: str, *, single: bool) -> str:
    power = _POWERS.get(unit[-1], "")
    words = _NAMES[re.sub(r"\^?[²³23]$", "", unit)]
    if not single and not words.endswith(_INVARIANT):
        head, _, tail = words.partition(" ")
        many = {"foot": "feet"}.get(head, f"{head}s")
        words = f"{words}s" if tail == "hour" else f"{many} {tail}".strip()
    return f"{power} {words}".strip()
