"""Keys, shapes and Structs: unknown, missing, of the wrong kind."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import GOOD, Load, changed

Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(
            "models:\n  polly:\n  echo:\n",
            [
                "2: models.polly: must be a mapping, got nothing",
                "3: models.echo: must be a mapping, got nothing",
            ],
            id="model-null",
        ),
        pytest.param("server: {port: 1}\n", ["1: models: is required"], id="models-missing"),
        pytest.param(
            "modles:\n" + GOOD.split("\n", 1)[1],
            ["1: modles: unknown key, did you mean models?"],
            id="models-missing-but-misspelt",
        ),
        pytest.param(
            GOOD + "logging: {}\n",
            [
                "7: logging: unknown key; known here: models, server, pipeline, plugins, backends, containment"
            ],
            id="unknown-root-key",
        ),
        pytest.param(
            "models:\n  - polly\n", ["1: models: must be a mapping, got a list"], id="models-a-list"
        ),
        pytest.param(
            "models:\n",
            ["1: models: must be a mapping, got nothing"],
            id="models-empty",
        ),
        pytest.param(
            GOOD + "server: 8000\n", ["7: server: must be a mapping, got 8000"], id="server-text"
        ),
        pytest.param(
            GOOD + "server:\n",
            ["7: server: must be a mapping, got nothing; write {} or leave the key out"],
            id="server-empty",
        ),
        pytest.param(
            GOOD + "server: {max-body-bytes: 4096}\n",
            ["7: server.max-body-bytes: unknown key, did you mean max_body_bytes?"],
            id="unknown-with-dash",
        ),
        pytest.param(
            GOOD + "server: {colour: red}\n",
            [
                "7: server.colour: unknown key; known here: host, port, workers, state_dir, max_body_bytes, allow_anonymous, drain_timeout, ping_interval, gpu_budget, gpu_turn, gpu_patience, watch"
            ],
            id="unknown-nothing-close",
        ),
        pytest.param(
            changed("    provider: Nobody\n", ""),
            ["2: models.polly.provider: is required"],
            id="provider-missing",
        ),
        pytest.param(
            changed("provider", "provder"),
            ["3: models.polly.provder: unknown key, did you mean provider?"],
            id="provider-misspelt",
        ),
        pytest.param(
            GOOD + "    pricing: {input: 1}\n",
            ["7: models.polly.pricing.output: is required"],
            id="pricing-partial",
        ),
        pytest.param(
            GOOD + "    modalities: text\n",
            ['7: models.polly.modalities: must be a list, got "text"'],
            id="modalities-text",
        ),
        pytest.param(
            "models:\n  polly: parrot\n",
            ['2: models.polly: must be a mapping, got "parrot"'],
            id="model-is-text",
        ),
        pytest.param(
            changed(
                "    backend: parrot\n    options: {model: ./polly}\n", "    homes: [remote]\n"
            ),
            ['5: models.polly.homes[0]: must be a mapping, got "remote"'],
            id="home-text",
        ),
        pytest.param(
            changed(
                "    backend: parrot\n    options: {model: ./polly}\n",
                "    homes:\n      - weight: 2\n",
            ),
            ["6: models.polly.homes[0].backend: is required"],
            id="home-without-backend",
        ),
        pytest.param(
            GOOD + "    weight: 2\n",
            [
                "7: models.polly.weight: unknown key; known here: provider, context_length, description, modalities, pricing, created, backend, options, url, api_key, python, gpu, gpu_memory, homes, shadow, balance, balance_options, fallback, attempts, timeouts, breaker, start, idle_stop, hold_timeout"
            ],
            id="weight-outside-homes",
        ),
        pytest.param(
            changed("{model: ./polly}", "{model: ./polly, slot: 3}"),
            ["6: models.polly.options.slot: unknown key, did you mean slots?"],
            id="options-unknown",
        ),
        pytest.param(
            changed(
                "{model: ./polly}",
                "\n      model: ./polly\n      sampling:\n        temperature: 3\n        top_q: 1\n",
            ),
            [
                "9: models.polly.options.sampling.temperature: must be at most 2, got 3",
                "10: models.polly.options.sampling.top_q: unknown key; known here: temperature",
            ],
            id="options-nested",
        ),
        pytest.param(
            changed(
                "{model: ./polly}",
                "\n      model: ./polly\n      gpu_split:\n        - 20\n        - lots\n",
            ),
            ['10: models.polly.options.gpu_split[1]: must be a number, got "lots"'],
            id="options-list-item",
        ),
        pytest.param(
            changed("{model: ./polly}", "{model: ./polly, context: lots}"),
            ['6: models.polly.options.context: must be a whole number or auto, got "lots"'],
            id="options-union",
        ),
        pytest.param(
            changed("{model: ./polly}", "{model: ./polly, extra: {a: 1, b: [2]}}"),
            ["6: models.polly.options.extra.b: must be a text or a whole number, got a list"],
            id="options-union-dict",
        ),
        pytest.param(
            changed("{model: ./polly}", "{model: ./polly, lo: 5, hi: 3}"),
            ["6: models.polly.options: lo is 5, that is more than hi, 3"],
            id="options-post",
        ),
        pytest.param(
            changed("{model: ./polly}", "polly"),
            ['6: models.polly.options: must be a mapping, got "polly"'],
            id="options-text",
        ),
        pytest.param(
            changed("{model: ./polly}", ""),
            [
                "6: models.polly.options: must be a mapping, got nothing; write {} or leave the key out"
            ],
            id="options-empty",
        ),
        pytest.param(
            GOOD + "backends: {parrot: {pyhton: python3}}\n",
            ["7: backends.parrot.pyhton: unknown key, did you mean python?"],
            id="backends-key",
        ),
        pytest.param(
            GOOD + "pipeline: keys\n",
            ['7: pipeline: must be a list, got "keys"'],
            id="pipeline-text",
        ),
        pytest.param(
            GOOD + "pipeline: [1]\n",
            ["7: pipeline[0]: must be a text, got 1; put it in quotes"],
            id="pipeline-number",
        ),
        pytest.param(
            GOOD + "plugins:\n  keys:\n",
            ["8: plugins.keys: must be a mapping, got nothing; write {} or leave the key out"],
            id="plugins-empty",
        ),
        pytest.param(
            changed(
                "    backend: parrot\n    options: {model: ./polly}\n",
                "    homes: {backend: parrot}\n",
            ),
            ["5: models.polly.homes: must be a list, got a mapping"],
            id="homes-mapping",
        ),
    ],
)
def test_a_wrong_shape_is_one_exact_line(problems: Problems, text: str, lines: list[str]) -> None:
    """The line names file, line, path, and for a key what it was probably meant to be."""
    assert problems(text) == [f"router.yaml:{line}" for line in lines]


def test_every_problem_is_told_at_once_in_the_order_of_the_file(problems: Problems) -> None:
    """One run shows all there is to repair, from the first line to the last."""
    text = """\
    server: {port: 99999, hots: x}
    pipeline: [keys, key]
    backends:
      parrot:
        options: {slots: many}
    models:
      polly:
        provider: Nobody
        contxt_length: 4096
        backend: parot
        pricing: {input: 1}
      echo:
        context_length: 0
        homes:
          - backend: parrot
            options:
              model: ./echo
              devise: cpu
    """
    assert problems(text) == [
        "router.yaml:1: server.port: must be at most 65535, got 99999",
        "router.yaml:1: server.hots: unknown key, did you mean host?",
        "router.yaml:2: pipeline[1]: no plugin called key, did you mean keys? installed: keys, quota",
        'router.yaml:5: backends.parrot.options.slots: must be a whole number, got "many"',
        "router.yaml:9: models.polly.contxt_length: unknown key, did you mean context_length?",
        "router.yaml:10: models.polly.backend: no backend called parot, did you mean parrot?"
        " installed: parrot, remote",
        "router.yaml:11: models.polly.pricing.output: is required",
        "router.yaml:12: models.echo.provider: is required",
        "router.yaml:13: models.echo.context_length: must be at least 1, got 0",
        "router.yaml:18: models.echo.homes[0].options.devise: unknown key, did you mean device?",
    ]


def test_checked_values_are_plain_data_of_the_right_type(load: Load) -> None:
    """Raw options hold seconds and numbers, ready to travel to an engine's process."""
    loaded = load(
        changed("{model: ./polly}", "{model: ./polly, warm_up: 2m, slots: '${SLOTS}'}"),
        {"SLOTS": "4"},
    )
    options = loaded.config.models["polly"].options
    assert options == {"model": "./polly", "warm_up": 120.0, "slots": 4}
    assert [type(value) for value in options.values()] == [str, float, int]
