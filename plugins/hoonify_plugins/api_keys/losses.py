"""What keys lose when the configuration changes."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from fnmatch import fnmatchcase

from hoonify_plugins.api_keys.record import KeyRecord

_NAMED = 10


def losses(
    records: Iterable[KeyRecord], models_gone: Sequence[str], plans: Collection[str]
) -> list[str]:
    """Return one line for each way in which good keys are worse off.

    Args:
        records: All keys.
        models_gone: Models that there will be no more.
        plans: Plans that there will be.
    """
    now = time.time()
    good = [record for record in records if record.state(now) == "active"]
    lines = []
    for model in models_gone:
        anybody = [record for record in good if not record.models]
        named = [
            record
            for record in good
            if any(fnmatchcase(model, pattern) for pattern in record.models)
        ]
        if anybody:
            lines.append(f"{_count(len(anybody))} that may use all models can no more ask {model}")
        if named:
            lines.append(f"{_names(named)} can no more ask {model}")
    stranded: dict[str, list[KeyRecord]] = {}
    for record in good:
        if record.plan not in plans:
            stranded.setdefault(record.plan, []).append(record)
    lines += [
        f"{_names(keys)}: there is no plan {plan!r} any more" for plan, keys in stranded.items()
    ]
    return lines


def _names(records: Sequence[KeyRecord]) -> str:
    names = [f"{record.name} ({record.id})" for record in records[:_NAMED]]
    more = f" and {len(records) - _NAMED} more" if len(records) > _NAMED else ""
    return f"{'key' if len(records) == 1 else 'keys'} {', '.join(names)}{more}"


def _count(number: int) -> str:
    return "one key" if number == 1 else f"{number} keys"
