"""Failures as responses: OpenAI's error object, with the exception's HTTP status."""

import logging
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from deployments.errors import RequestError, TensorloomError
from deployments.ingress.responses import JsonResponse

logger = logging.getLogger("ray.serve")

NOT_A_JSON_OBJECT = "The request's body must be a JSON object, sent as application/json."


def install(app: FastAPI) -> None:
    """Makes every failure of `app` answer with the object that `error_body` builds."""
    app.add_exception_handler(TensorloomError, _handle_tensorloom_error)
    app.add_exception_handler(RequestValidationError, _handle_validation_error)
    app.add_exception_handler(HTTPException, _handle_http_exception)
    app.add_exception_handler(Exception, _handle_unexpected)


def error_body(error: TensorloomError) -> dict[str, Any]:
    """Builds OpenAI's error object for `error`."""
    return _error_object(error.message, error.type, error.param, error.code)


def as_client_error(error: Exception) -> TensorloomError:
    """Returns `error` if it is meant for clients; else logs it and returns one without its details."""
    if isinstance(error, TensorloomError):
        return error
    logger.error("A request failed unexpectedly.", exc_info=error)
    return TensorloomError("The server failed while it processed this request.")


def _error_object(message: str, kind: str, param: str | None, code: str | None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def _error_response(error: TensorloomError) -> JsonResponse:
    headers = {} if error.retry_after_s is None else {"retry-after": str(error.retry_after_s)}
    return JsonResponse(error_body(error), error.status, headers)


def _handle_tensorloom_error(_: Request, error: Exception) -> JsonResponse:
    assert isinstance(error, TensorloomError)
    return _error_response(error)


def _handle_unexpected(_: Request, error: Exception) -> JsonResponse:
    return _error_response(as_client_error(error))


def _handle_http_exception(request: Request, error: Exception) -> JsonResponse:
    assert isinstance(error, HTTPException)
    message, code = _http_message(request, error)
    body = _error_object(message, RequestError.type, None, code)
    return JsonResponse(body, error.status_code, dict(error.headers or {}))


def _http_message(request: Request, error: HTTPException) -> tuple[str, str | None]:
    """Returns the message and the code of an error that FastAPI or a middleware raised."""
    asked = f"{request.method} {request.url.path}"
    match error.status_code:
        case 400:
            return NOT_A_JSON_OBJECT, RequestError.code
        case 404:
            return f"Unknown request URL: {asked}.", "unknown_url"
        case 405:
            return f"The URL does not allow this method: {asked}.", "method_not_allowed"
        case 413:
            return str(error.detail), "request_too_large"
        case _:
            return str(error.detail), None


def _handle_validation_error(_: Request, error: Exception) -> JsonResponse:
    assert isinstance(error, RequestValidationError)
    return _error_response(_as_request_error(error.errors()))


def _as_request_error(failures: Sequence[Mapping[str, Any]]) -> RequestError:
    """Converts pydantic's failures: the message names the first value at fault and what is allowed."""
    failure = failures[0]
    param = _param(failure["loc"])
    if param is None or failure["type"] == "json_invalid":
        return RequestError(NOT_A_JSON_OBJECT)
    return RequestError(_validation_message(failure, param), param)


def _param(location: Sequence[str | int]) -> str | None:
    """Spells a location: `("body", "messages", 0, "role")` becomes `messages[0].role`."""
    param = ""
    for part in location[1:]:
        param += f"[{part}]" if isinstance(part, int) else f".{part}" if param else str(part)
    return param or None


def _validation_message(failure: Mapping[str, Any], param: str) -> str:
    match failure["type"]:
        case "missing":
            return f"Missing required parameter: {param!r}."
        case "extra_forbidden":
            return f"Unrecognized request argument supplied: {param}"
        case _:
            reason = failure["msg"].removeprefix("Value error, ")
            return f"Invalid value for {param!r}: {reprlib.repr(failure['input'])}. {reason}."
