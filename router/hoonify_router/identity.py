"""Names for requests and answers."""

from __future__ import annotations

import os
import random
import re

_SANE = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Names:
    """Makes ids that are unique, not secret; one per gateway process."""

    def __init__(self) -> None:
        self._bits = random.Random(os.urandom(32)).getrandbits

    def request_id(self, wanted: str | None) -> str:
        """Return the client's own id where it is sane, else a new one."""
        if wanted is not None and _SANE.fullmatch(wanted):
            return wanted
        return f"req_{self._bits(96):024x}"

    def completion_id(self) -> str:
        """Return a new id for an answer."""
        return f"chatcmpl-{self._bits(128):032x}"
