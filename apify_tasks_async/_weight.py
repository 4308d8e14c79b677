"""How heavy a body will be once it is decoded, judged before that: a few KiB of gzip may stand for gigabytes. Pure."""

from apify_tasks_async._excerpt import describe_size

LIGHT = 2**19
"""Bytes of a body that is not searched: two usual pages, which take a few milliseconds whatever they contain."""

LONG = 2**22
"""Bytes of a body that is decoded in one pass, since two would take too long."""

VALUES = 2**17
"""How many values any body may have: a hundred for each task of a full page. An object takes 240 bytes, an array 64."""

WIDE = 2**24
"""Bytes that any body may have if its characters may take two bytes each."""

WIDEST = 2**22
"""Bytes that any body may have if most of its characters take four bytes each."""

TEXTS = 2**15
"""How many texts with such characters are looked at."""

_BEYOND = b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4", rb"\ud", rb"\uD"
"""How a character beyond U+FFFF begins, such as an emoji. Python keeps each character of its text in four bytes."""


def find_burden(body: bytes, max_body_bytes: int) -> str | None:
    """Return what makes a body too heavy to decode; `None` if it may be decoded.

    What is allowed grows with `max_body_bytes`, so that raising it helps.
    """
    if len(body) <= LIGHT:
        return None
    return _find_width(body, max_body_bytes) or _find_many(body, max(VALUES, max_body_bytes // 512))


def _find_many(body: bytes, most: int) -> str | None:
    values = 0
    # Before each value stands one of these. Those within texts count, too.
    for mark in b",", b"[", b"{":
        values += body.count(mark)
        if values > most:
            return f"has more than {most:,} values"
    return None


def _find_width(body: bytes, max_body_bytes: int) -> str | None:
    wide, widest = max(WIDE, max_body_bytes // 4), max(WIDEST, max_body_bytes // 16)
    if len(body) <= widest or (body.isascii() and b"\\" not in body):
        return None
    if len(body) > wide:
        return f"is larger than {describe_size(wide)}, and not plain ASCII"
    if 2 * _count_wide(body) > len(body):
        return f"is larger than {describe_size(widest)}, and most of its text is beside emoji or the like"
    return None


def _count_wide(body: bytes) -> int:
    """Return about how many bytes the texts have that contain a character beyond U+FFFF."""
    # Without escaped quotes, each quote begins a text or ends it.
    body = body.replace(rb"\\", b"").replace(rb"\"", b"")
    places = {begin: place for begin in _BEYOND if (place := body.find(begin)) >= 0}
    count = end = texts = 0
    while places:
        place = min(places.values())
        start = max(end, body.rfind(b'"', end, place) + 1)
        end = body.find(b'"', place)
        texts += 1
        if end < 0 or texts == TEXTS:
            return count + len(body) - start
        count += end - start
        for begin in [begin for begin, place in places.items() if place < end]:
            if (later := body.find(begin, end)) < 0:
                del places[begin]
            else:
                places[begin] = later
    return count
