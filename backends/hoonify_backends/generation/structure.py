"""What a request asks of its answer's structure: JSON of a schema, calls of functions, or plain text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from hoonify_backends.generation.grammar import Grammars, json_rule
from hoonify_backends.generation.sampling import Constraint
from hoonify_backends.generation.schema import read_schema, refuse_schema
from hoonify_backends.generation.tools.call_grammar import Calls
from hoonify_backends.generation.tools.choice import Offer, read_choice
from hoonify_backends.generation.tools.formats import ToolFormat, tool_format
from hoonify_backends.generation.tools.parsing import CallParser, Piece
from hoonify_router.errors import InvalidRequest, InvalidType, InvalidValue, Unsupported
from hoonify_router.types import ChatRequest, FinishReason

HONOURED = frozenset({"parallel_tool_calls", "response_format", "tool_choice", "tools"})
"""Request fields that are honoured here."""

_SCHEMA = "response_format.json_schema.schema"
_ANY_OBJECT: dict[str, Any] = {"type": "object"}
_NOTHING: dict[str, Any] = {"type": "object", "properties": {}, "additionalProperties": False}


class Output(Protocol):
    """Tells calls of functions from text while one answer grows."""

    def push(self, text: str) -> list[Piece]:
        """Take the next text and return what is certain now: text, and pieces of calls with index 0."""

    def finish(
        self, reason: FinishReason, *, cut: bool = False
    ) -> tuple[list[Piece], FinishReason]:
        """Return what was held back, and why the answer ended: ``tool_calls`` where it made calls.

        Args:
            reason: What its tokens say.
            cut: Whether a stop text ended it, maybe in the middle of a call.
        """


class Structure:
    """One request's wishes, read and checked.

    Args:
        tools: What the chat template is told of, in OpenAI's form; ``None`` is no tools.
        new_constraint: Makes a constraint.
        new_parser: Makes a parser of calls.
    """

    def __init__(
        self,
        tools: list[dict[str, Any]] | None = None,
        new_constraint: Callable[[], Constraint] | None = None,
        new_parser: Callable[[], CallParser] | None = None,
    ) -> None:
        self.tools = tools
        self._new_constraint = new_constraint
        self._new_parser = new_parser

    def constraint(self) -> Constraint | None:
        """Return what lets only fitting tokens through, fresh for each answer; ``None`` lets all through.

        It comes after every other processor. ``apply`` raises a ``RouterError`` when the constraint got too
        complex to follow: the request fails then.
        """
        return None if self._new_constraint is None else self._new_constraint()

    def output(self) -> Output | None:
        """Return what parses one answer's text, fresh for each; ``None`` where all of it is text."""
        return None if self._new_parser is None else CallOutput(self._new_parser())


class CallOutput:
    """The output of an answer that may hold calls.

    Args:
        parser: Reads the format in which the model writes them.
    """

    def __init__(self, parser: CallParser) -> None:
        self._parser = parser
        self.push = parser.push

    def finish(
        self, reason: FinishReason, *, cut: bool = False
    ) -> tuple[list[Piece], FinishReason]:
        """Return what was held back, and why the answer ended.

        An answer that was cut short stays one, also where it made calls: the last may be incomplete. One
        that a stop text cut has made calls if the last of them is whole.
        """
        pieces = self._parser.finish()
        if reason == "stop" and self._parser.calls and not (cut and self._parser.in_call):
            reason = "tool_calls"
        return pieces, reason


