"""How heavy a body will be once it is decoded, judged before that: a few KiB of gzip may stand for gigabytes. Pure."""

from apify_tasks_async._excerpt import describe_size

LIGHT = 2**19
"""Bytes of a body that is not searched: two usual pages, which take a few milliseconds whatever they contain."""

LONG = 2**22
"""Bytes of a body that is decoded in one pass, since two would take too long."""

VALUES = 2**17
"""How many values any body may have: a hundred for each task of a full page. An object takes 240 bytes, an array 64."""

WIDE = 2**24
"""Bytes that any body may have if its characters may take four bytes each."""


def find_burden(body: bytes, max_body_bytes: int) -> str | None:
    """Return what makes a body too heavy to decode; `None` if it may be decoded.

    What is allowed grows with `max_body_bytes`, so that raising it helps.
    """
    if len(body) <= LIGHT:
        return None
    wide = max(WIDE, max_body_bytes // 4)
    if len(body) > wide and not (body.isascii() and b"\\" not in body):
        return f"is larger than {describe_size(wide)}, and not plain ASCII"
    most = max(VALUES, max_body_bytes // 512)
    values = 0
    # Before each value stands one of these. Those within texts count, too.
    for mark in b",", b"[", b"{":
        values += body.count(mark)
        if values > most:
            return f"has more than {most:,} values"
    return None
