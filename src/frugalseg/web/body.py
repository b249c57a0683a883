"""Request bodies: JSON only, of limited size, with one meaning.

Refused: other content types, more bytes than the cap (also when they come in endless pieces), NaN and Infinity, numbers
of thousands of digits, keys that stand twice, nesting without end, text that is not UTF-8.
"""

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel, ValidationError

BODY_CAP = 16_384  # bytes; an event has about 400
Model = TypeVar("Model", bound=BaseModel)


class BodyError(Exception):
    """A body that is refused with an HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


def body_of(model: type[Model]) -> Any:
    """Return a dependency that gives a handler the body as `model`."""

    async def read(request: Request) -> Model:
        content = await _content(request)
        try:
            return model.model_validate(parse_json(content))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(map(str, first["loc"])) or "the body"
            raise BodyError(422, f"{place}: {first['msg']}") from error

    reader: Callable[[Request], Awaitable[Model]] = read
    return Depends(reader)


def describe(model: type[BaseModel]) -> dict[str, Any]:
    """Return what OpenAPI says of a body that `body_of` reads."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def parse_json(content: bytes) -> Any:
    """Parse JSON that has one meaning.

    Raises:
        BodyError: with status 422.
    """
    try:
        return json.loads(content.decode("utf-8"), object_pairs_hook=_no_key_twice, parse_constant=_no_constant)
    except RecursionError as error:
        raise BodyError(422, "The body is nested too deeply.") from error
    except ValueError as error:
        raise BodyError(422, f"The body is no JSON that can be accepted: {error}") from error


async def _content(request: Request) -> bytes:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise BodyError(415, f"Content-Type is {kind or 'missing'}; expected application/json.")
    said = request.headers.get("content-length", "")
    if said.isdigit() and (len(said) > 12 or int(said) > BODY_CAP):
        raise BodyError(413, f"The body is larger than {BODY_CAP} bytes.")
    content = bytearray()
    async for piece in request.stream():
        content += piece
        if len(content) > BODY_CAP:
            raise BodyError(413, f"The body is larger than {BODY_CAP} bytes.")
    return bytes(content)


def _no_key_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number here")
