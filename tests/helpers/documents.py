"""Example documents from the specification, and Hypothesis strategies for similar ones."""

import json
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from apify_tasks_async import Task, TaskStats, converter

__all__ = [
    "DOCUMENTED",
    "REQUIRED",
    "STRINGS",
    "body_of",
    "example",
    "json_values",
    "moments",
    "page_bytes",
    "page_document",
    "property_test",
    "task_document",
    "task_documents",
    "tasks",
    "wire_times",
]

property_test = settings(deadline=None)
"""The settings of all property tests: no deadline, since the machine may be busy."""

REQUIRED = ("id", "userId", "actId", "name", "createdAt", "modifiedAt")
DOCUMENTED = (*REQUIRED, "actName", "username", "actUsername", "stats")

STRINGS = {
    "id": "id",
    "userId": "user_id",
    "actId": "act_id",
    "name": "name",
    "actName": "act_name",
    "username": "username",
    "actUsername": "act_username",
}
"""The names of the string fields: in JSON, and in Python."""


def example(status: int) -> Any:
    """Return the specification's example of a response of that status."""
    return json.loads(body_of(status))


def body_of(status: int) -> bytes:
    """Return the bytes of the specification's example of a response of that status."""
    return (Path(__file__).parents[1] / "data" / f"example_{status}.json").read_bytes()


def task_document(**changes: Any) -> dict[str, Any]:
    """Return the first task of the specification's example, with some fields changed."""
    document: dict[str, Any] = example(200)["data"]["items"][0]
    return document | changes


def page_document(*items: Any, **changes: Any) -> dict[str, Any]:
    """Return a response with these items, and with some fields of the page changed."""
    data = {"total": 2500, "offset": 0, "limit": 1000, "desc": False, "count": len(items), "items": list(items)}
    return {"data": data | changes}


def page_bytes(tasks: Sequence[Task], *, offset: int = 0, limit: int = 1000, desc: bool = False) -> bytes:
    """Return the response with that page of a list; `desc` is what it says of its order."""
    items = converter.unstructure(list(tasks[offset : offset + limit]))
    return json.dumps(page_document(*items, total=len(tasks), offset=offset, limit=limit, desc=desc)).encode()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(), children, max_size=4),
    max_leaves=10,
)

moments = st.datetimes(timezones=st.just(UTC))

wire_times = st.datetimes().map(
    lambda moment: f"{moment.year:04}-{moment:%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03}Z"
)
"""Times as the API writes them."""

_extras = st.dictionaries(st.text().filter(lambda name: name not in DOCUMENTED), json_values, max_size=3)
_stats_extras = st.dictionaries(st.text().filter(lambda name: name != "totalRuns"), json_values, max_size=2)
_integers = st.integers(-(2**63), 2**64 - 1)

_stats_documents = st.builds(
    lambda extra, total_runs: extra | {"totalRuns": total_runs}, _stats_extras, st.none() | _integers
)

task_documents = st.builds(
    lambda extra, fields: extra | fields,
    _extras,
    st.fixed_dictionaries(
        dict.fromkeys(("id", "userId", "actId", "name"), st.text())
        | dict.fromkeys(("createdAt", "modifiedAt"), wire_times)
        | dict.fromkeys(("actName", "username", "actUsername"), st.none() | st.text())
        | {"stats": st.none() | _stats_documents}
    ),
)
"""Tasks as the API sends them."""

tasks = st.builds(
    Task,
    st.text(),
    st.text(),
    st.text(),
    st.text(),
    moments,
    moments,
    st.none() | st.text(),
    st.none() | st.text(),
    st.none() | st.text(),
    st.none() | st.builds(TaskStats, st.none() | _integers, extra=_stats_extras),
    extra=_extras,
)
