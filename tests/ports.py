"""Ports for routers that tests start."""

from __future__ import annotations

import random
import socket

_BELOW_CLIENTS = range(20000, 32768)  # the system gives clients' ends of connections higher ones


def free_port() -> int:
    """Return a port at which nobody listens.

    Whoever it is for binds it a second or two later; a port that the system draws may be a client's by then.
    """
    while True:
        port = random.SystemRandom().choice(_BELOW_CLIENTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
