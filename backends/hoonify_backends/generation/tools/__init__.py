"""How models write calls of functions: a parser, a grammar and a description for each format, by name.

A format is what an operator names as a model's ``tool_parser``:

- ``hermes``: Qwen 2.5, Qwen 3, QwQ, Hermes. ``<tool_call>{"name": …, "arguments": {…}}</tool_call>``
- ``mistral``: Mistral. ``[TOOL_CALLS][{"name": …, "arguments": {…}}]`` or ``[TOOL_CALLS]name[ARGS]{…}``
- ``llama3_json``: Llama 3.1 and later. ``{"name": …, "parameters": {…}}``
- ``pythonic``: Llama 3.2, Llama 4. ``[f(a=1), g(b="x")]``
- ``json``: a plain format of our own, for models that were never taught one.

Parsers read text, so markers that are special tokens of a model must be written out by its detokenizer:
``<tool_call>`` and ``</tool_call>``, ``[TOOL_CALLS]``, ``[ARGS]`` and ``[CALL_ID]``, ``<|python_tag|>``.
``Structures.visible`` names those that the model at hand has.
"""
