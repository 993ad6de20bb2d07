"""HTTP server of the page: loopback only, a token in every request, and errors as one sentence.

The page shows names and labels of tables that come from other people, and any program on the machine can reach the port. So
a request needs the token, the name of the host has to be that of this machine, and the page loads nothing but its own files.
"""

from __future__ import annotations

import json
import secrets
import socket
import threading
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import DataError, FileError, FlowError, brief, shortened
from .explore import Samples

HOST = "127.0.0.1"
"""Address of the server, which no other machine can reach."""
MOST_BYTES = 1_000_000
"""Size of the body of a request."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Answers(Protocol):
    """Content of a page: the name of its files, and the functions that answer its questions."""

    page: ClassVar[str]

    @property
    def questions(self) -> Mapping[str, Callable[[Mapping[str, Any]], Any]]:
        """Functions from a question to an answer by name."""
        ...


def new_token() -> str:
    """Return a random token for the address of a page."""
    return secrets.token_urlsafe(24)


def listen(port: int | None = None) -> socket.socket:
    """Return a socket that listens on this machine only.

    Args:
        port: Port; None for a free one.

    Raises:
        FileError: The port cannot be used.
    """
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((HOST, port or 0))
        found.listen(64)
    except OSError as error:
        found.close()
        reason = (error.strerror or str(error)).lower()
        raise FileError(f"expected a free port, got {port}: {reason}; choose another one with --port") from None
    return found


def address(listening: socket.socket, token: str) -> str:
    """Return the address of the page, with the token."""
    return f"http://{HOST}:{listening.getsockname()[1]}/?token={token}"


def server(explorer: Answers, listening: socket.socket, token: str) -> uvicorn.Server:
    """Return a server of a page, whose `run(sockets=[...])` serves until it is interrupted.

    Args:
        explorer: Model and rows of the page.
        listening: Socket, from `listen`.
        token: Token that every request needs.
    """
    app = Guard(application(explorer, token), token, listening.getsockname()[1])
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


def application(explorer: Answers, token: str) -> Starlette:
    """Return the application: the files of the page, and a route for each question."""
    lock = threading.Lock()

    def asked(answer: Callable[[Mapping[str, Any]], Any]) -> Callable[[Request], Awaitable[Response]]:
        def locked(body: dict[str, Any]) -> Any:
            # The draws of torch share one random state.
            with lock:
                return answer(body)

        async def route(request: Request) -> Response:
            try:
                return _response(await run_in_threadpool(locked, await _body(request)))
            except FlowError as error:
                return _refusal(400, " ".join(str(error).split()))
            except MemoryError:
                return _refusal(400, "the memory of this machine is not enough; ask for fewer rows")
            except HTTPException:
                raise
            except Exception as error:  # no traceback leaves this process
                return _refusal(500, f"the answer could not be computed: unexpected {type(error).__name__}")

        return route

    def file(name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
        text = (Path(__file__).parent / name).read_text(encoding="utf-8").replace("{{ token }}", token)

        async def route(request: Request) -> Response:
            return Response(text, media_type=kind)

        return route

    files = {
        "": (f"{explorer.page}.html", "text/html"),
        f"{explorer.page}.js": (f"{explorer.page}.js", "text/javascript"),
        "common.js": ("common.js", "text/javascript"),
        "page.css": ("page.css", "text/css"),
    }
    routes = [Route(f"/{path}", file(*found), methods=["GET"]) for path, found in files.items()]
    routes += [Route(f"/api/{name}", asked(answer), methods=["POST"]) for name, answer in explorer.questions.items()]
    return Starlette(routes=routes, exception_handlers={HTTPException: _http_error})


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return _refusal(error.status_code, f"{shortened(request.url.path, 100)}: {error.detail.lower()}")


async def _body(request: Request) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        DataError: It is none, or too large.
    """
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > MOST_BYTES:
            raise DataError(f"expected at most {MOST_BYTES:,} bytes in the question, got more")
    try:
        found = json.loads(parts.decode("utf-8"), parse_constant=_no_constant)
        json.dumps(found, ensure_ascii=False).encode("utf-8")
    except (ValueError, RecursionError):
        raise DataError(
            "expected a JSON object in UTF-8 without NaN and infinite numbers, got something else"
        ) from None
    if not isinstance(found, dict):
        raise DataError(f"expected a JSON object, got {brief(found)}")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _response(answer: Any) -> Response:
    if not isinstance(answer, Samples):
        return JSONResponse(answer)
    headers = {
        "Content-Disposition": 'attachment; filename="samples.csv"',
        "X-Rows": str(answer.count),
        "X-Acceptance": f"{answer.acceptance:.6g}",
    }
    return Response(answer.text, media_type="text/csv", headers=headers)


def _refusal(status: int, sentence: str) -> Response:
    return JSONResponse({"error": shortened(sentence)}, status_code=status)


class Guard:
    """Gate before the application, which refuses requests without the token, or for another host.

    The name of the host is compared because a page from elsewhere can give its own name the address of this machine (DNS
    rebinding), and would then be of the same origin.

    Args:
        app: Application behind it.
        token: Token, in the query or in the header X-Token.
        port: Port of the server.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self.app, self.token = app, token.encode()
        self.hosts = {f"{name}:{port}".encode() for name in (HOST, "localhost")}
        self.origins = {b"http://" + host for host in self.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or hand it on."""

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *extra]}
            await send(message)

        if scope["type"] != "http":
            return
        problem = self._problem(scope)
        app: ASGIApp = self.app if problem is None else _refusal(403, problem)
        await app(scope, receive, sent)

    def _problem(self, scope: Scope) -> str | None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name, []).append(value)
        if len(headers.get(b"host", ())) != 1 or headers[b"host"][0] not in self.hosts:
            return "expected the address that the command printed, got another host"
        if any(origin not in self.origins for origin in headers.get(b"origin", ())):
            return "expected a request from the page itself, got one from another site"
        tokens = [value.encode() for value in parse_qs(scope["query_string"].decode("latin-1")).get("token", ())]
        given = (tokens + headers.get(b"x-token", []))[:1]
        if not given or not secrets.compare_digest(given[0], self.token):
            return "expected the token of the address that the command printed, got none or another one"
        return None
