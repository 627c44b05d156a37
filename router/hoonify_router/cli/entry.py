"""The way through one run of ``hoonify-router``: load plugins, parse, dispatch, exit status."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import errno
import sys
from collections.abc import Sequence

from hoonify_router.cli import (
    check,
    compare,
    conformance,
    drain,
    env,
    explain,
    history,
    models,
    plan,
    plugins,
    reload,
    schema,
    serve,
    status,
)
from hoonify_router.cli.output import complain, drop_output, prepare_streams, warn
from hoonify_router.cli.parser import Installed, UnknownName, UsageError, build_parser, split_config
from hoonify_router.cli.preparation import prepare
from hoonify_router.discretion import without_keys
from hoonify_router.errors import ConfigError, PluginError, RouterError
from hoonify_router.loader import collect_commands, load_plugins, plugin_context

BUILT_IN = (
    serve.COMMAND,
    check.COMMAND,
    status.COMMAND,
    models.COMMAND,
    drain.COMMAND,
    compare.COMMAND,
    plan.PLAN,
    plan.APPLY,
    reload.COMMAND,
    history.HISTORY,
    history.ROLLBACK,
    env.COMMAND,
    explain.COMMAND,
    plugins.COMMAND,
    conformance.COMMAND,
    schema.COMMAND,
)
INTERRUPTED = 130
PIPE_CLOSED = 141
DISK_FULL = 1
FAILED = 1


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status: 0, or 2 after a user's mistake.

    Args:
        argv: The words after ``hoonify-router``; default: those of this process.
    """
    prepare_streams()
    try:
        try:
            return _run(list(sys.argv[1:] if argv is None else argv))
        finally:
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:  # whoever read our output has left
        drop_output()
        return PIPE_CLOSED
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        drop_output()
        complain(f"cannot write: {error.strerror}")
        return DISK_FULL


def _run(words: list[str]) -> int:
    installed = _look_around()
    try:
        config, words = split_config(words)
        parser = build_parser(BUILT_IN, (command for _, command in installed.commands.values()))
        arguments = parser.parse_args(words)
        if arguments.command is None:
            parser.print_help(sys.stderr)
            return 2
        arguments.config = config
        return _dispatch(arguments, installed)
    except SystemExit as end:  # argparse has answered --help or --version
        return end.code if isinstance(end.code, int) else 0
    except ConfigError as error:
        for line in error.problems:  # they begin with `file:line:`, for editors to jump to
            print(line, file=sys.stderr)
    except UsageError as error:
        if isinstance(error, UnknownName):  # it may be the command of a broken plugin
            warn(*map(str, installed.plugins.failures))
        complain(str(error))
    except PluginError as error:
        complain(*str(error).splitlines())
    except RouterError as error:  # of the running router
        complain(without_keys(error.message))
        return 2 if error.status < 500 else FAILED
    return 2


def _look_around() -> Installed:
    with contextlib.redirect_stdout(sys.stderr):  # our output may be for another program to read
        plugins = load_plugins()
        commands, failures = collect_commands(plugins, reserved=[own.name for own in BUILT_IN])
    plugins = dataclasses.replace(plugins, failures=(*plugins.failures, *failures))
    return Installed(plugins, commands)


def _dispatch(arguments: argparse.Namespace, installed: Installed) -> int:
    for own in BUILT_IN:
        if own.name == arguments.command:
            return own.run(arguments, installed)
    plugin, command = installed.commands[arguments.command]
    context = plugin_context(prepare(arguments.config, installed.plugins))
    try:
        return command.run(arguments, context)
    except PluginError:
        raise
    except Exception as error:
        error.add_note(
            f"in command {command.name!r} of plugin {plugin.name!r} ({plugin.distribution})"
        )
        raise
