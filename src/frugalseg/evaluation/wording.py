"""Numbers as people read them: percent, points, spans, durations. NaN is a dash."""

import math

from frugalseg.evaluation.compare import Interval

NOTHING = "–"
MINUS = "\N{MINUS SIGN}"


def percent(fraction: float, digits: int = 1) -> str:
    """0.4832 → "48.3" (the unit stands in the heading or beside it)."""
    return NOTHING if math.isnan(fraction) else f"{100 * fraction:.{digits}f}"


def share(fraction: float) -> str:
    """0.4832 → "48 %", 0.0483 → "4.8 %", 0.00004 → "< 0.01 %"; a dash for NaN; the space does not break."""
    if math.isnan(fraction):
        return NOTHING
    if 0 < fraction < 1e-4:
        return "< 0.01\N{NO-BREAK SPACE}%"
    digits = 0 if fraction >= 0.0995 or fraction == 0 else 1 if fraction >= 0.00995 else 2
    return f"{100 * fraction:.{digits}f}\N{NO-BREAK SPACE}%"


def points(difference: float) -> str:
    """0.113 → "+11.3", -0.02 → "−2.0"; 0 and what rounds to it have no sign."""
    if math.isnan(difference):
        return NOTHING
    text = f"{abs(100 * difference):.1f}"
    return text if float(text) == 0 else f"{MINUS if difference < 0 else '+'}{text}"


def span(interval: Interval) -> str:
    """Bounds of a score: "46.1–50.4"; empty where unknown."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return ""
    return f"{percent(interval.low)}–{percent(interval.high)}"


def signed_span(interval: Interval) -> str:
    """Bounds of a difference: "+9.1 to +13.4"; empty where unknown."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return ""
    return f"{points(interval.low)} to {points(interval.high)}"


def duration(seconds: float) -> str:
    """42 → "42 s", 1500 → "25 min", 5400 → "1 h 30 min", 1.4e6 → "389 h"; a dash for NaN."""
    if math.isnan(seconds):
        return NOTHING
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds % 1 else f"{seconds:.0f} s"
    if seconds < 89.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    if minutes < 600:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    return f"{whole(round(seconds / 3600))} h"


def whole(number: int) -> str:
    """1234567 → "1 234 567" with narrow no-break spaces."""
    return f"{number:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def shorten(text: str, letters: int) -> str:
    """Cut to `letters` letters with an ellipsis."""
    return text if len(text) <= letters else text[: letters - 1].rstrip() + "…"
