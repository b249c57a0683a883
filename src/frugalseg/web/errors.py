"""One form for every error: `{"error": {"kind": …, "message": …}}`."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from frugalseg.core.errors import (
    AnswerError,
    ConflictError,
    ForbiddenError,
    FrugalsegError,
    LoginError,
    NotFoundError,
    StoreBusyError,
    StoreDownError,
)
from frugalseg.web.body import BodyError

STATUS: dict[type[FrugalsegError], tuple[int, str]] = {
    LoginError: (401, "login"),
    ForbiddenError: (403, "forbidden"),
    NotFoundError: (404, "not_found"),
    ConflictError: (409, "conflict"),
    AnswerError: (422, "invalid"),
    StoreBusyError: (503, "busy"),
    StoreDownError: (503, "down"),
}
KINDS = {status: kind for status, kind in STATUS.values()} | {405: "method", 413: "too_large", 415: "content_type"}
RETRY_AFTER_S = "1"


def error_response(status: int, kind: str, message: str) -> JSONResponse:
    """Return an error in the one form."""
    headers = {"retry-after": RETRY_AFTER_S} if status == 503 else {}
    return JSONResponse({"error": {"kind": kind, "message": message}}, status, headers)


def install(app: FastAPI) -> None:
    """Teach an application the one form."""

    @app.exception_handler(FrugalsegError)
    def known(request: Request, error: FrugalsegError) -> JSONResponse:
        status, kind = STATUS.get(type(error), (400, "refused"))
        return error_response(status, kind, str(error))

    @app.exception_handler(BodyError)
    def body(request: Request, error: BodyError) -> JSONResponse:
        return error_response(error.status, KINDS[error.status], str(error))

    @app.exception_handler(HTTPException)
    def http(request: Request, error: HTTPException) -> JSONResponse:
        return error_response(error.status_code, KINDS.get(error.status_code, "refused"), str(error.detail))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        first: dict[str, Any] = error.errors()[0]
        return error_response(422, "invalid", f"{'.'.join(map(str, first['loc']))}: {first['msg']}")

    @app.exception_handler(Exception)
    def slip(request: Request, error: Exception) -> JSONResponse:
        logging.getLogger(__name__).exception("%s %s", request.method, request.url.path, exc_info=error)
        return error_response(500, "internal", "This should not have happened; the server's log says more.")
