"""``hoonify-router keys``: make, list and revoke, as an operator does it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hoonify_plugins.api_keys.commands import COLUMNS
from hoonify_plugins.api_keys.format import digest_of, generate_key, is_well_formed
from hoonify_plugins.api_keys.record import KeyRecord
from hoonify_plugins.api_keys.store import DatabaseKeyStore
from hoonify_router.cli import main

CONFIG = """
pipeline: [{pipeline}]
plugins:
  api_keys: {{plans: [free, gold]}}
models:
  parrot: {{provider: Nobody, context_length: 4096, backend: echo}}
"""

Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``hoonify-router keys …`` and return status, output and lines of errors."""
    (tmp_path / "router.yaml").write_text(CONFIG.format(pipeline="api_keys"))
    monkeypatch.setenv("HOONIFY_CONFIG", str(tmp_path / "router.yaml"))
    monkeypatch.setenv("HOONIFY_STATE_DIR", str(tmp_path / "state"))

    def run(*words: str) -> tuple[int, str, list[str]]:
        status = main(["keys", *words])
        out, err = capsys.readouterr()
        assert "hoo_" not in err
        return status, out, [line for line in err.splitlines() if "warning: plugin" not in line]

    return run


def kept(database: Path) -> list[KeyRecord]:
    """Return what is in the store."""
    store = DatabaseKeyStore(f"sqlite:///{database}")
    records = store.all()
    store.close()
    return records


def test_create_prints_only_the_key(run: Run, database: Path) -> None:
    """Once, on standard output; all the rest is on standard error."""
    status, out, err = run("create", "--name", "Ada's laptop", "--plan", "free")
    assert status == 0
    key = out.removesuffix("\n")
    assert is_well_formed(key)
    (record,) = kept(database)
    assert (record.name, record.plan, record.digest) == ("Ada's laptop", "free", digest_of(key))
    assert (record.expires, record.models) == (None, ())
    (line,) = err
    assert record.id in line


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("15m", 900), ("12h", 43200), ("30d", 2592000), ("1w", 604800)],
)
def test_a_key_may_expire(run: Run, database: Path, text: str, seconds: int) -> None:
    """Said with the point in time."""
    before = time.time()
    _, _, err = run("create", "--name", "a", "--plan", "free", "--expires", text)
    (record,) = kept(database)
    assert record.expires is not None
    assert before + seconds - 1 <= record.expires <= time.time() + seconds
    assert re.search(r"good until \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", err[0])


def test_a_key_may_be_for_some_models(run: Run, database: Path) -> None:
    """A glob that matches nothing now is worth a word."""
    status, _, err = run(
        "create", "--name", "a", "--plan", "free", "--model", "par*", "--model", "qwen*"
    )
    assert status == 0
    assert kept(database)[0].models == ("par*", "qwen*")
    assert err[0] == "note: no model of the catalog matches 'qwen*' now"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ["--name", "a", "--plan", "fre"],
            "there is no plan 'fre', did you mean 'free'? (plans: free, gold)",
        ),
        (
            ["--name", "a", "--plan", "unlimited"],
            "there is no plan 'unlimited' (plans: free, gold)",
        ),
        (["--name", "a"], "the following arguments are required: --plan"),
        (
            ["--name", " ", "--plan", "free"],
            "argument --name: expected 1 to 200 printable characters",
        ),
        (["--name", "\x1b[2J", "--plan", "free"], "argument --name: expected 1 to 200 printable"),
        (
            ["--name", "a", "--plan", "free", "--model", ""],
            "argument --model: expected a model's id, or a pattern such as 'qwen*'",
        ),
        (
            ["--name", "a", "--plan", "free", "--expires", "soon"],
            "argument --expires: expected a time such as 12h",
        ),
        (
            ["--name", "a", "--plan", "free", "--expires", "0d"],
            "argument --expires: expected a time",
        ),
        (
            ["--name", "a", "--plan", "free", "--expires", "9999999w"],
            "argument --expires: expected a time",
        ),
    ],
)
def test_a_mistake_is_one_line_and_makes_no_key(
    run: Run, database: Path, words: list[str], expected: str
) -> None:
    """Exit status 2, nothing on standard output."""
    status, out, (line,) = run("create", *words)
    assert (status, out) == (2, "")
    assert line.startswith(f"hoonify-router: {expected}")
    assert not database.exists()


def test_list_shows_no_secret(run: Run) -> None:
    """Id, name, plan, times and state; neither key nor hash."""
    _, key, _ = run("create", "--name", "ada", "--plan", "gold", "--expires", "30d")
    status, out, err = run("list")
    assert (status, err) == (0, [])
    head, line = out.splitlines()
    assert head.split() == [name.upper() for name in COLUMNS]
    assert line.split()[1:5] == ["ada", "-", "gold", "-"]
    assert line.endswith("active")
    assert key.strip() not in out
    assert digest_of(key.strip()).hex() not in out
    (row,) = json.loads(run("list", "--json")[1])
    assert set(row) > {name.lower() for name in head.split()}
    assert row["models"] is None


