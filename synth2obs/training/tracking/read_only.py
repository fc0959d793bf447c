"""A server of MLflow's pages that shows a store and changes nothing in it: ADDRESS PORT.

It listens on this machine only, but whoever else works on the machine reaches it, too. MLflow's own server would take
files from them, and experiments whose artifacts are any folder of the person who started it.
"""

import os
import re
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

HOST = "127.0.0.1"

READING = ("GET", "HEAD", "OPTIONS")

ASKING = re.compile(
    r"/(ajax-)?api/\d\.\d/?mlflow/[\w/-]+/(search|search-datasets|batchGetInfos|get-latest-versions)|/graphql"
)
"""Paths of requests that ask in a body: the pages search by them."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


class ReadOnly:
    """Passes on what reads, and refuses everything else.

    Args:
        app: What answers.
    """

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or _reads(str(scope["method"]), str(scope["path"])):
            await self.app(scope, receive, send)
            return
        text = b"this server shows a store and changes nothing in it; use synth2obs or MLflow's client on its folder"
        head = [(b"content-type", b"text/plain"), (b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 403, "headers": head})
        await send({"type": "http.response.body", "body": text})


def _reads(method: str, path: str) -> bool:
    return method in READING or (method == "POST" and ASKING.fullmatch(path) is not None)


def main(address: str, port: int) -> None:
    """Serve until a signal ends it.

    Args:
        address: Of the store.
        port: TCP port.
    """
    import uvicorn
    from mlflow.server.constants import ARTIFACT_ROOT_ENV_VAR, BACKEND_STORE_URI_ENV_VAR

    os.environ |= {BACKEND_STORE_URI_ENV_VAR: address, ARTIFACT_ROOT_ENV_VAR: os.devnull}
    from mlflow.server.fastapi_app import app

    uvicorn.run(ReadOnly(app), host=HOST, port=port, log_level="warning")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
