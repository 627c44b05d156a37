"""Whether a home can run here, told by a quick look that imports nothing of SGLang."""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from pathlib import Path

from msgspec import Struct

from hoonify_backends.openai import wrong_address
from hoonify_backends.sglang.command import local_folder
from hoonify_backends.sglang.flags import (
    find_package,
    read_installation,
    wrong_flag,
)
from hoonify_backends.sglang.memory import gpus_needed
from hoonify_backends.sglang.model_folder import wrong_model
from hoonify_backends.sglang.options import SGLangOptions
from hoonify_router.api import HomeConfig, Unavailable

log = logging.getLogger(__name__)

_SYNC = "hoonify-router env sync sglang"
_OR_URL = "or start a server yourself and give its address: `url: http://HOST:30000`"


def check(options: Struct, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    """Return why the home cannot be used."""
    assert isinstance(options, SGLangOptions)
    if home.url is not None:
        return wrong_address(home.url)
    return _wrong_options(options, base_dir) or _wrong_place(options, home, base_dir)


def _wrong_options(options: SGLangOptions, base_dir: Path) -> Unavailable | None:
    if options.model is None:
        return Unavailable(
            "Its model is not named.", "options.model: name a folder or a repository"
        )
    folder = local_folder(options.model, base_dir)
    if folder is not None:
        dummy = "dummy" in options.extra_args  # of --load-format
        if wrong := wrong_model(folder, dummy=dummy):
            return wrong
    if options.node_rank != 0:
        told = "options.node_rank: only node 0 serves; `hoonify-router explain MODEL` shows the others' commands"
        return Unavailable("It is set up as a node that does not serve.", told)
    if options.nnodes > 1 and options.dist_init_addr is None:
        told = "options.dist_init_addr: several nodes need it: HOST:PORT of this one"
        return Unavailable("It is set up for several nodes that cannot find each other.", told)
    return None


def _wrong_place(options: SGLangOptions, home: HomeConfig, base_dir: Path) -> Unavailable | None:
    if home.python is None:
        if importlib.util.find_spec("sglang") is None:
            wanted = f"{_SYNC} --accelerator cpu" if options.device == "cpu" else _SYNC
            return Unavailable("The sglang backend is not installed here.", f"{wanted}, {_OR_URL}")
        python = Path(sys.executable)
    else:
        python = base_dir / os.path.expanduser(home.python)
    package = find_package(python)
    installed = read_installation(package) if package is not None else None
    if options.extra_args and (installed is None or not installed.flags):
        log.info(
            "the flags of SGLang at %s cannot be read: extra_args are taken as they are", python
        )
    if wrong := wrong_flag(options.extra_args, installed):
        return Unavailable("Its settings are not right.", f"options.extra_args: {wrong}")
    return _missing_gpus(options)


def _missing_gpus(options: SGLangOptions, devices: Path = Path("/dev")) -> Unavailable | None:
    """Return why there are too few GPUs; of other makers than NVIDIA it is only seen that there are some."""
    if options.device == "cpu" or (devices / "kfd").exists() or (devices / "dxg").exists():
        return None
    there = len([path for path in devices.glob("nvidia[0-9]*") if path.name[6:].isdigit()])
    needed = gpus_needed(options)
    if there >= needed:
        return None
    if not there:
        told = "no NVIDIA GPU is visible; `device: cpu` under options runs small models without one"
        return Unavailable("It needs a GPU, and there is none here.", told)
    return Unavailable(
        f"It needs {needed} GPUs, and there are fewer here.", f"{there} NVIDIA GPUs are visible"
    )
