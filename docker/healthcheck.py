"""The container's health: exit code 0 where the worker in it serves, as its own /readyz says.

In Python, because the image has no curl; `http.client`, because nothing may send this through a proxy.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

PORT = int(os.environ.get("INTENTSTREAM_METRICS_PORT") or 9100)
TIMEOUT_S = 4.0


def problem(port: int) -> str | None:
    """Return why the worker does not serve, None where it does."""
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/readyz")
        response = connection.getresponse()
        body = response.read().decode(errors="replace")
    except (OSError, HTTPException) as error:
        return f"no answer: {error}"
    finally:
        connection.close()
    return None if response.status == 200 else body


if __name__ == "__main__":
    sys.exit(problem(PORT))
