"""Hooks of the documentation site: pages from outside docs/, links to the sources, examples of the commands."""

from __future__ import annotations

import inspect
import posixpath
import re
from pathlib import Path

import click
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from monitoring.dashboards import page as panels
from streams.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/results.md": "measurements.md",
    "exported_models/README.md": "bundles.md",
    "k8s/README.md": "kubernetes.md",
}
"""Pages outside docs/, by their path in the repository, and their path on the site."""
LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)#\s]+)(#[^)\s]*)?\)")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Append each command's examples to its description, because mkdocs-click leaves out the epilog."""
    for command in _commands(cli):
        epilog = (command.epilog or "").replace("\b\n", "").strip()
        if epilog and epilog not in (command.help or ""):
            command.help = f"{inspect.cleandoc(command.help or '')}\n\n```text\n{epilog}\n```"
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Add the pages outside docs/, the images that they show, and the page about the panels of the dashboards."""
    for source, uri in PAGES.items():
        files.append(File.generated(config, uri, content=(ROOT / source).read_text(encoding="utf-8")))
    for path, content in panels.files().items():
        files.append(File.generated(config, path.removeprefix("docs/"), content=content))
    for image in sorted((ROOT / "benchmarks").glob("*.svg")):
        files.append(File.generated(config, f"benchmarks/{image.name}", abs_src_path=str(image)))
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead the links of the repository to the pages of the site, and all others to the sources."""
    uri = page.file.src_uri
    source = next((path for path, target in PAGES.items() if target == uri), f"docs/{uri}")

    def replaced(match: re.Match[str]) -> str:
        mark, text, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        there = PAGES.get(path) or path.removeprefix("docs/")
        there = posixpath.join(there, "README.md") if files.get_file_from_path(f"{there}/README.md") else there
        if files.get_file_from_path(there):
            return f"{mark}[{text}]({posixpath.relpath(there, posixpath.dirname(uri) or '.')}{anchor or ''})"
        if not (ROOT / path).exists():
            return match[0]  # mkdocs reports it
        return f"[{text}]({config.repo_url.rstrip('/')}/blob/main/{path})" if config.repo_url else text

    parts = FENCE.split(markdown)
    return "".join(part if n % 2 else LINK.sub(replaced, part) for n, part in enumerate(parts))


def _commands(group: click.Group) -> list[click.Command]:
    context = click.Context(group)
    direct = [command for name in group.list_commands(context) if (command := group.get_command(context, name))]
    return [*direct, *(each for command in direct if isinstance(command, click.Group) for each in _commands(command))]
