"""The format of Qwen 2.5, Qwen 3, QwQ and Hermes: JSON between tags, anywhere in the text."""

from __future__ import annotations

from hoonify_backends.generation.tools.json_calls import JsonCallParser
from hoonify_backends.generation.tools.parsing import Incomplete, Steps

OPEN = "<tool_call>"
CLOSE = "</tool_call>"


class HermesParser(JsonCallParser):
    """``<tool_call>{"name": …, "arguments": …}</tool_call>``, once for each call."""

    def _parse(self) -> Steps:
        while (yield from self._find(OPEN)):
            if (yield from self._call(sure=True)):
                yield from self._close()
            else:
                self._give_back(len(OPEN))
        return True

    def _close(self) -> Steps:
        """Read the closing tag; a model that leaves it out is forgiven, also where the answer is cut."""
        self._mark = self._at
        try:
            yield from self._skip_blanks()
            closed = yield from self._take(CLOSE)
        except Incomplete:
            closed = True
        if closed:
            self._mark = None
        else:
            self._give_back()
        return closed
