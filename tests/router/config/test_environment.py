"""References to the environment: filled in, and never quoted in a message."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hoonify_router.config.environment import fill

from .conftest import GOOD, Load, changed

Problems = Callable[..., list[str]]
ENV = {"SECRET": "hunter2", "PORT": "hunter2"}


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        pytest.param(
            changed("./polly", "'${WHERE}'"),
            [
                "6: models.polly.options.model: environment variable WHERE is not set; set it, or give a default with ${WHERE:-default}"
            ],
            id="env-unset",
        ),
        pytest.param(
            changed("./polly", "'${1X}'"),
            [
                "6: models.polly.options.model: ${ must be followed by a variable's name and }, as in ${NAME} or ${NAME:-default}; write $$ for a dollar sign"
            ],
            id="env-name",
        ),
        pytest.param(
            GOOD + "pipeline:\n  - keys\n  - ${NEXT}\n",
            [
                "9: pipeline[1]: environment variable NEXT is not set; set it, or give a default with ${NEXT:-default}"
            ],
            id="env-unset-in-a-list",
        ),
        pytest.param(
            changed("Nobody", "${WHO} and ${WHOM}"),
            [
                "3: models.polly.provider: environment variable WHO is not set; set it, or give a default with ${WHO:-default}",
                "3: models.polly.provider: environment variable WHOM is not set; set it, or give a default with ${WHOM:-default}",
            ],
            id="env-unset-twice",
        ),
        pytest.param(
            changed("./polly", "'${WHERE'"),
            [
                "6: models.polly.options.model: ${ must be followed by a variable's name and }, as in ${NAME} or ${NAME:-default}; write $$ for a dollar sign"
            ],
            id="env-open",
        ),
        pytest.param(
            GOOD + "server: {port: '${PORT}'}\n",
            ["7: server.port: must be a whole number, got a value from the environment"],
            id="env-wrong-type",
        ),
        pytest.param(
            GOOD + "server:\n  port: ${PORT}\n",
            ["8: server.port: must be a whole number, got a value from the environment"],
            id="env-wrong-value",
        ),
        pytest.param(
            GOOD + "server:\n  ping_interval: ${SECRET}\n",
            [
                "8: server.ping_interval: must be a duration such as 30s, 15m or 2h, got a value from the environment"
            ],
            id="env-wrong-duration",
        ),
        pytest.param(
            GOOD + "pipeline: ['${SECRET}']\n",
            ["7: pipeline[0]: no plugin of this name; installed: keys, quota"],
            id="env-pipeline",
        ),
        pytest.param(
            GOOD + "server: ${SECRET}\n",
            ["7: server: must be a mapping, got a value from the environment"],
            id="env-mapping",
        ),
        pytest.param(
            changed("{model: ./polly}", "{model: x, sampling: {temperature: '${SECRET}'}}"),
            [
                "6: models.polly.options.sampling.temperature: must be a number, got a value from the environment"
            ],
            id="env-option",
        ),
        pytest.param(
            changed("parrot", "${SECRET}"),
            ["5: models.polly.backend: no backend of this name; installed: parrot, remote"],
            id="env-backend",
        ),
        pytest.param(
            changed("parrot\n", "remote\n    url: ${SECRET}\n"),
            [
                "6: models.polly.url: must be a URL such as http://127.0.0.1:30000, got a value from the environment"
            ],
            id="env-url",
        ),
        pytest.param(
            GOOD + "    start: ${SECRET}\n",
            [
                "7: models.polly.start: must be one of always, on_demand, got a value from the environment"
            ],
            id="env-literal",
        ),
        pytest.param(
            changed("{model: ./polly}", "{model: '${SECRET}', lo: 5, hi: 3}"),
            [
                "6: models.polly.options: is refused; the reason is not shown, it might quote the environment"
            ],
            id="env-post",
        ),
    ],
)
def test_a_mistake_around_a_reference_is_one_exact_line(
    problems: Problems, text: str, lines: list[str]
) -> None:
    """The line tells the name of the variable at most."""
    assert problems(text, ENV) == [f"router.yaml:{line}" for line in lines]
    assert "hunter2" not in "".join(problems(text, ENV))


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${NAME}", "value"),
        ("a${NAME}b${NAME}", "avaluebvalue"),
        ("${MISSING:-default}", "default"),
        ("${MISSING:-}", ""),
        ("${MISSING:-a:-b}", "a:-b"),
        ("${EMPTY:-default}", "default"),
        ("${EMPTY}", ""),
        ("${NAME:-default}", "value"),
        ("$${NAME}", "${NAME}"),
        ("$$$${NAME}", "$${NAME}"),
        ("cost: 5$", "cost: 5$"),
        ("$NAME", "$NAME"),
        ("${DOLLAR}", "$$ ${NAME}"),
    ],
)
def test_references_are_filled_in(text: str, filled: str) -> None:
    """The forms are a shell's; what a variable holds is not looked at again."""
    env = {"NAME": "value", "EMPTY": "", "DOLLAR": "$$ ${NAME}"}
    assert fill(text, env) == (filled, "$$" not in text and "${" in text, [])


def test_values_take_the_type_that_their_field_wants(load: Load) -> None:
    """A port from the environment is a number, a key of digits stays a text."""
    loaded = load(
        changed("parrot\n", "remote\n    api_key: ${KEY}\n")
        + "server: {port: '${PORT:-8001}', ping_interval: '${PING}'}\n",
        {"KEY": "12345", "PING": "1m"},
    )
    assert loaded.config.models["polly"].api_key == "12345"
    assert loaded.config.server.port == 8001
    assert loaded.config.server.ping_interval == 60.0


def test_an_empty_variable_without_default_is_an_empty_text(load: Load) -> None:
    """What is set but empty counts as set."""
    assert load(GOOD + '    description: "${EMPTY}"\n', {"EMPTY": ""})
