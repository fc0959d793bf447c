"""A web server on this machine that misbehaves as archives do."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Request:
    """What the server was asked.

    Args:
        path: With the query.
        headers: By lower-case name.
        when: Seconds of a monotonic clock.
        body: What was sent with it.
    """

    path: str
    headers: dict[str, str]
    when: float
    body: bytes = b""


@dataclass
class Archive:
    """Files by path, and what is wrong with the server.

    Args:
        files: Content of each path, without the query.
        answer: Called with handler, content and number of the request (from 0); False if it left the answer to
            the server as it should be.
        tag: ETag, or None if it has none.
        ranges: Whether it knows them.
        requests: What it was asked.
    """

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    answer: Callable[[BaseHTTPRequestHandler, bytes, int], bool] = lambda handler, content, number: False
    tag: str | None = '"one"'
    ranges: bool = True
    requests: list[Request] = field(default_factory=list)

    def respond(self, handler: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in handler.headers.items()}
        number = len(self.requests)
        body = handler.rfile.read(int(headers.get("content-length", 0)))
        self.requests.append(Request(handler.path, headers, time.monotonic(), body))
        content = self.files.get(handler.path.partition("?")[0])
        if content is None:
            handler.send_error(404)
        elif not self.answer(handler, content, number):
            self.give(handler, content, headers)

    def give(self, handler: BaseHTTPRequestHandler, content: bytes, headers: dict[str, str]) -> None:
        """A file, or the rest of it where that is still the same (RFC 9110, 13.1.5)."""
        wanted = headers.get("range", "")
        fresh = headers.get("if-range", self.tag) == self.tag
        start = int(wanted[6:-1]) if self.ranges and wanted and fresh else 0
        if start >= len(content):
            send(handler, 416, b"")
        elif start:
            extra = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            send(handler, 206, content[start:], self.tag, **extra)
        else:
            send(handler, 200, content, self.tag)


def send(
    handler: BaseHTTPRequestHandler,
    code: int,
    body: bytes,
    tag: str | None = None,
    *,
    length: int | None = None,
    kind: str = "application/fits",
    **headers: str,
) -> None:
    """Answer; ``length`` is what the header claims, whatever the body has."""
    handler.send_response(code)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    if tag is not None:
        handler.send_header("ETag", tag)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)
    if length is not None:
        handler.close_connection = True


@contextmanager
def running() -> Iterator[Archive]:
    """The server, until the end of the block."""
    archive = Archive()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # noqa: N802 - the library's name
            try:
                archive.respond(self)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

        do_POST = do_GET  # noqa: N815 - the library's name

        def log_message(self, format: str, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False

        def handle_error(self, request: Any, client_address: Any) -> None:
            """A client that leaves is what is being tested."""

    server = Server(("127.0.0.1", 0), Handler)
    archive.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield archive
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
