"""Texts for people: texts and values of any origin cut to one line, seconds in a unit that suits."""

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
