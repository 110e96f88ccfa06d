"""``python -m flowpack_serving.health``: exit status 0 where the server answers that it is healthy, else 1.

An image needs no curl for its health check. Only the standard library loads, since it runs every few seconds.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping


def is_healthy(environ: Mapping[str, str], timeout: float = 5.0) -> bool:
    host = environ.get("FLOWPACK_HOST", "")
    connection = http.client.HTTPConnection(
        "127.0.0.1" if host in ("", "0.0.0.0") else "::1" if host == "::" else host,  # noqa: S104
        int(environ.get("FLOWPACK_PORT") or 8080),
        timeout=timeout,
    )
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(0 if is_healthy(os.environ) else 1)
