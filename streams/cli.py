"""The `intentstream` command group, which imports the module of a command only on first use."""

from __future__ import annotations

import atexit
import gc
import logging
import sys
from importlib import import_module
from importlib.util import find_spec
from keyword import iskeyword

import click

from inference.plain_text import printable_lines
from streams.errors import ConfigurationError, StreamsError

# The commands' summaries are repeated here, so that `--help` does not import numpy, Faust and ONNX Runtime.
COMMANDS = {
    "demo": "Replay real purchases through a broker and a worker, live.",
    "worker": "Run one worker: interactions in, recommendations out.",
    "produce": "Publish interactions and items from JSON Lines files.",
    "watch": "Show recommendations as they arrive, with titles.",
    "import": "Convert a shop's exports into items.jsonl and events.jsonl.",
    "replay": "Recommend for a file of interactions, without Kafka.",
    "evaluate": "Evaluate the recommendations on a log of interactions, beside baselines.",
    "evaluate-compare": "Compare two evaluations: whether B is better than A, or the difference is chance.",
    "evaluate-suggestions": "Evaluate query suggestions on real queries, beside most-popular completion.",
    "value": "Measure what each source, feature, event type, field, attribute and day of history is worth.",
    "examples": "Gather training examples for the ranker.",
    "train-ranker": "Fit a ranker to a shop's interactions, and write a new version of the model.",
    "train-sequence": "Train a sequence model on a shop's events, and write a new version of the model.",
    "learn": "Refit the ranker to what shoppers do, and publish it to the workers if it is better.",
    "profile": "Show or export everything that is kept about a shopper.",
    "forget": "Delete everything that is kept about a shopper.",
    "config": "Show or check the settings, with the origin of each.",
    "topics": "Create or check the Kafka topics.",
    "assets": "Show the inventory of data assets, their lineage and history, and export it.",
    "dead-letters": "List, show and replay refused messages.",
    "model": "Inspect model bundles, and pin the one that workers serve.",
    "encode": "Encode a catalogue into vectors.",
    "items": "Show derived attributes, duplicates and variants of a catalogue.",
    "compile": "Compile the kernels for this machine's processor.",
    "distill": "Distil the teacher into a student for a shop, and write a model bundle.",
    "schema": "Print the JSON Schema of one MESSAGE, or of all.",
}

OFFLINE = {
    "import", "evaluate", "evaluate-compare", "evaluate-suggestions", "value", "examples", "train-ranker",
    "train-sequence", "learn", "distill",
}  # fmt: skip
"""The commands of `training.commands`. The others are in `streams.commands`."""


class LazyGroup(click.Group):
    """Group of commands, each in its own module. It prints the project's errors as one line."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the commands whose module exists, in the order of use."""
        return [name for name in COMMANDS if find_spec(_module(name))]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module of a command and return the command of the same name."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = getattr(import_module(_module(cmd_name)), _identifier(cmd_name))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands in the help without importing them."""
        if rows := [(name, COMMANDS[name]) for name in self.list_commands(ctx)]:
            with formatter.section("Commands"):
                formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. The project's errors print one line to stderr; Ctrl-C exits silently with code 130."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.exceptions.Exit(130) from None
        except _our_errors() as error:
            failure = click.ClickException(printable_lines(str(error)))
            failure.exit_code = 2 if isinstance(error, ConfigurationError) else 1
            raise failure from error


def _module(command: str) -> str:
    package = "training" if command in OFFLINE else "streams"
    return f"{package}.commands.{_identifier(command)}"


def _identifier(command: str) -> str:
    """Return the name of a command's module and function; a keyword of Python has an underscore at its end."""
    return f"{command}_" if iskeyword(command) else command.replace("-", "_")


def _our_errors() -> tuple[type[Exception], ...]:
    # Do not import `inference` for this: a module that is not loaded cannot have raised an error.
    loaded = sys.modules.get("inference.errors")
    return (StreamsError,) if loaded is None else (StreamsError, loaded.InferenceError)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="intentstream")
def cli() -> None:
    """Recommend in real time: read shoppers' actions from Kafka, publish ranked lists within milliseconds.

    Settings are INTENTSTREAM_* variables in the environment or a .env file; `intentstream config show` lists them.

    Example: intentstream demo
    """
    # A command reports an unreachable broker in one line of its own. The worker configures logging itself.
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())


def main() -> None:
    """Run the command line."""
    # Python collects all garbage when it ends, and msgspec's types then crash the process now and then:
    # https://github.com/msgspec/msgspec/issues/717. Frozen objects are left to the operating system.
    atexit.register(gc.freeze)
    cli(prog_name="intentstream")
