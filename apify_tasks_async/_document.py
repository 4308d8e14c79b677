"""What the models share: the API's JSON, and the hooks by which pydantic asks for it.

The converter and pydantic import the models, so they are imported here when they are first used.
"""

from __future__ import annotations

from typing import Any, ClassVar, Self


class _Serializer:
    """Makes pydantic's serializer of a model when `pydantic_core.to_json` looks for it."""

    def __get__(self, _instance: object, model: type) -> Any:
        try:
            from apify_tasks_async._pydantic import make_serializer  # noqa: PLC0415 - needs pydantic
        except ImportError as error:
            raise AttributeError("__pydantic_serializer__ needs pydantic") from error
        return make_serializer(model)


class PydanticType:
    """A class that pydantic and FastAPI take as the type of a field, a parameter or a response."""

    __slots__ = ()

    __pydantic_serializer__: ClassVar[Any] = _Serializer()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from apify_tasks_async._pydantic import make_core_schema  # noqa: PLC0415 - needs pydantic

        return make_core_schema(cls, handler)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> Any:
        from apify_tasks_async._pydantic import make_json_schema  # noqa: PLC0415 - needs pydantic

        return make_json_schema(cls, schema, handler)


class Document(PydanticType):
    """A JSON object of the API."""

    __slots__ = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the API's JSON document, as `converter.unstructure` does.

        The documented fields come first, then those of `extra`. A time is a text. Changing the result does not change
        the model.

        Example:
            >>> from apify_tasks_async import TaskStats
            >>> TaskStats(total_runs=15, extra={"new": 1}).to_dict()
            {'totalRuns': 15, 'new': 1}
        """
        from apify_tasks_async._convert import converter  # noqa: PLC0415 - it imports the models

        document: dict[str, Any] = converter.unstructure(self)
        return document

    def to_json(self) -> str:
        """Return the API's JSON document as one line of ASCII.

        Raises:
            TypeError: `extra` holds a value that JSON does not have.
            ValueError: `extra` holds NaN or an infinite number.

        Example:
            >>> from apify_tasks_async import TaskStats
            >>> TaskStats(total_runs=15).to_json()
            '{"totalRuns":15}'
        """
        from apify_tasks_async._convert import write_json  # noqa: PLC0415 - it imports the models

        return write_json(self.to_dict())

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Self:
        """Return the model that the API's JSON document describes, as `converter.structure` does.

        Args:
            document: A decoded JSON object.

        Raises:
            ValueError: The document is not as documented. The message names every wrong field.

        Example:
            >>> from apify_tasks_async import TaskStats
            >>> TaskStats.from_dict({"totalRuns": 15})
            TaskStats(total_runs=15)
        """
        from apify_tasks_async._convert import converter  # noqa: PLC0415 - it imports the models

        return converter.structure(document, cls)

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Return the model that `to_json`, or the API, wrote.

        Args:
            text: A JSON object.

        Raises:
            TypeError: The argument is neither text nor bytes.
            ValueError: The text is not JSON, or not as documented. The message names every wrong field.

        Example:
            >>> from apify_tasks_async import TaskStats
            >>> TaskStats.from_json('{"totalRuns": 15}')
            TaskStats(total_runs=15)
        """
        from apify_tasks_async._convert import read_json  # noqa: PLC0415 - it imports the models

        return cls.from_dict(read_json(text))
