"""Finding and reading the file, and what comes out of it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from hoonify_router.config import (
    HomeConfig,
    LoadedConfig,
    find_config,
    find_state_dir,
    home_id,
    load_config,
    merged_options,
    options_for,
    settings_for,
)
from hoonify_router.config.loader import MAX_FILE_BYTES
from hoonify_router.errors import ConfigError

from .conftest import (
    BACKENDS,
    GOOD,
    MIDDLEWARE,
    KeysSettings,
    Load,
    ParrotOptions,
    QuotaSettings,
    Sampling,
    changed,
)

Problems = Callable[..., list[str]]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "router.yaml: is empty; it needs at least models:"),
        ("# nothing yet\n", "router.yaml: is empty; it needs at least models:"),
        ("\n\n- a\n", "router.yaml:3: must be a mapping, got a list"),
        ("hello\n", 'router.yaml:1: must be a mapping, got "hello"'),
        (b"models:\n  caf\xe9: {}\n", "router.yaml:2: is not UTF-8 text"),
        (b"#" * (MAX_FILE_BYTES + 1), "router.yaml: is larger than 1048576 bytes"),
    ],
)
def test_a_file_without_a_mapping_is_one_line(
    problems: Problems, text: str | bytes, line: str
) -> None:
    """Nothing else is said about it."""
    assert problems(text) == [line]


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("missing.yaml", "missing.yaml: no such file"),
        ("missing/router.yaml", "missing/router.yaml: no such file"),
        (".", ".: is a folder, not a file"),
        ("a\0b", "a b: cannot be read: embedded null byte"),
        ("x" * 300, f"{'x' * 300}: cannot be read: File name too long"),
        ("file/router.yaml", "file/router.yaml: cannot be read: Not a directory"),
    ],
)
def test_a_path_that_is_no_file_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, line: str
) -> None:
    """The operator's own spelling of the path is told."""
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(ConfigError) as caught:
        load_config(path, backend_options={}, plugin_settings={}, env={})
    assert caught.value.problems == [line]


def test_a_file_that_may_not_be_read_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's reason is told; root may read anything, so the refusal is played."""

    def refuse(path: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError) as caught:
        load_config("router.yaml", backend_options={}, plugin_settings={}, env={})
    assert caught.value.problems == ["router.yaml: cannot be read: Permission denied"]


def test_the_file_is_found_where_it_is_named_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The argument wins over the variable, the variable over the default."""
    monkeypatch.chdir(tmp_path)
    env = {"HOONIFY_CONFIG": "from/variable.yaml"}
    assert find_config("given.yaml", env) == Path("given.yaml")
    assert find_config(None, env) == Path("from/variable.yaml")
    with pytest.raises(ConfigError) as caught:
        find_config(None, {"HOONIFY_CONFIG": ""})
    assert caught.value.problems == [
        "config/router.yaml: no such file; name one with --config FILE or HOONIFY_CONFIG"
    ]
    Path("config").mkdir()
    Path("config/router.yaml").touch()
    assert find_config(None, {}) == Path("config/router.yaml")


@pytest.mark.parametrize(
    ("written", "env", "state_dir"),
    [
        ("", {}, "var"),
        ("server: {state_dir: state}", {}, "state"),
        ("server: {state_dir: /srv/state}", {}, "/srv/state"),
        ("server: {state_dir: /srv/state}", {"HOONIFY_STATE_DIR": "/run/state"}, "/run/state"),
        ("server: {state_dir: state}", {"HOONIFY_STATE_DIR": "here"}, "here"),
        ("", {"HOONIFY_STATE_DIR": ""}, "var"),
    ],
)
def test_the_state_folder_is_beside_the_file_unless_it_is_named(
    load: Load, tmp_path: Path, written: str, env: dict[str, str], state_dir: str
) -> None:
    """The variable wins; what the file says counts from the file's folder."""
    assert load(f"{GOOD}{written}\n", env).state_dir == tmp_path / state_dir


def test_a_state_folder_of_an_unknown_user_is_one_line(problems: Problems) -> None:
    """In the file as in the variable."""
    nobody = "~nobody-of-this-name/state"
    why = "there is no home folder for the ~ in it"
    (line,) = problems(GOOD + f"server: {{state_dir: {nobody}}}\n")
    assert line.endswith(f"router.yaml: server.state_dir: {why}")
    assert problems(GOOD, {"HOONIFY_STATE_DIR": nobody}) == [f"HOONIFY_STATE_DIR: {why}"]


