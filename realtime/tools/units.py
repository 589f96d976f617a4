"""Convert units by tables. Pure.

    convert("5", "miles", "km") ──► 5 × 1.609344 ──► "8.04672"

Factors are exact by definition (a mile is 1.609344 km), so results are exact; temperatures have an offset, too.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from vivavoce.realtime.tools.arithmetic import CannotCompute, compute

_TABLE: Final = """
length       m:1:meter,metre  km:1000:kilometer,kilometre  cm:1/100:centimeter,centimetre
length       mm:1/1000:millimeter,millimetre
length       um:1/1000000:micrometer,micron  in:0.0254:inch,inches  ft:0.3048:foot,feet  yd:0.9144:yard
length       mi:1609.344:mile  nmi:1852:nautical_mile  ly:9460730472580800:light_year  au:149597870700:astronomical_unit
mass         kg:1:kilogram,kilo  g:1/1000:gram,gramme  mg:1/1000000:milligram  t:1000:tonne,metric_ton
mass         lb:0.45359237:lbs,pound  oz:0.028349523125:ounce  st:6.35029318:stone  ton:907.18474:short_ton
time         s:1:second,sec  ms:1/1000:millisecond  min:60:minute  h:3600:hour,hr  d:86400:day  wk:604800:week
time         yr:31557600:year
volume       l:1:liter,litre  ml:1/1000:milliliter,millilitre  cl:1/100:centiliter  dl:1/10:deciliter
volume       m3:1000:cubic_meter
volume       gal:3.785411784:gallon,us_gallon  qt:0.946352946:quart  pt:0.473176473:pint  cup:0.2365882365:cups
volume       floz:0.0295735295625:fluid_ounce,fl_oz  tbsp:0.01478676478125:tablespoon  tsp:0.00492892159375:teaspoon
volume       impgal:4.54609:imperial_gallon  imppt:0.56826125:imperial_pint
area         m2:1:square_meter,square_metre  km2:1000000:square_kilometer  ha:10000:hectare  acre:4046.8564224:acres
area         ft2:0.09290304:square_foot,square_feet  mi2:2589988.110336:square_mile  cm2:1/10000:square_centimeter
speed        m/s:1:mps,meters_per_second  km/h:1000/3600:kph,kmh,kilometers_per_hour  mph:0.44704:miles_per_hour
speed        kn:1852/3600:knot,kt  ft/s:0.3048:feet_per_second
data         byte:1:bytes  kb:1000:kilobyte  mb:1000000:megabyte  gb:1000000000:gigabyte  tb:1000000000000:terabyte
data         kib:1024:kibibyte  mib:1048576:mebibyte  gib:1073741824:gibibyte  tib:1099511627776:tebibyte  bit:1/8:bits
energy       j:1:joule  kj:1000:kilojoule  kwh:3600000:kilowatt_hour  wh:3600:watt_hour  cal:4.184:calorie
energy       kcal:4184:kilocalorie
power        w:1:watt  kw:1000:kilowatt  mw:1000000:megawatt  hp:745.69987158227022:horsepower
pressure     pa:1:pascal  kpa:1000:kilopascal  hpa:100:hectopascal  bar:100000:bars  psi:6894.757293168361
pressure     atm:101325:atmosphere
angle        deg:1:degree_of_arc  turn:360:turns
temperature  c:1:celsius,centigrade,degrees_celsius,°c  k:1:kelvin  f:5/9:fahrenheit,degrees_fahrenheit,°f
"""

_OFFSETS: Final = {"c": Fraction("273.15"), "k": Fraction(0), "f": Fraction("459.67") * Fraction(5, 9)}
"""Kelvin at the zero point of each scale."""


def _read_table() -> tuple[dict[str, tuple[str, str, Fraction]], dict[str, list[str]]]:
    units: dict[str, tuple[str, str, Fraction]] = {}
    kinds: dict[str, list[str]] = {}
    for line in _TABLE.strip().splitlines():
        kind, *entries = line.split()
        for entry in entries:
            symbol, factor, *names = entry.split(":")
            above, _, below = factor.partition("/")
            unit = (kind, symbol, Fraction(above) / Fraction(below or "1"))
            kinds.setdefault(kind, []).append(symbol)
            for name in [symbol, *",".join(names).split(",")]:
                units[name.replace("_", " ")] = unit
    return units, kinds


_UNITS, KINDS = _read_table()


def convert(value: str, source: str, target: str) -> Fraction | float:
    """Converts `value` (an expression) from one unit to another. Raises `CannotCompute`."""
    kind, symbol, factor = _unit(source)
    kind2, symbol2, factor2 = _unit(target)
    if kind != kind2:
        raise CannotCompute(f"{source} is a unit of {kind}, {target} one of {kind2}.")
    base = compute(value) * factor
    if kind != "temperature":
        return base / factor2
    kelvin = base + _OFFSETS[symbol]
    if kelvin < 0:
        raise CannotCompute("That is below absolute zero.")
    return (kelvin - _OFFSETS[symbol2]) / factor2


def _unit(name: str) -> tuple[str, str, Fraction]:
    tidy = " ".join(name.strip().lower().replace("_", " ").replace("-", " ").rstrip(".").split())
    tidy = tidy.replace("²", "2").replace("³", "3")
    for spelling in (tidy, tidy.removesuffix("s"), tidy.removesuffix("es"), tidy.replace("degrees ", "")):
        if spelling in _UNITS:
            return _UNITS[spelling]
    raise CannotCompute(f"{name!r} is not a known unit. Known: {', '.join(s for k in KINDS.values() for s in k)}.")
