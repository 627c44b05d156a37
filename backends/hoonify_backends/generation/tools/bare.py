"""Calls that are the whole answer: JSON objects without tags, one after another."""

from __future__ import annotations

from hoonify_backends.generation.tools.json_calls import JsonCallParser
from hoonify_backends.generation.tools.parsing import Incomplete, Steps

PYTHON_TAG = "<|python_tag|>"


class BareParser(JsonCallParser):
    """``{"name": …, "arguments": …}`` at the beginning of the answer; more may follow, one to a line."""

    separators = ",;"

    def _parse(self) -> Steps:
        self._mark = self._at
        try:
            found = (yield from self._skip_blanks()) == "{" and (
                yield from self._calls(self._forced)
            )
        except Incomplete:
            found = False
        if not found:
            self._give_back()
        return found

    def _calls(self, sure: bool) -> Steps:
        """Read one call and those that follow it; ``_mark`` stays where it is if there is none."""
        found = False
        try:
            while (yield from self._call(sure)):
                found = True
                self._mark = self._at
                if (yield from self._skip_blanks()) in self.separators:
                    self._at += 1
                if (yield from self._skip_blanks()) != "{":
                    break
        except Incomplete:
            pass
        if found:
            self._give_back()  # what looked like the next one
        return found


class Llama3Parser(BareParser):
    """The format of Llama 3: ``{"name": …, "parameters": …}``, with or without its tag before it."""

    def _parse(self) -> Steps:
        yield from super()._parse()
        while (yield from self._find(PYTHON_TAG)):
            if not (yield from self._calls(sure=True)):
                self._give_back(len(PYTHON_TAG))
        return True
