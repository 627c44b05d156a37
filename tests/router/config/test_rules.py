"""Names that must exist, lines that exclude each other, options that a backend must know."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .conftest import GOOD, changed

Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(
            changed("polly:", '"my polly":'),
            [
                "2: models.'my polly': no good model ID: use letters, digits and . _ - : / between them"
            ],
            id="model-id-space",
        ),
        pytest.param(
            changed("polly:", "/polly:"),
            ["2: models./polly: no good model ID: use letters, digits and . _ - : / between them"],
            id="model-id-slash",
        ),
        pytest.param(
            changed("polly:", "p" * 129 + ":"),
            [
                "2: models.ppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppppp: no good model ID: use letters, digits and . _ - : / between them"
            ],
            id="model-id-long",
        ),
        pytest.param(
            changed("polly:", '"a\\nb":'),
            ["2: models.'a\\nb': no good model ID: use letters, digits and . _ - : / between them"],
            id="model-id-newline",
        ),
        pytest.param(
            changed("    backend: parrot\n", ""),
            [
                "2: models.polly: has no home; add backend: NAME (installed: parrot, remote) or a list of homes"
            ],
            id="no-home",
        ),
        pytest.param(
            changed("backend", "backnd"),
            ["5: models.polly.backnd: unknown key, did you mean backend?"],
            id="no-home-misspelt",
        ),
        pytest.param(
            GOOD + "    shadow: {backend: parot, weight: 2, share: 0}\n",
            [
                "7: models.polly.shadow.backend: no backend called parot, did you mean parrot? installed: parrot, remote",
                "7: models.polly.shadow.weight: has no meaning for a shadow, which has a share",
                "7: models.polly.shadow.share: must be more than 0, got 0",
            ],
            id="shadow",
        ),
        pytest.param(
            GOOD + "    homes: [{backend: remote}]\n",
            [
                "5: models.polly.backend: give either backend or homes, not both",
                "6: models.polly.options: belongs into homes",
            ],
            id="both",
        ),
        pytest.param(
            changed("    backend: parrot\n    options: {model: ./polly}\n", "    homes: []\n"),
            ["5: models.polly.homes: must name at least one home"],
            id="homes-empty",
        ),
        pytest.param(
            changed(
                "    backend: parrot\n    options: {model: ./polly}\n",
                "    homes:\n      - backend: remote\n      - bakend: remote\n        weight: 0\n        url: gpu-2\n",
            ),
            [
                "7: models.polly.homes[1].bakend: unknown key, did you mean backend?",
                "8: models.polly.homes[1].weight: must be at least 1, got 0",
                '9: models.polly.homes[1].url: must be a URL such as http://127.0.0.1:30000, got "gpu-2"',
            ],
            id="second-home",
        ),
        pytest.param(
            "models:\n  a:\n    provider: x\n    context_length: 1\n    homes: [{backend: remote}, {backend: remote}]\n  a/1:\n    provider: x\n    context_length: 1\n    backend: remote\n",
            ["6: models.a/1: its home a/1 is named like another one"],
            id="collision",
        ),
        pytest.param(
            changed("parrot\n", "remote\n    url: gpu-1:30000\n").replace("./polly", "x"),
            [
                '6: models.polly.url: must be a URL such as http://127.0.0.1:30000, got "gpu-1:30000"'
            ],
            id="url-scheme",
        ),
        pytest.param(
            changed("parrot\n", "remote\n    url: http://gpu-1:99999\n"),
            [
                '6: models.polly.url: must be a URL such as http://127.0.0.1:30000, got "http://gpu-1:99999"'
            ],
            id="url-port",
        ),
        pytest.param(
            changed("parrot\n", "remote\n    url: http://me:hunter2@gpu-1\n"),
            [
                "6: models.polly.url: must hold no user and no password; a key goes into api_key",
            ],
            id="url-password",
        ),
        pytest.param(
            changed("parrot\n", "remote\n    url: http://gpu 1\n"),
            [
                '6: models.polly.url: must be a URL such as http://127.0.0.1:30000, got "http://gpu 1"'
            ],
            id="url-space",
        ),
        pytest.param(
            changed("parrot", "parot"),
            [
                "5: models.polly.backend: no backend called parot, did you mean parrot? installed: parrot, remote"
            ],
            id="backend-unknown",
        ),
        pytest.param(
            changed("parrot", "vllm"),
            ["5: models.polly.backend: no backend called vllm; installed: parrot, remote"],
            id="backend-unknown-far",
        ),
        pytest.param(
            changed("parrot", ""),
            [
                "2: models.polly: has no home; add backend: NAME (installed: parrot, remote) or a list of homes"
            ],
            id="backend-null",
        ),
        pytest.param(
            changed("    options: {model: ./polly}\n", ""),
            ["2: models.polly.options.model: is required"],
            id="options-missing",
        ),
        pytest.param(
            GOOD + "backends: {parot: {}}\n",
            [
                "7: backends.parot: no backend called parot, did you mean parrot? installed: parrot, remote"
            ],
            id="backends-unknown",
        ),
        pytest.param(
            GOOD + "backends:\n  parrot:\n    options:\n      slots: 0\n",
            ["10: backends.parrot.options.slots: must be at least 1, got 0"],
            id="backends-option",
        ),
        pytest.param(
            GOOD + "backends:\n  parrot:\n    options: {modell: x}\n",
            ["9: backends.parrot.options.modell: unknown key, did you mean model?"],
            id="backends-option-unknown",
        ),
        pytest.param(
            GOOD + "pipeline: [key]\n",
            ["7: pipeline[0]: no plugin called key, did you mean keys? installed: keys, quota"],
            id="pipeline-unknown",
        ),
        pytest.param(
            GOOD + "pipeline:\n  - keys\n  - quota\n  - keys\nplugins: {quota: {requests: 1}}\n",
            ['10: pipeline[2]: names "keys" a second time'],
            id="pipeline-twice",
        ),
        pytest.param(
            GOOD + "plugins: {kyes: {}}\n",
            ["7: plugins.kyes: no plugin called kyes, did you mean keys? installed: keys, quota"],
            id="plugins-unknown",
        ),
        pytest.param(
            GOOD + "plugins:\n  keys:\n    plans: []\n    stores: x\n",
            [
                "9: plugins.keys.plans: must have at least 1 entries, has 0",
                "10: plugins.keys.stores: unknown key, did you mean store?",
            ],
            id="plugins-setting",
        ),
        pytest.param(
            GOOD + "plugins: {quota: {window: soon}}\n",
            [
                "7: plugins.quota.requests: is required",
                '7: plugins.quota.window: must be a duration such as 30s, 15m or 2h, got "soon"',
            ],
            id="plugins-required",
        ),
        pytest.param(
            GOOD + "pipeline: [quota]\n",
            ["7: plugins.quota.requests: is required"],
            id="plugins-required-absent",
        ),
    ],
)
def test_a_broken_rule_is_one_exact_line(problems: Problems, text: str, lines: list[str]) -> None:
    """The line tells what to write instead."""
    assert problems(text) == [f"router.yaml:{line}" for line in lines]


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("url: 'http://gpu-1?key=hunter2'", "url: must have nothing after a ?; a key goes into"),
        (
            "url: http://gpu-1/v1/chat/completions/",
            "url: must end before /chat/completions, such as http://127.0.0.1:30000/v1",
        ),
        ('api_key: "hunter2\\n"', "api_key: must be printable ASCII without spaces"),
        ("api_key: hunter 2", "api_key: must be printable ASCII without spaces"),
    ],
)
def test_what_no_server_could_be_asked_with_is_refused(
    problems: Problems, line: str, told: str
) -> None:
    """A secret among it is not shown."""
    text = GOOD.replace("parrot", "remote") + f"    {line}\n"
    if not line.startswith("url"):
        text += "    url: http://gpu-1\n"
    (found,) = problems(text)
    assert found.startswith(f"router.yaml:7: models.polly.{told}")
    assert "hunter" not in found


def test_a_key_of_the_environment_that_ends_with_a_line_break_is_told(problems: Problems) -> None:
    """As it does when it was read from a file."""
    text = GOOD.replace("parrot", "remote") + "    url: http://gpu-1\n    api_key: ${KEY}\n"
    told = "models.polly.api_key: must be printable ASCII without spaces and line breaks"
    assert problems(text, env={"KEY": "hunter2\n"}) == [f"router.yaml:8: {told}"]


def test_a_url_is_refused_where_the_engine_is_started_here(problems: Problems) -> None:
    """A url that would be ignored is told, when it is known which backends take one."""
    text = GOOD + "    url: http://gpu-1:30000\n"
    assert problems(text) == []
    assert problems(text, url_backends={"remote"}) == [
        "router.yaml:7: models.polly.url: has no meaning for this backend,"
        " whose engine is started here"
    ]


def test_a_broken_plugin_is_named_with_its_reason(problems: Problems) -> None:
    """A name that is installed but broken is not called unknown."""
    text = changed("parrot", "macaw") + "pipeline: [audit]\n"
    broken = {"macaw": "No module named 'feathers'", "audit": "SyntaxError"}
    assert problems(text, broken=broken) == [
        "router.yaml:5: models.polly.backend: backend macaw is installed but cannot be loaded:"
        " No module named 'feathers'",
        "router.yaml:7: pipeline[0]: plugin audit is installed but cannot be loaded: SyntaxError",
    ]


def test_a_mistake_in_a_backends_defaults_is_told_once(problems: Problems) -> None:
    """However many homes inherit it, it stands in one line of the file."""
    text = GOOD + GOOD.partition("\n")[2].replace("polly", "molly")
    text += "backends:\n  parrot:\n    options: {slots: 65}\n"
    assert problems(text) == [
        "router.yaml:14: backends.parrot.options.slots: must be at most 64, got 65"
    ]


def test_a_backends_defaults_supply_what_a_home_leaves_out(problems: Problems) -> None:
    """A required option may come from the defaults."""
    text = changed("    options: {model: ./polly}\n", "")
    assert problems(text) == ["router.yaml:2: models.polly.options.model: is required"]
    assert problems(text + "backends: {parrot: {options: {model: ./any}}}\n") == []


def test_settings_of_a_plugin_outside_of_the_pipeline_are_allowed(problems: Problems) -> None:
    """A plugin can be taken out of the pipeline without losing its settings."""
    assert problems(GOOD + "plugins: {quota: {requests: 60, window: 1m}}\n") == []
