"""A single value that is not what its field wants is told with its line and what stands there."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import GOOD, changed

Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(
            GOOD + "server: {port: http}\n",
            ['7: server.port: must be a whole number, got "http"'],
            id="port-text",
        ),
        pytest.param(
            GOOD + 'server: {port: "8000"}\n',
            ['7: server.port: must be a whole number, got "8000"'],
            id="port-quoted",
        ),
        pytest.param(
            GOOD + "server:\n  port: 65536\n",
            ["8: server.port: must be at most 65535, got 65536"],
            id="port-high",
        ),
        pytest.param(
            GOOD + "server:\n  port: -1\n",
            ["8: server.port: must be at least 0, got -1"],
            id="port-negative",
        ),
        pytest.param(
            GOOD + "server:\n  port: true\n",
            ["8: server.port: must be a whole number, got true"],
            id="port-bool",
        ),
        pytest.param(
            GOOD + "server:\n  port: 80.5\n",
            ["8: server.port: must be a whole number, got 80.5"],
            id="port-float",
        ),
        pytest.param(
            GOOD + "server:\n  port:\n    - 80\n",
            ["8: server.port: must be a whole number, got a list"],
            id="port-list",
        ),
        pytest.param(
            GOOD + "server: {host: 127}\n",
            ["7: server.host: must be a text, got 127; put it in quotes"],
            id="host-number",
        ),
        pytest.param(
            GOOD + "server: {host: ''}\n", ["7: server.host: must not be empty"], id="host-empty"
        ),
        pytest.param(
            GOOD + "server: {host: }\n",
            ["7: server.host: must be a text, got nothing"],
            id="host-nothing",
        ),
        pytest.param(
            GOOD + "server: {workers: 0}\n",
            ["7: server.workers: must be at least 1, got 0"],
            id="workers",
        ),
        pytest.param(
            GOOD + "server: {max_body_bytes: 10}\n",
            ["7: server.max_body_bytes: must be at least 1024, got 10"],
            id="max_body",
        ),
        pytest.param(
            GOOD + "server: {max_body_bytes: 99999999999999999999}\n",
            ["7: server.max_body_bytes: must be a smaller number, got 99999999999999999999"],
            id="max_body-huge",
        ),
        pytest.param(
            GOOD + "server: {ping_interval: 15 minutes}\n",
            [
                '7: server.ping_interval: must be a duration such as 30s, 15m or 2h, got "15 minutes"'
            ],
            id="ping-dur",
        ),
        pytest.param(
            GOOD + "server: {ping_interval: -1}\n",
            ["7: server.ping_interval: must be a duration such as 30s, 15m or 2h, got -1"],
            id="ping-neg",
        ),
        pytest.param(
            GOOD + "server: {ping_interval: yes}\n",
            ['7: server.ping_interval: must be a duration such as 30s, 15m or 2h, got "yes"'],
            id="ping-bool",
        ),
        pytest.param(
            GOOD + "server: {ping_interval: .inf}\n",
            [
                "7: server.ping_interval: must be a duration such as 30s, 15m or 2h, of a sane size, got inf"
            ],
            id="ping-inf",
        ),
        pytest.param(
            GOOD + "backends: {parrot: {load_stall: 0s}}\n",
            ['7: backends.parrot.load_stall: must be more than 0, got "0s"'],
            id="load_stall-zero",
        ),
        pytest.param(
            changed("4096", "128K"),
            ['4: models.polly.context_length: must be a whole number, got "128K"'],
            id="context-text",
        ),
        pytest.param(
            changed("4096", "0"),
            ["4: models.polly.context_length: must be at least 1, got 0"],
            id="context-zero",
        ),
        pytest.param(
            changed("4096", ".nan"),
            ["4: models.polly.context_length: must be a whole number, got nan"],
            id="context-nan",
        ),
        pytest.param(
            GOOD + "    pricing: {input: -1, output: free}\n",
            [
                "7: models.polly.pricing.input: must be at least 0, got -1",
                '7: models.polly.pricing.output: must be a number, got "free"',
            ],
            id="pricing-negative",
        ),
        pytest.param(
            GOOD + "    pricing: {input: .inf, output: 1}\n",
            ["7: models.polly.pricing.input: must be a finite number, got inf"],
            id="pricing-inf",
        ),
        pytest.param(
            GOOD + "    modalities: [text, images]\n",
            [
                '7: models.polly.modalities[1]: must be one of image, text, got "images", did you mean image?'
            ],
            id="modalities",
        ),
        pytest.param(
            GOOD + "    start: on-demand\n",
            [
                '7: models.polly.start: must be one of always, on_demand, got "on-demand", did you mean on_demand?'
            ],
            id="start",
        ),
        pytest.param(
            GOOD + "    start: false\n",
            ["7: models.polly.start: must be one of always, on_demand, got false"],
            id="start-bool",
        ),
        pytest.param(
            GOOD + "    created: 22.5.2024\n",
            [
                "7: models.polly.created: must be a day such as 2025-07-21, or a Unix time,"
                ' got "22.5.2024"'
            ],
            id="created",
        ),
        pytest.param(
            GOOD + "    description: [a]\n",
            ["7: models.polly.description: must be a text, got a list"],
            id="description-list",
        ),
        pytest.param(
            changed("{model: ./polly}", "{model: ./polly, warm_up: 0}"),
            ["6: models.polly.options.warm_up: must be more than 0, got 0"],
            id="options-duration",
        ),
        pytest.param(
            changed("{model: ./polly}", "{model: ./polly, device: gpu}"),
            [
                '6: models.polly.options.device: must be one of cpu, cuda, got "gpu", did you mean cpu?'
            ],
            id="options-literal",
        ),
        pytest.param(
            changed("{model: ./polly}", "{model: ./polly, device: cud}"),
            [
                '6: models.polly.options.device: must be one of cpu, cuda, got "cud", did you mean cuda?'
            ],
            id="options-literal-near",
        ),
        pytest.param(
            changed("{model: ./polly}", "{model: ./polly, quantization: int4}"),
            ['6: models.polly.options.quantization: must be fp8, got "int4"'],
            id="options-one-literal",
        ),
        pytest.param(
            changed("parrot\n", "remote\n    url: http://x\n    api_key: 12345\n"),
            ["7: models.polly.api_key: must be a text, got a secret (not shown); put it in quotes"],
            id="secret",
        ),
        pytest.param(
            changed("parrot\n", "remote\n    url: 30000\n"),
            ["6: models.polly.url: must be a text, got 30000; put it in quotes"],
            id="url-number",
        ),
        pytest.param(
            changed("parrot", "3"),
            ["5: models.polly.backend: must be a text, got 3; put it in quotes"],
            id="backend-number",
        ),
    ],
)
def test_a_wrong_value_is_one_exact_line(problems: Problems, text: str, lines: list[str]) -> None:
    """The line names file, line, path, what is wanted and what was found."""
    assert problems(text) == [f"router.yaml:{line}" for line in lines]
