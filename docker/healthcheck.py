"""The container's health check: exit code 0 if the worker's /readyz says that it serves.

It is in Python because the image has no curl. It uses `http.client` because that ignores proxy settings.
"""

from __future__ import annotations

import os
import sys
from http.client import HTTPConnection, HTTPException

PORT = int(os.environ.get("INTENTSTREAM_METRICS_PORT") or 9100)
TIMEOUT_S = 4.0


def problem(port: int) -> str | None:
    """Return the reason why the worker does not serve, or None if it serves."""
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
