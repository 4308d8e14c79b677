"""Many models at once, for models of other shapes than ours have today."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import msgspec

from apify_tasks_async._batch import Batch


@attrs.frozen
class Leaf:
    """A model in a model, with a time."""

    ended_at: datetime
    extra: Mapping[str, Any] = attrs.field(factory=dict)


@attrs.frozen
class Node:
    """A model without a time of its own."""

    name: str
    first_leaf: Leaf | None = None
    other_leaf: Leaf | None = None
    extra: Mapping[str, Any] = attrs.field(factory=dict)


def read(documents: list[dict[str, Any]], unknown: Mapping[type, list[str]]) -> list[Any]:
    """Return the nodes that the documents hold."""
    batch = Batch(Node, unknown)
    kind: Any = list[batch.struct]  # type: ignore[name-defined]  # made while the program runs
    structs = msgspec.convert(documents, kind)
    batch.bring_to_utc(structs)
    return batch.models(structs)


def test_models_in_models() -> None:
    """Models within models are what they would be by themselves, wherever they are, with times in UTC."""
    moment = datetime(2024, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    leaf = {"endedAt": moment.isoformat()}
    nodes = read([{"name": "a", "firstLeaf": leaf}, {"name": "b", "otherLeaf": leaf}, {"name": "c"}], {})

    expected = Leaf(moment.astimezone(UTC))
    assert [Node("a", expected), Node("b", None, expected), Node("c")] == nodes
    assert [Leaf, UTC] == [type(nodes[0].first_leaf), nodes[0].first_leaf.ended_at.tzinfo]


def test_unknown_fields_at_every_depth() -> None:
    """Each model keeps its own unknown fields, even where their names are the same."""
    leaf = {"endedAt": "2024-01-01T00:00:00Z", "x": 1}
    documents: list[dict[str, Any]] = [
        {"name": "a", "x": 2, "firstLeaf": leaf, "otherLeaf": leaf | {"y": 3}},
        {"name": "b"},
    ]
    first, last = read(documents, {Node: ["x"], Leaf: ["y", "x"]})

    assert [{"x": 2}, {"x": 1}, {"y": 3, "x": 1}] == [
        first.extra,
        first.first_leaf.extra,
        first.other_leaf.extra,
    ]
    assert {} == last.extra
