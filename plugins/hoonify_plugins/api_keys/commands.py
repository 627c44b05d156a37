"""``hoonify-router keys``: make, list, show, rotate, revoke and import API keys."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

from hoonify_plugins.api_keys import words
from hoonify_plugins.api_keys.format import digest_of, is_well_formed
from hoonify_plugins.api_keys.record import (
    INFERENCE,
    SCOPES,
    KeyRecord,
    KeyStore,
    new_key,
    successor_of,
)
from hoonify_plugins.api_keys.settings import NAME, settings_in
from hoonify_router.api import Command, PluginContext

COLUMNS = ("id", "name", "owner", "plan", "models", "created", "used", "expires", "state")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what ``keys`` can do."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    create = actions.add_parser(
        "create",
        help="make a key and print it, this once",
        description="Make a key. Only the key is printed on standard output, and only this once.",
    )
    create.add_argument("--name", required=True, type=words.name, help="what its owner calls it")
    create.add_argument(
        "--plan",
        required=True,
        help="its plan, one of `plugins: rate_limits: plans:`, or of `plugins: api_keys: plans:`",
    )
    create.add_argument("--owner", type=words.name, help="whose it is")
    create.add_argument(
        "--expires",
        metavar="TIME",
        type=words.lifetime,
        help="how long it is good, such as 12h, 30d or 52w; default: for ever",
    )
    create.add_argument(
        "--model",
        dest="models",
        metavar="GLOB",
        type=words.glob,
        action="append",
        default=[],
        help="a model that it may use, such as 'qwen*'; may be repeated; default: all",
    )
    create.add_argument(
        "--scope",
        dest="scopes",
        choices=SCOPES,
        action="append",
        default=[],
        help="what it may do; may be repeated; default: inference",
    )
    create.add_argument("--notes", type=words.notes, help="for people")
    listing = actions.add_parser("list", help="show all keys, without their secrets")
    show = actions.add_parser("show", help="show all that is known of a key")
    rotate = actions.add_parser(
        "rotate",
        help="make a key that takes another one's place",
        description="Make a key that may do what the old one may; for a while, both are good. Only the new"
        " key is printed on standard output, and only this once.",
    )
    rotate.add_argument(
        "--overlap",
        metavar="TIME",
        type=words.lifetime_or_nothing,
        default=86400,
        help="how long the old one stays good, such as 24h, or 0; default: 24h",
    )
    revoke = actions.add_parser("revoke", help="refuse a key from now on, for good")
    importing = actions.add_parser(
        "import",
        help="take over keys by their hashes",
        description="Take over keys from a file of JSON: a list of objects with name, plan and sha256, and"
        " whatever else `keys list --json` shows.",
    )
    importing.add_argument("file", type=Path, help="the file; - is standard input")
    for one in (show, rotate, revoke):
        one.add_argument(
            "id", metavar="ID", help="its id, as `keys list` shows it; or the key itself"
        )
    for one in (listing, show):
        one.add_argument("--json", action="store_true", help="as JSON")


def run(arguments: argparse.Namespace, context: PluginContext) -> int:
    """Do what the arguments say and return the exit status."""
    actions = {
        "create": _create,
        "list": _list,
        "show": _show,
        "rotate": _rotate,
        "revoke": _revoke,
        "import": _import,
    }
    try:
        return actions[arguments.action](arguments, context)
    except Mistake as mistake:
        _tell(f"hoonify-router: {mistake}")
        return 2


KEYS_COMMAND = Command("keys", "Make, list, rotate and revoke API keys.", add_arguments, run)


class Mistake(Exception):
    """What the operator asked for cannot be."""


def _create(arguments: argparse.Namespace, context: PluginContext) -> int:
    _check_plan(arguments.plan, context)
    catalog = context.loaded.config.models
    for glob in arguments.models:
        if not any(fnmatchcase(model, glob) for model in catalog):
            _tell(f"note: no model of the catalog matches {glob!r} now")
    record, key = new_key(
        arguments.name,
        arguments.plan,
        lifetime=arguments.expires,
        models=tuple(arguments.models),
        owner=arguments.owner or "",
        scopes=tuple(dict.fromkeys(arguments.scopes)) or (INFERENCE,),
        notes=arguments.notes or "",
    )
    with _store(context) as store:
        store.add(record)
    until = "" if record.expires is None else f", good until {words.when(record.expires)}"
    _tell(f"made {record.id}, {record.name!r} on plan {record.plan!r}{until}; it is shown only now")
    if NAME not in context.loaded.config.pipeline:
        _tell(
            f"note: `pipeline:` in {context.loaded.name} does not name {NAME}: keys are not asked for"
        )
    print(key)
    return 0


def _list(arguments: argparse.Namespace, context: PluginContext) -> int:
    with _store(context) as store:
        records = store.all()
    rows = [words.row(record) for record in [*records, *settings_in(context.loaded).declared]]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    lines = [[name.upper() for name in COLUMNS]]
    lines += [[words.cell(row[name]) for name in COLUMNS] for row in rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    for line in lines:
        print("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())
    return 0


def _show(arguments: argparse.Namespace, context: PluginContext) -> int:
    with _store(context) as store:
        row = words.row(_known(arguments.id, store))
    if arguments.json:
        print(json.dumps(row, indent=2))
        return 0
    for name, value in row.items():
        print(f"{name + ':':<12}{words.cell(value)}")
    return 0


def _rotate(arguments: argparse.Namespace, context: PluginContext) -> int:
    with _store(context) as store:
        old = _known(arguments.id, store)
        record, key = successor_of(old)
        rotated = store.rotate(old.id, record, int(time.time() + arguments.overlap))
    if rotated is None:
        state = old.state(time.time())
        raise Mistake(f"{old.id} ({old.name!r}) is {state} and cannot be rotated: make a new one")
    assert rotated.expires is not None
    _tell(
        f"made {record.id}, which takes the place of {old.id} ({old.name!r}); the old one is good until"
        f" {words.when(rotated.expires)}; the new one is shown only now"
    )
    print(key)
    return 0


def _revoke(arguments: argparse.Namespace, context: PluginContext) -> int:
    with _store(context) as store:
        record = store.revoke(_known(arguments.id, store).id, int(time.time()))
    assert record is not None
    _tell(f"revoked {record.id} ({record.name!r}); every gateway refuses it within two seconds")
    return 0


def _import(arguments: argparse.Namespace, context: PluginContext) -> int:
    try:
        text = sys.stdin.read() if str(arguments.file) == "-" else arguments.file.read_text()
        records = words.records_in(text)
    except OSError as error:
        raise Mistake(f"{arguments.file} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise Mistake(f"{arguments.file}: {error}") from error
    for record in records:
        _check_plan(record.plan, context)
    with _store(context) as store:
        known = {record.digest for record in store.all()}
        fresh = [record for record in records if record.digest not in known]
        for record in fresh:
            store.add(record)
    there = len(records) - len(fresh)
    _tell(f"took over {len(fresh)} keys; {there} were there already")
    return 0


def _check_plan(plan: str, context: PluginContext) -> None:
    plans = settings_in(context.loaded).plans
    if plan not in plans:
        close = difflib.get_close_matches(plan, plans, n=1)
        hint = f", did you mean {close[0]!r}?" if close else ""
        raise Mistake(f"there is no plan {plan!r}{hint} (plans: {', '.join(plans)})")


def _known(given: str, store: KeyStore) -> KeyRecord:
    """Return the key that an operator means by its id, or by itself."""
    records = store.all()
    if is_well_formed(given):  # somebody has nothing but the key; it is never shown again
        digest = digest_of(given)
        found = [record for record in records if record.digest == digest]
        which = "such key"
    else:
        found = [record for record in records if record.id == given]
        which = f"key {given!r}"
    if found:
        return found[0]
    if named := [record.id for record in records if record.name == given]:
        raise Mistake(f"{given!r} is a name; keys are meant by id: {', '.join(named)}")
    raise Mistake(f"there is no {which}, see `hoonify-router keys list`")


@contextlib.contextmanager
def _store(context: PluginContext) -> Iterator[KeyStore]:
    from hoonify_plugins.api_keys.store import open_store  # SQL costs a start that needs no key

    store = open_store(settings_in(context.loaded), context.loaded)
    try:
        yield store
    finally:
        store.close()


def _tell(text: str) -> None:
    print(text, file=sys.stderr)
