"""``hoonify-router keys``: make, list and revoke API keys."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from fnmatch import fnmatchcase

from hoonify_plugins.api_keys.format import digest_of, is_well_formed
from hoonify_plugins.api_keys.record import KeyRecord, KeyStore, new_key
from hoonify_plugins.api_keys.settings import NAME, settings_in
from hoonify_router.api import Command, PluginContext

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
LONGEST_LIFETIME = 100 * 366 * 86400


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare ``keys create``, ``keys list`` and ``keys revoke``."""
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    create = actions.add_parser(
        "create",
        help="make a key and print it, this once",
        description="Make a key. Only the key is printed on standard output, and only this once.",
    )
    create.add_argument("--name", required=True, type=_name, help="what its owner calls it")
    create.add_argument(
        "--plan", required=True, help="its plan, one of `plugins: api_keys: plans:`"
    )
    create.add_argument(
        "--expires",
        metavar="TIME",
        type=_lifetime,
        help="how long it is good, such as 12h, 30d or 52w; default: for ever",
    )
    create.add_argument(
        "--model",
        dest="models",
        metavar="GLOB",
        type=_glob,
        action="append",
        default=[],
        help="a model that it may use, such as 'qwen*'; may be repeated; default: all",
    )
    listing = actions.add_parser("list", help="show all keys, without their secrets")
    listing.add_argument("--json", action="store_true", help="as JSON")
    revoke = actions.add_parser("revoke", help="refuse a key from now on, for good")
    revoke.add_argument(
        "id", metavar="ID", help="its id, as `keys list` shows it; or the key itself"
    )


def run(arguments: argparse.Namespace, context: PluginContext) -> int:
    """Do what the arguments say and return the exit status."""
    action = {"create": _create, "list": _list, "revoke": _revoke}[arguments.action]
    return action(arguments, context)


KEYS_COMMAND = Command("keys", "Make, list and revoke API keys.", add_arguments, run)


def _create(arguments: argparse.Namespace, context: PluginContext) -> int:
    plans = settings_in(context.loaded).plans
    if arguments.plan not in plans:
        close = difflib.get_close_matches(arguments.plan, plans, n=1)
        hint = f", did you mean {close[0]!r}?" if close else ""
        return _mistake(f"there is no plan {arguments.plan!r}{hint} (plans: {', '.join(plans)})")
    catalog = context.loaded.config.models
    for glob in arguments.models:
        if not any(fnmatchcase(model, glob) for model in catalog):
            _tell(f"note: no model of the catalog matches {glob!r} now")
    record, key = new_key(
        arguments.name, arguments.plan, lifetime=arguments.expires, models=tuple(arguments.models)
    )
    with _store(context) as store:
        store.add(record)
    until = "" if record.expires is None else f", good until {_when(record.expires)}"
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
    rows = [_row(record) for record in records]
    if arguments.json:
        print(json.dumps(rows, indent=2))
        return 0
    header = ["ID", "NAME", "PLAN", "MODELS", "CREATED", "EXPIRES", "STATE"]
    lines = [header, *([str(row[name.lower()] or "-") for name in header] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        print("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip())
    return 0


def _row(record: KeyRecord) -> dict[str, str | None]:
    return {
        "id": record.id,
        "name": record.name,
        "plan": record.plan,
        "models": ",".join(record.models) or None,
        "created": _when(record.created),
        "expires": None if record.expires is None else _when(record.expires),
        "state": record.state(time.time()),
    }


def _revoke(arguments: argparse.Namespace, context: PluginContext) -> int:
    given = arguments.id
    with _store(context) as store:
        known = {record.id: record for record in store.all()}
        if is_well_formed(given):  # somebody has nothing but the key; it is never shown again
            digest = digest_of(given)
            given = next((key_id for key_id, each in known.items() if each.digest == digest), "")
        record = store.revoke(given, int(time.time()))
    if record is not None:
        _tell(f"revoked {record.id} ({record.name!r}); every gateway refuses it within two seconds")
        return 0
    if named := [key_id for key_id, each in known.items() if each.name == given]:
        return _mistake(f"{given!r} is a name; keys are revoked by id: {', '.join(named)}")
    which = f"key {given!r}" if given else "such key"
    return _mistake(f"there is no {which}, see `hoonify-router keys list`")


@contextlib.contextmanager
def _store(context: PluginContext) -> Iterator[KeyStore]:
    from hoonify_plugins.api_keys.sqlite import open_store  # SQLite costs a start that needs no key

    store = open_store(settings_in(context.loaded), context.loaded)
    try:
        yield store
    finally:
        store.close()


def _name(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > 200:
        raise argparse.ArgumentTypeError("expected 1 to 200 printable characters")
    return text.strip()


def _glob(text: str) -> str:
    if not text or not text.isprintable() or "," in text:
        raise argparse.ArgumentTypeError("expected a model's id, or a pattern such as 'qwen*'")
    return text


def _lifetime(text: str) -> int:
    match = re.fullmatch(r"([1-9][0-9]{0,9})([smhdw])", text)
    seconds = int(match[1]) * SECONDS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_LIFETIME:
        raise argparse.ArgumentTypeError(f"expected a time such as 12h, 30d or 52w, not {text!r}")
    return seconds


def _when(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tell(text: str) -> None:
    print(text, file=sys.stderr)


def _mistake(text: str) -> int:
    _tell(f"hoonify-router: {text}")
    return 2
