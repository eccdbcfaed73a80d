"""Texts for people: texts and values cut to one line, seconds and bytes in a unit that suits, values of frames."""

import re
from datetime import datetime
from typing import Any

CUT = "..."  # three characters of ASCII, which every terminal can show


def shorten(text: str, limit: int) -> str:
    """Return the text if it has at most `limit` characters, else its start and "..." in that many."""
    return text if len(text) <= limit else text[: limit - len(CUT)] + CUT


def value_text(value: Any, limit: int = 80) -> str:
    """Return a value as it would be typed in Python, in at most `limit` characters.

    A value whose own `__repr__` raises is named by its type, so that an error message about it still appears.
    """
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__} (it cannot be shown as text)"
    return shorten(text, limit)


def seconds_text(seconds: float) -> str:
    """Return seconds in the unit that suits: `85 µs`, `12 ms`, `1.3 s`, `2 min 5 s`."""
    if seconds < 0.0009995:  # from there on it would be rounded to 1000 µs
        return f"{seconds * 1e6:.0f} µs"
    if seconds < 0.9995:
        return f"{seconds * 1e3:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 59.95 else f"{round(seconds) // 60} min {round(seconds) % 60} s"


def is_utf8(text: str) -> bool:
    """Return whether UTF-8 can hold a text. It cannot hold half of a surrogate pair, which is no character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_utf8(text: str) -> str:
    """Return a text with halves of surrogate pairs written as escapes, such as `\\ud800`."""
    return text.encode("utf-8", "backslashreplace").decode()


def one_line(text: str) -> str:
    """Return the text on one line, its parts joined by "; ", with control characters escaped for a terminal."""
    joined = "; ".join(part.strip() for part in text.splitlines() if part.strip()).replace(":; ", ": ")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in joined)


def spaced(name: str) -> str:
    """Return the name of a class in words: `LoadedModels` is "Loaded models"."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()
    return words[:1].upper() + words[1:]


def heading_of(column: str) -> str:
    """Return the heading of a column of a frame: `ram_peak_mb` is "RAM peak". An address, `noise.seed`, stays."""
    if not column.isidentifier() or column == "mb":
        return "Size" if column == "mb" else column
    words = re.sub(r"_(mb|seconds|bytes)$", "", column).split("_")
    text = " ".join(word.upper() if word in ("ram", "vram", "cpu", "gpu") else word for word in words)
    return text[:1].upper() + text[1:]


def cell_text(column: str, value: Any) -> str:
    """Return a value of a column of a frame with its unit, in three digits; empty where there is none."""
    # By their texts: a comparison of pandas' NA is NA.
    if value is None or str(value) in ("", "<NA>", "NaT", "nan"):
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if str(value) in ("True", "False"):  # of numpy too
        return "yes" if value else ""
    name = column.rpartition("_")[2]
    if name == "seconds":
        return f"{span(value)} ago" if column == "age_seconds" else seconds_text(value)
    if name == "bytes":
        return size_text(value)
    if name == "mb":
        return size_text(value * 2**20)
    return str(value) if isinstance(value, str) or value == int(value) else f"{value:.3g}"


def span(value: float) -> str:
    """Return seconds in the largest unit that fits: `5 s`, `3 min`, `2 h`, `4 days`."""
    for length, unit in ((86_400, "days"), (3600, "h"), (60, "min")):
        if value >= 2 * length or (value >= length and unit != "days"):
            return f"{value / length:.0f} {unit}"
    return f"{value:.0f} s"


def size_text(count: float) -> str:
    """Return bytes in the unit that leaves up to three digits: `312 B`, `4.1 KB`, `6.2 GB`."""
    size, unit = float(count), "B"
    for larger in ("KB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "B" or size >= 10 else f"{size:.1f} {unit}"
