from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version

import click
import pytest
from click.testing import CliRunner

from inference.errors import BundleError
from streams import cli
from streams.errors import ConfigurationError, TopicError

HEAVY = {"aiokafka", "faust", "msgspec", "numpy", "onnxruntime", "pydantic", "rich", "tokenizers"}
COMMANDS = cli.cli.list_commands(click.Context(cli.cli))


def fail_with(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Replace every command by one that raises this error."""

    @click.command()
    def command() -> None:
        raise error

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda self, ctx, name: command)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example_and_its_listed_summary(name: str) -> None:
    result = CliRunner().invoke(cli.cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Example" in result.output
    command = cli.cli.get_command(click.Context(cli.cli), name)
    assert command is not None
    assert command.get_short_help_str(limit=200).rstrip(".") == cli.COMMANDS[name].rstrip(".")


def test_the_command_table_matches_the_modules() -> None:
    assert list(cli.COMMANDS) == COMMANDS
    found = [cli.cli.get_command(click.Context(cli.cli), name) for name in COMMANDS]
    packages = {command.callback.__module__.rpartition(".")[0] for command in found if command and command.callback}
    defined = set()
    for package in packages:
        for _, name, _ in pkgutil.iter_modules(import_module(package).__path__):
            if isinstance(getattr(import_module(f"{package}.{name}"), name, None), click.Command):
                defined.add(name.rstrip("_").replace("_", "-"))
    assert defined == set(cli.COMMANDS)


def test_help_lists_the_commands_without_heavy_imports() -> None:
    code = (
        "import sys; from streams.cli import cli; cli(['--help'], standalone_mode=False); "
        f"print(*({HEAVY!r} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.strip() == ""
    for name in COMMANDS:
        assert f"  {name} " in done.stdout


def test_help_imports_no_slow_package() -> None:
    """`--help` is fast because it imports no command: the packages below take up to a second each."""
    slow = ("aiokafka", "faust", "numba", "numpy", "onnxruntime", "pydantic", "rich", "torch")
    program = f"""
import sys
from streams.cli import main
sys.argv = ["intentstream", "--help"]
try:
    main()
finally:
    print("imported:", [name for name in {slow} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "imported: []" in done.stdout


def test_a_command_ends_without_a_last_garbage_collection() -> None:
    # Functions that are registered first are called last.
    program = """
import atexit, gc, sys
atexit.register(lambda: print("frozen:", gc.get_freeze_count() > 1000, len(gc.get_objects()) < 1000))
from streams.cli import main
sys.argv = ["intentstream", "--version"]
main()
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert "frozen: True True" in done.stdout


def test_version() -> None:
    assert version("intentstream") in CliRunner().invoke(cli.cli, ["--version"]).output


@pytest.mark.parametrize(
    ("error", "code"),
    [(TopicError("clicks: is missing"), 1), (BundleError("no manifest"), 1), (ConfigurationError("X: required Y"), 2)],
)
def test_an_error_is_one_line_and_an_exit_code(monkeypatch: pytest.MonkeyPatch, error: Exception, code: int) -> None:
    fail_with(monkeypatch, error)
    result = CliRunner().invoke(cli.cli, ["any"])
    assert (result.exit_code, result.stderr) == (code, f"Error: {error}\n")


def test_ctrl_c_prints_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    fail_with(monkeypatch, KeyboardInterrupt())
    result = CliRunner().invoke(cli.cli, ["any"])
    assert (result.exit_code, result.output) == (130, "")


def test_an_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(cli.cli, ["recomend"])
    assert result.exit_code == 2
    assert "No such command 'recomend'" in result.stderr


def test_an_invalid_setting_is_a_usage_error() -> None:
    result = CliRunner(env={"INTENTSTREAM_LIST_SIZE": "many"}).invoke(cli.cli, ["topics", "check"])
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: INTENTSTREAM_LIST_SIZE")


def test_the_broker_option_overrides_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INTENTSTREAM_BOOTSTRAP_SERVERS", "elsewhere:9092")
    result = CliRunner().invoke(cli.cli, ["topics", "check", "--broker", "nonsense"])
    assert result.exit_code == 2
    assert "got 'nonsense'" in result.stderr