def test_the_loaded_path_is_absolute_and_its_folder_the_base(load: Load, tmp_path: Path) -> None:
    """Nobody needs the working directory again."""
    loaded = load(GOOD)
    assert loaded.path == tmp_path / "router.yaml"
    assert loaded.base_dir == tmp_path


def test_a_homes_own_options_win_over_its_backends(load: Load) -> None:
    """Whole options are replaced, their parts are not mixed."""
    loaded = load(
        changed("{model: ./polly}", "{model: ./polly, sampling: {}}")
        + "backends: {parrot: {options: {slots: 4, warm_up: 1m, sampling: {temperature: 0}}}}\n"
    )
    (home,) = loaded.config.models["polly"].all_homes()
    assert merged_options(loaded, home) == {
        "slots": 4,
        "warm_up": 60.0,
        "sampling": {},
        "model": "./polly",
    }
    options = options_for(loaded, home, ParrotOptions)
    assert options == ParrotOptions("./polly", slots=4, warm_up=60.0, sampling=Sampling(1.0))
    assert merged_options(loaded, HomeConfig("remote")) == {}


def test_settings_are_the_plugins_own_struct(load: Load) -> None:
    """A plugin without settings gets its defaults."""
    loaded = load(GOOD + "plugins: {quota: {requests: 5, window: 2h}}\n")
    assert settings_for(loaded, "quota", QuotaSettings) == QuotaSettings(5, 7200.0)
    assert settings_for(loaded, "keys", KeysSettings) == KeysSettings()


def test_several_homes_are_numbered() -> None:
    """The only home of a model is called like the model."""
    assert home_id("qwen-3", 0, 1) == "qwen-3"
    assert [home_id("big", index, 2) for index in range(2)] == ["big/0", "big/1"]


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        ("models.polly.options.model: is not there", "router.yaml:6: "),
        ("models.polly.options.model.x[3].y: is wrong", "router.yaml:6: "),
        ("models.polly.start: is late", "router.yaml:2: "),
        ("server.port: is taken", "router.yaml: "),
        ("nothing in particular", "router.yaml: "),
    ],
)
def test_a_plugins_problem_gets_file_and_line(load: Load, problem: str, line: str) -> None:
    """The nearest setting that the file has gives the line."""
    assert load(GOOD).locate(problem) == line + problem


def test_a_loaded_configuration_travels_between_processes(load: Load) -> None:
    """It can be pickled for the processes of the server, and its content is plain data."""
    loaded = load(GOOD + "backends: {parrot: {drain_timeout: 1m}}\n")
    assert pickle.loads(pickle.dumps(loaded)) == loaded
    assert isinstance(loaded, LoadedConfig)
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(loaded.config), type=type(loaded.config))
    assert again == loaded.config


def test_engine_workers_need_no_yaml() -> None:
    """The Structs can be imported by an interpreter that lacks PyYAML."""
    code = (
        "import sys; sys.modules['yaml'] = None; import hoonify_router.config, hoonify_router.api"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_installed_may_be_nothing(tmp_path: Path) -> None:
    """Without any backend the message says so."""
    (tmp_path / "router.yaml").write_text(GOOD)
    with pytest.raises(ConfigError, match="no backend called parrot; installed: none"):
        load_config(
            tmp_path / "router.yaml", backend_options={}, plugin_settings=MIDDLEWARE, env={}
        )
    assert BACKENDS


@pytest.mark.parametrize(
    ("text", "folder"),
    [
        ("models: {}\n", "var"),
        ("server:\n  state_dir: here\nmodels: [", "here"),
        ("server: {port: 1, state_dir: 'my state', host: x}\n", "my state"),
        ('server:\n  # state_dir: "old"\n  state_dir: "new"  # really\n', "new"),
        ("server: {state_dir: '${STATE}/x'}\n", "s/x"),
        ("\xff", "var"),
    ],
)
def test_the_state_folder_is_found_in_a_broken_file(tmp_path: Path, text: str, folder: str) -> None:
    """A router may run on it while it is being edited."""
    path = tmp_path / "router.yaml"
    path.write_bytes(text.encode("latin-1"))
    assert find_state_dir(path, {"STATE": "s"}) == tmp_path / folder
    assert find_state_dir(path, {"HOONIFY_STATE_DIR": "/srv/x"}) == Path("/srv/x")
    assert find_state_dir(tmp_path / "none.yaml", {}) == tmp_path / "var"
