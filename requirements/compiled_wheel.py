"""Build hook of the compiled wheel: the hot modules as C, by mypyc, from the very same source.

It runs only where it is asked for; the ordinary wheel is pure Python and needs none of this:

    HATCH_BUILD_HOOK_ENABLE_CUSTOM=true pip wheel --no-deps .

``python requirements/compiled_wheel.py`` tells in one line whether this machine can compile.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent
MODULES = Path(__file__).with_name("compiled-modules.txt")
HEADER = Path(__file__).with_name("compiled_wheel.h")
GROUP = "hoonify_router"
"""All modules share one library beside the packages, so that calls between them are C calls: hoonify_router__mypyc."""

_SOURCES = {"hoonify_router": "router", "hoonify_plugins": "plugins"}
_WORK = ROOT / "build" / "compiled"
# Types are a matter of `make lint`; here they only tell mypyc what it may rely on.
_MYPY = ("--config-file=", "--explicit-package-bases", "--follow-imports=silent")


class CannotCompile(Exception):
    """The wheel cannot be compiled; one line says why."""


def modules() -> list[str]:
    """Return the modules that are compiled."""
    lines = (line.partition("#")[0].strip() for line in MODULES.read_text().splitlines())
    return [line for line in lines if line]


def source_of(module: str) -> str:
    """Return where a module's source is, from the project's root on.

    Raises:
        CannotCompile: There is no such module.
    """
    package, _, rest = module.partition(".")
    path = Path(_SOURCES.get(package, package), package, *rest.split(".")).with_suffix(".py")
    if not (ROOT / path).is_file():
        raise CannotCompile(f"{MODULES.name} lists {module}, which is not there; take it out")
    return str(path)


def check_machine() -> None:
    """Look whether this machine can compile.

    Raises:
        CannotCompile: It lacks something.
    """
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        raise CannotCompile(
            f"a C compiler is needed ({compiler}); on Debian: apt install gcc libc6-dev"
        )
    if not Path(sysconfig.get_path("include"), "Python.h").is_file():
        version = "{}.{}".format(*sys.version_info)
        raise CannotCompile(
            f"Python's headers are needed; on Debian: apt install python{version}-dev"
        )
    try:
        import mypyc.build  # noqa: F401
    except ImportError:
        raise CannotCompile("mypyc is needed; `make dev` installs it") from None


def compile_modules() -> Iterator[tuple[Path, str]]:
    """Compile; yield each library and where in the wheel it goes.

    Raises:
        CannotCompile: One of the modules is not there, or this machine lacks something.
    """
    check_machine()
    sources = [source_of(module) for module in modules()]
    from mypyc.build import mypycify
    from setuptools import Distribution  # its types are no part of this project

    roots = os.pathsep.join(("router", "backends", "plugins"))
    os.environ["MYPYPATH"] = roots
    with contextlib.chdir(ROOT):
        extensions = mypycify(
            [*_MYPY, *sources],
            opt_level="1",  # keeps the build short
            debug_level="0",
            group_name=GROUP,
            target_dir=str(_WORK / "c"),
        )
        for extension in extensions:
            extension.extra_compile_args += ["-include", str(HEADER)]
        command: Any = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
        shutil.rmtree(_WORK / "libraries", ignore_errors=True)
        command.build_lib, command.build_temp = str(_WORK / "libraries"), str(_WORK / "objects")
        command.ensure_finalized()
        command.run()
    for path in (_WORK / "libraries").rglob("*.*"):
        if path.is_file():
            yield path, path.relative_to(_WORK / "libraries").as_posix()


class CompiledWheel(BuildHookInterface[Any]):
    """Adds the compiled modules to the wheel; their sources stay in it, for tracebacks."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it builds a wheel."""
        if version == "editable":
            raise SystemExit("hoonify-router: an editable install is never compiled")
        try:
            libraries = list(compile_modules())
        except CannotCompile as problem:
            raise SystemExit(f"hoonify-router: {problem}") from None
        build_data["force_include"].update({str(path): place for path, place in libraries})
        build_data["pure_python"] = False
        build_data["infer_tag"] = True


if __name__ == "__main__":
    try:
        check_machine()
        for module in modules():
            source_of(module)
    except CannotCompile as problem:
        raise SystemExit(f"hoonify-router: {problem}") from None
