"""Whatever stands in the file, the answer is a configuration or lines that tell what is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.thoroughness import examples

from hoonify_router.config import LoadedConfig, load_config, options_for, settings_for, yaml_source
from hoonify_router.errors import ConfigError

from .conftest import BACKENDS, GOOD, MIDDLEWARE

SECRET = "hunter2hunter2"
KEYS = st.sampled_from(
    [
        "models",
        "server",
        "pipeline",
        "plugins",
        "backends",
        "port",
        "host",
        "workers",
        "ping_interval",
        "provider",
        "context_length",
        "pricing",
        "input",
        "output",
        "backend",
        "options",
        "url",
        "homes",
        "weight",
        "start",
        "parrot",
        "remote",
        "keys",
        "quota",
        "requests",
        "plans",
        "model",
        "slots",
        "device",
        "gpu_split",
        "warm_up",
        "sampling",
        "temperature",
        "extra",
        "lo",
        "hi",
        "load_stall",
        "polly",
        "<<",
        "modle",
        "prot",
        "${SECRET}",
        "1",
        "true",
        "''",
    ]
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    KEYS,
    st.sampled_from(
        ["30s", "2h", "http://x", "${SECRET}", "${UNSET}", "x${UNSET:-1}", "always", "cpu"]
    ),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=25,
)
HOMES = st.fixed_dictionaries(
    {}, optional={"backend": st.sampled_from([*BACKENDS, "x"]), "options": TREES}
)
MODELS = st.fixed_dictionaries(
    {"provider": st.just("x"), "context_length": st.just(1)},
    optional={
        "homes": st.lists(HOMES, max_size=2),
        "backend": st.sampled_from(list(BACKENDS)),
        "options": TREES,
    },
)
FILES = st.fixed_dictionaries(
    {"models": st.dictionaries(KEYS, MODELS | TREES, max_size=3)},
    optional={
        "plugins": st.dictionaries(KEYS, TREES),
        "backends": st.dictionaries(KEYS, TREES),
        "server": TREES,
    },
)
SNIPPETS = st.sampled_from(
    [
        "&a ",
        "*a",
        "<<: *a",
        "!!x ",
        "- ",
        ": ",
        "\n",
        "  ",
        "\t",
        "{",
        "}",
        "[",
        "]",
        "'",
        '"',
        "|\n",
        "#",
        "${",
        "---\n",
        "\0",
        "é",
        "🦜",
        "? ",
    ]
)


@pytest.fixture(params=["CSafeLoader", "SafeLoader"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both of PyYAML's parsers."""
    monkeypatch.setattr(yaml_source, "_Parser", getattr(yaml, request.param))


def load(path: Path, text: str) -> LoadedConfig | list[str]:
    """Return what loading ``text`` gives: the configuration, or the problems."""
    path.write_text(text, encoding="utf-8", errors="surrogatepass")
    try:
        return load_config(
            path, backend_options=BACKENDS, plugin_settings=MIDDLEWARE, env={"SECRET": SECRET}
        )
    except ConfigError as error:
        return error.problems


def load_or_explain(path: Path, text: str) -> None:
    """Load ``text``; check that what comes out is of use, be it a configuration or an explanation."""
    loaded = load(path, text)
    if isinstance(loaded, list):
        assert loaded
        assert len(set(loaded)) == len(loaded)
        for line in loaded:
            assert line.startswith(f"{path}:")
            assert line.isprintable()
            assert SECRET not in line
        return
    msgspec.msgpack.encode(loaded.config)
    for model in loaded.config.models.values():
        for home in model.all_homes():
            options_for(loaded, home, BACKENDS[home.backend])
    for name in loaded.config.plugins:
        settings_for(loaded, name, MIDDLEWARE[name])


QUICK = settings(
    max_examples=examples(150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@pytest.mark.usefixtures("parser")
@QUICK
@given(text=st.text(max_size=80))
def test_any_text(tmp_path: Path, text: str) -> None:
    """Random characters never raise anything but ConfigError."""
    load_or_explain(tmp_path / "router.yaml", text)


@pytest.mark.usefixtures("parser")
@QUICK
@given(data=st.data())
def test_any_damage_to_a_good_file(tmp_path: Path, data: st.DataObject) -> None:
    """A good file with pieces put in or taken out."""
    text = GOOD + "server: &a {port: 1}\n"
    for _ in range(data.draw(st.integers(1, 4))):
        at, cut = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 6))
        text = text[:at] + data.draw(SNIPPETS) + text[at + cut :]
    load_or_explain(tmp_path / "router.yaml", text)


@QUICK
@given(tree=FILES | TREES)
def test_any_tree(tmp_path: Path, tree: Any) -> None:
    """Known keys in wrong places, with values of every kind."""
    load_or_explain(tmp_path / "router.yaml", yaml.safe_dump(tree, sort_keys=False))
