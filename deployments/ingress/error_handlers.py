"""Failures as OpenAI's error object, each with its status.

Does not know what failed; the exceptions say.
"""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from deployments.errors import RequestError, TensorloomError
from deployments.ingress.json_body import Json
from deployments.ingress.validation import NO_OBJECT, as_request_error

logger = logging.getLogger("ray.serve")


def install(app: FastAPI) -> None:
    """Every answer of `app` that is not a success has the shape of `error_body`."""
    app.add_exception_handler(TensorloomError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


def error_body(error: TensorloomError) -> dict[str, Any]:
    return error_object(error.message, error.type, error.param, error.code)


def error_object(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def error_response(error: TensorloomError) -> Json:
    headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    return Json(error_body(error), error.status, headers)


def known(error: Exception) -> TensorloomError:
    """`error` itself, or, for one that should not happen, what a client may know of it."""
    if isinstance(error, TensorloomError):
        return error
    logger.error("a request failed", exc_info=error)
    return TensorloomError("The server failed while it processed this request.")


def _ours(_: Request, error: Exception) -> Json:
    assert isinstance(error, TensorloomError)
    return error_response(error)


def _invalid(_: Request, error: Exception) -> Json:
    assert isinstance(error, RequestValidationError)
    return error_response(as_request_error(error.errors()))


def _http(request: Request, error: Exception) -> Json:
    assert isinstance(error, HTTPException)
    message, code = _http_message(request, error)
    body = error_object(message, RequestError.type, None, code)
    return Json(body, error.status_code, dict(error.headers or {}))


def _http_message(request: Request, error: HTTPException) -> tuple[str, str | None]:
    asked = f"{request.method} {request.url.path}"
    match error.status_code:
        case 400:
            return NO_OBJECT, RequestError.code
        case 404:
            return f"Unknown request URL: {asked}.", "unknown_url"
        case 405:
            return f"Not allowed: {asked}.", "method_not_allowed"
        case 413:
            return f"The request's body is too large: {asked}.", "request_too_large"
        case _:
            return str(error.detail), None


def _unforeseen(_: Request, error: Exception) -> Json:
    return error_response(known(error))
