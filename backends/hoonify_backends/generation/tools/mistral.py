"""The formats of Mistral: a list of JSON calls behind a marker, or a name and arguments behind markers."""

from __future__ import annotations

from collections.abc import Generator

from hoonify_backends.generation.tools.json_calls import JsonCallParser, Malformed
from hoonify_backends.generation.tools.parsing import Incomplete, Steps

CALLS = "[TOOL_CALLS]"
CALL_ID = "[CALL_ID]"
ARGUMENTS = "[ARGS]"


class MistralParser(JsonCallParser):
    """``[TOOL_CALLS][{"name": …, "arguments": {…}}]``, and the newer ``[TOOL_CALLS]name[ARGS]{…}``."""

    def _parse(self) -> Steps:
        while (yield from self._find(CALLS)):
            calls = self.calls
            try:
                first = yield from self._skip_blanks()
                if first == "[":
                    yield from self._list()
                elif first == "{":
                    yield from self._call(sure=True)
                else:
                    yield from self._named()
            except (Malformed, Incomplete):
                pass
            # Of a call that has begun nothing can be taken back; anything else is text.
            self._give_back(len(CALLS) if self.calls == calls else 0)
        return True

    def _list(self) -> Generator[None, None, None]:
        self._at += 1
        while (yield from self._call(sure=True)):
            self._mark = self._at
            behind = yield from self._skip_blanks()
            if behind not in ",]":
                break
            self._at += 1
            if behind == "]":
                self._mark = None
                break

    def _named(self) -> Generator[None, None, None]:
        name = ""
        while (character := (yield from self._peek())) not in "[{ \n":
            name += character
            if len(name) > self._longest:
                raise Malformed
            self._at += 1
        if name not in self._offered:
            raise Malformed
        yield from self._skip_blanks()
        if (yield from self._peek()) == "[" and not (yield from self._markers()):
            raise Malformed
        if (yield from self._skip_blanks()) != "{":
            raise Malformed
        self._begin(name)
        yield from self._value(stream=True)

    def _markers(self) -> Steps:
        """Read the markers between a name and its arguments; the model's own number of a call is of no use."""
        self._at += 1
        if (yield from self._peek()) == "C":
            if not (yield from self._take(CALL_ID[1:])):
                return False
            while (yield from self._peek()) != "[":
                self._at += 1
            self._at += 1
        return (yield from self._take(ARGUMENTS[1:]))
