"""What ``plugins: api_keys:`` in the configuration may say."""

from __future__ import annotations

import hashlib
import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from hoonify_plugins.api_keys.record import INFERENCE, KeyRecord, Scope
from hoonify_plugins.database.address import problems_of as problems_of_address
from hoonify_router.api import LoadedConfig

NAME = "api_keys"
_PLANS = ["free", "standard", "unlimited"]
_SHA256 = re.compile(r"[0-9a-f]{64}")

_Word = Annotated[str, Meta(min_length=1, max_length=200)]


def _says(text: str, **limits: Any) -> Meta:
    return Meta(description=text, **limits)


class DeclaredKey(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A key whose hash stands in the configuration file, for those who keep it under version control."""

    name: Annotated[_Word, _says("What its owner calls it.")]
    sha256: Annotated[
        str, _says("SHA-256 of the key in hex: `printf %s hoo_... | sha256sum`, never the key.")
    ]
    plan: Annotated[_Word, _says("Its plan.")]
    models: Annotated[
        list[str], _says("Models that it may use, by globs of their IDs; default: all.")
    ] = field(default_factory=list)
    scopes: Annotated[list[Scope], _says("What it may do.")] = field(
        default_factory=lambda: [INFERENCE]
    )
    owner: Annotated[str, _says("Whose it is.")] = ""


class APIKeysSettings(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """API keys."""

    store: Annotated[
        str | None,
        _says(
            "The database: `sqlite:///var/hoonify.db` (a relative path counts from the folder of this file) or"
            " `postgresql://user:${PASSWORD}@host/database`. Default: hoonify.db in the state folder."
        ),
    ] = None
    plans: Annotated[
        list[_Word],
        _says(
            "Plans that a key may be on. Default: those of `rate_limits`, or else free, standard and unlimited.",
            min_length=1,
        ),
    ] = field(default_factory=_PLANS.copy)
    keys: Annotated[list[DeclaredKey], _says("Keys by their hash, beside those in the store.")] = (
        field(default_factory=list)
    )

    @property
    def first_plan(self) -> str:
        """Return the plan of the key that is made for the first start."""
        return "unlimited" if "unlimited" in self.plans else self.plans[0]

    @property
    def declared(self) -> list[KeyRecord]:
        """Return the keys of the file as records."""
        return [_record(key) for key in self.keys]


def settings_in(loaded: LoadedConfig) -> APIKeysSettings:
    """Return the settings that a checked configuration holds, with the plans that there are."""
    given = loaded.config.plugins.get(NAME, {})
    settings = msgspec.convert(given, APIKeysSettings)
    if "plans" not in given:
        settings.plans = _plans_with_limits(loaded)
    return settings


def _plans_with_limits(loaded: LoadedConfig) -> list[str]:
    """Return the plans that the plugin ``rate_limits`` is told of, if it is: nobody should have to list them twice."""
    limits = loaded.config.plugins.get("rate_limits", {})
    plans = limits.get("plans") if isinstance(limits, dict) else None
    return list(plans) if isinstance(plans, dict) and plans else _PLANS.copy()


def problems_of(settings: APIKeysSettings) -> list[str]:
    """Return what the types cannot say; the store is never quoted, it may hold a password."""
    problems = problems_of_address(settings.store, f"plugins.{NAME}.store")
    repeated = sorted({plan for plan in settings.plans if settings.plans.count(plan) > 1})
    problems.extend(f"plugins.{NAME}.plans: {plan!r} is listed twice" for plan in repeated)
    seen: set[str] = set()
    for number, key in enumerate(settings.keys):
        path = f"plugins.{NAME}.keys[{number}]"
        if _SHA256.fullmatch(key.sha256) is None:
            hint = (
                "a key itself never stands in a file" if "hoo_" in key.sha256 else "64 hex digits"
            )
            problems.append(f"{path}.sha256: expected the SHA-256 of a key; {hint}")
        elif key.sha256 in seen:
            problems.append(f"{path}.sha256: the same key is declared twice")
        seen.add(key.sha256)
        if key.plan not in settings.plans:
            problems.append(f"{path}.plan: there is no plan {key.plan!r}")
    return problems


def _record(key: DeclaredKey) -> KeyRecord:
    # The id must stay the same from start to start, and tell nothing of the key.
    public = hashlib.sha256(f"id of {key.sha256}".encode()).hexdigest()[:12]
    return KeyRecord(
        id=f"key_{public}",
        name=key.name,
        plan=key.plan,
        digest=bytes.fromhex(key.sha256),
        created=0,
        models=tuple(key.models),
        owner=key.owner,
        scopes=tuple(key.scopes),
    )