class Structures:
    """Reads requests for one model.

    Args:
        tokenizer: The model's ``tokenizers.Tokenizer``.
        vocabulary: How many scores the model gives for each token; may be more than the tokenizer knows.
        eos: Tokens that end an answer.
        tool_parser: Name of the format in which the model writes calls; ``None`` if it has none.

    Raises:
        ValueError: There is no such format.
    """

    def __init__(
        self,
        tokenizer: Any,
        vocabulary: int,
        eos: frozenset[int],
        tool_parser: str | None = None,
    ) -> None:
        self._format: ToolFormat = tool_format(tool_parser)
        self._taught = tool_parser is not None
        self._grammars = Grammars(tokenizer, vocabulary, eos)
        tokens = map(self._grammars.token, self._format.markers if self._taught else ())
        self.visible = frozenset(token for token in tokens if token is not None)
        """Special tokens that an answer's text must show: what parses it looks for them."""

    def read(self, request: ChatRequest) -> Structure:
        """Return the structure that a request asks for.

        Nearly always this takes well under a millisecond, but a large schema takes up to half a second.

        Raises:
            InvalidRequest: Or one of its kinds, with ``param``: the schema or the tools cannot be used.
        """
        answer = _answer_schema(request)
        offer = read_choice(request)
        if offer is None:
            if answer is None:
                return Structure()
            grammar = f"start: {json_rule(answer)}"
            return Structure(None, self._constraint(request, grammar, _answer_param(request)))
        if not offer.forced and not self._taught:
            raise Unsupported(
                "This model cannot decide by itself when to call a tool. Set 'tool_choice' to"
                " 'required' or to one of the functions; or its operator names a 'tool_parser' in the"
                " model's options.",
                param="tools",
            )
        return Structure(
            [dict(tool) for tool in offer.tools],
            self._call_constraint(request, offer, answer),
            lambda: self._format.new_parser(offer.names, forced=offer.forced),
        )

    def _call_constraint(
        self, request: ChatRequest, offer: Offer, answer: dict[str, Any] | None
    ) -> Callable[[], Constraint] | None:
        if not (offer.forced or offer.strict or not offer.several or answer is not None):
            return None
        functions, params = [], []
        for place, tool in zip(offer.places, offer.tools, strict=True):
            function = tool["function"]
            params.append(f"tools[{place}].function.parameters")
            schema = _ANY_OBJECT  # what is not strict is told to the model only
            if offer.forced or function.get("strict"):
                schema = _arguments_schema(function.get("parameters"), params[-1])
            functions.append((function["name"], schema))
        calls = Calls(functions, offer.forced, offer.several, answer)
        grammar = self._format.grammar(calls, self._grammars)
        param = params[0] if len(params) == 1 else "tools"
        try:
            return self._constraint(request, grammar, param)
        except InvalidRequest as exc:
            if exc.param == "tools":  # one of them: find out which
                for own, (_, schema) in zip(params, functions, strict=True):
                    self._grammars.check(f"start: {json_rule(schema)}", own)
            if answer is not None:
                self._grammars.check(f"start: {json_rule(answer)}", _answer_param(request))
            raise

    def _constraint(
        self, request: ChatRequest, grammar: str, param: str
    ) -> Callable[[], Constraint]:
        if request.ignore_eos:
            raise InvalidValue(
                "Invalid value for 'ignore_eos': a structured answer ends where its structure ends.",
                param="ignore_eos",
            )
        self._grammars.check(grammar, param)
        return lambda: self._grammars.constraint(grammar, param)


def _answer_param(request: ChatRequest) -> str:
    form = request.response_format or {}
    return _SCHEMA if form.get("type") == "json_schema" else "response_format"


def _answer_schema(request: ChatRequest) -> dict[str, Any] | None:
    """Return the schema of the answer's text; ``None`` where any text will do."""
    form = request.response_format
    kind = None if form is None else form.get("type")
    if form is None or kind == "text":
        return None
    if kind == "json_object":
        return _ANY_OBJECT
    if kind != "json_schema":
        raise InvalidValue(
            "Invalid value for 'response_format.type': it must be text, json_object or json_schema.",
            param="response_format.type",
        )
    named = form.get("json_schema")
    if not isinstance(named, dict):
        raise InvalidType(
            "Invalid type for 'response_format.json_schema': expected an object.",
            param="response_format.json_schema",
        )
    schema = named.get("schema")
    if schema is None:
        return _ANY_OBJECT
    if not isinstance(schema, dict):
        raise InvalidRequest(
            f"Invalid schema for '{_SCHEMA}': it must be an object.", param=_SCHEMA
        )
    return read_schema(schema, _SCHEMA)


def _arguments_schema(parameters: Any, param: str) -> dict[str, Any]:
    """Return the schema of a function's arguments; a function without parameters takes none."""
    if parameters is None:
        return _NOTHING
    if not isinstance(parameters, dict):
        refuse_schema(param, "it must be an object.")
    if parameters.get("type", "object") != "object":
        refuse_schema(param, "the arguments of a function are of type 'object'.")
    return {"type": "object", **read_schema(parameters, param)}
