"""What an image consists of, apart from the language of any engine."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Family:
    """A family of base images: how packages are installed there, and what they are called.

    ``packages`` maps the names used in the catalogue to the family's own; ``before`` are commands that must have run
    once before packages of further repositories can be installed. ``scopes`` are folders of Spack configuration, by
    their path in the checkout, that name the distribution's packages which Spack takes instead of building its own;
    ``links`` is a script there that makes prefixes of links for some of them, given the folder to make them in.
    """

    name: str
    image: str
    tested: bool
    python: str
    packages: dict[str, tuple[str, ...]]
    before: dict[str, tuple[str, ...]] = field(default_factory=dict)
    scopes: tuple[str, ...] = ()
    links: tuple[str, str] | None = None


@dataclass(frozen=True)
class Install:
    """Install packages, by the catalogue's names, from the distribution, and keep no cache of it."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Copy:
    """Copy a path of the build context, or of an earlier stage, to an absolute path; ``mode`` is set where given."""

    source: str
    target: str
    stage: str | None = None
    mode: str | None = None


@dataclass(frozen=True)
class Run:
    """Run shell commands, each of which must succeed.

    ``network``: pip runs in it, so the builder's own pip configuration and CA bundle are lent to it; ``git`` likewise
    for git's configuration. ``lent`` are folders of the stage ``build`` that are there while it runs and leave nothing
    behind.
    """

    commands: tuple[str, ...]
    network: bool = False
    git: bool = False
    lent: tuple[str, ...] = ()


Step = Install | Copy | Run


@dataclass(frozen=True)
class Stage:
    """One stage of a build; only the last one is kept."""

    name: str
    steps: tuple[Step, ...]
    variables: tuple[str, ...] = ()
    """Names of build arguments that its commands use."""


@dataclass(frozen=True)
class Image:
    """An image: its stages, and what it is when it runs."""

    name: str
    title: str
    description: str
    stages: tuple[Stage, ...]
    environment: dict[str, str]
    labels: dict[str, str]
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    healthcheck: tuple[str, ...]
    ports: tuple[int, ...] = ()
    apptainer: bool = False
    arguments: dict[str, str] = field(default_factory=dict)
    """Build arguments of its own and their defaults."""
    dag_hash: str | None = None
    """A file of the stage ``build`` with the DAG hash of what Spack built; it becomes a label."""
