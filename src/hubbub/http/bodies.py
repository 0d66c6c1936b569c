"""Bodies of requests: bytes into typed structs, strictly.

Refused with the field's name: wrong types (a bool is no number, `"5"` no 5), NaN and infinity, lone
surrogates, numbers out of range, repeated keys, JSON that nests too deep to be read. Unknown fields are
ignored.
"""

import json
import math
from typing import Any, TypeVar

import msgspec
from litestar.dto import AbstractDTO
from litestar.openapi.spec import Reference, Schema
from litestar.typing import FieldDefinition

from hubbub.contract import errors, problems

T = TypeVar("T")

MAX_BODY = 65_536
"""Largest body of a request, in bytes."""


def _read_float(digits: str) -> float:
    """Read a number as Python does: msgspec takes a hundred times as long for some, like 1e308."""
    number = float(digits)
    if math.isinf(number):
        raise ValueError
    return number


_decode = msgspec.json.Decoder(float_hook=_read_float).decode


def decode(body: bytes, wanted: type[T]) -> T:
    """Return the body as `wanted`. Raises `RequestError`."""
    try:
        found = msgspec.convert(_decode(body), wanted)
        json.loads(body, object_pairs_hook=_refuse_repeats)
    except msgspec.ValidationError as error:
        raise problems.refusal(error, wanted) from None
    except (msgspec.DecodeError, ValueError, RecursionError):
        raise errors.invalid("", "the body must be a JSON object without repeated keys") from None
    return found


def _refuse_repeats(pairs: list[tuple[str, object]]) -> None:
    """Which of two values counts would be anybody's guess."""
    if len(dict(pairs)) < len(pairs):
        raise ValueError


class Body(AbstractDTO[T]):
    """How litestar is told to read a route's `data`: `dto=Body[rest.NewChat]`."""

    @classmethod
    def create_for_field_definition(cls, *_: object, **__: object) -> None:
        """No transfer model is needed: the struct is the model."""

    def decode_bytes(self, value: bytes) -> T:
        """Read a body."""
        return decode(value, self.model_type)

    @classmethod
    def create_openapi_schema(
        cls,
        field_definition: FieldDefinition,
        handler_id: str,  # noqa: ARG003 -- litestar's
        schema_creator: Any,
    ) -> Reference | Schema:
        """Describe the struct itself."""
        described: Reference | Schema = schema_creator.for_field_definition(field_definition)
        return described