def test_revoke_is_for_good(run: Run) -> None:
    """Asked twice it is still revoked; an unknown id is a mistake."""
    run("create", "--name", "ada", "--plan", "free")
    (row,) = json.loads(run("list", "--json")[1])
    for _ in range(2):
        status, out, err = run("revoke", row["id"])
        assert (status, out) == (0, "")
        assert row["id"] in err[0]
    assert json.loads(run("list", "--json")[1])[0]["state"] == "revoked"
    status, _, err = run("revoke", "key_nobody")
    assert status == 2
    assert err == ["hoonify-router: there is no key 'key_nobody', see `hoonify-router keys list`"]


def test_revoke_by_name_is_answered_with_the_ids(run: Run) -> None:
    """Names need not be unique, so none of them is revoked."""
    for _ in range(2):
        run("create", "--name", "ada", "--plan", "free")
    ids = [row["id"] for row in json.loads(run("list", "--json")[1])]
    status, _, err = run("revoke", "ada")
    told = f"hoonify-router: 'ada' is a name; keys are meant by id: {ids[0]}, {ids[1]}"
    assert (status, err) == (2, [told])


def test_a_key_that_leaked_can_be_revoked_by_itself(run: Run) -> None:
    """Whether it is ours or not, it is not shown again."""
    _, key, _ = run("create", "--name", "ada", "--plan", "free")
    (row,) = json.loads(run("list", "--json")[1])
    status, _, err = run("revoke", key.strip())
    assert status == 0
    assert err[0].startswith(f"revoked {row['id']} ('ada')")
    status, _, err = run("revoke", generate_key())
    assert (status, err) == (
        2,
        ["hoonify-router: there is no such key, see `hoonify-router keys list`"],
    )


def test_keys_without_the_middleware_are_worth_a_word(run: Run, tmp_path: Path) -> None:
    """Who makes keys for a router that asks for none should know."""
    (tmp_path / "router.yaml").write_text(CONFIG.format(pipeline=""))
    status, out, err = run("create", "--name", "a", "--plan", "free")
    assert status == 0
    assert out.startswith("hoo_")
    assert "does not name api_keys" in err[-1]


def test_a_store_that_cannot_be_used_is_one_line(run: Run, database: Path) -> None:
    """Which file and why; no traceback."""
    database.mkdir(parents=True)
    status, _, (line,) = run("list")
    assert status == 2
    assert line.startswith(f"hoonify-router: the database {database} cannot be used: ")


def test_rotate_prints_a_key_that_takes_over(run: Run, database: Path) -> None:
    """The old one stays good for the overlap; both are shown as what they are."""
    _, old_key, _ = run(
        "create", "--name", "ada", "--plan", "gold", "--owner", "Ada", "--scope", "admin"
    )
    (old,) = json.loads(run("list", "--json")[1])
    before = time.time()
    status, out, (line,) = run("rotate", "--overlap", "2h", old["id"])
    assert status == 0
    assert is_well_formed(out.strip())
    assert out != old_key
    first, second = kept(database)
    assert first.expires is not None
    assert before + 7199 <= first.expires <= time.time() + 7200
    assert (second.digest, second.owner, second.scopes) == (
        digest_of(out.strip()),
        "Ada",
        ("admin",),
    )
    assert second.id in line
    assert json.loads(run("show", "--json", old["id"])[1])["successor"] == second.id


def test_rotate_at_once_and_never_again(run: Run) -> None:
    """Without an overlap the old key is over; it has no further successor."""
    _, key, _ = run("create", "--name", "ada", "--plan", "gold")
    assert run("rotate", "--overlap", "0", key.strip())[0] == 0
    status, out, (line,) = run("rotate", key.strip())
    assert (status, out) == (2, "")
    assert "is expired and cannot be rotated" in line


def test_show_tells_all_but_the_secret(run: Run) -> None:
    """One line for each thing that is known."""
    _, key, _ = run("create", "--name", "ada", "--plan", "free", "--notes", "her laptop")
    status, out, _ = run("show", key.strip())
    assert status == 0
    assert re.search(r"^notes: +her laptop$", out, re.MULTILINE)
    assert key.strip() not in out


def test_import_takes_over_hashes(run: Run, tmp_path: Path, database: Path) -> None:
    """Keys that clients hold already go on working; what is there already is left alone."""
    key = generate_key()
    keys = [{"name": "old", "plan": "free", "sha256": digest_of(key).hex(), "models": ["par*"]}]
    (tmp_path / "keys.json").write_text(json.dumps(keys))
    for told in (
        "took over 1 keys; 0 were there already",
        "took over 0 keys; 1 were there already",
    ):
        status, out, err = run("import", str(tmp_path / "keys.json"))
        assert (status, out, err) == (0, "", [told])
    (record,) = kept(database)
    assert (record.digest, record.models) == (digest_of(key), ("par*",))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("[{", "keys.json: "),
        ('[{"name": "a", "plan": "free"}]', "missing required field `sha256`"),
        ('[{"name": "a", "plan": "free", "sha256": "hoo"}]', "[0].sha256"),
        (
            '[{"name": "a", "plan": "fre", "sha256": "%s"}]' % ("0" * 64),
            "there is no plan 'fre', did you mean 'free'?",
        ),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_line(
    run: Run, tmp_path: Path, database: Path, content: str, expected: str
) -> None:
    """Nothing of it is taken over."""
    (tmp_path / "keys.json").write_text(content)
    status, _, (line,) = run("import", str(tmp_path / "keys.json"))
    assert status == 2
    assert expected in line
    assert not database.exists()
