"""The parts of an image, independent of the definition language of an engine."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Family:
    """A family of base images: how packages are installed, and their names.

    ``packages`` maps the names in the catalogue to the names of the distribution's packages. ``before`` maps them to
    packages that must be installed first, since they enable further repositories. ``scopes`` are folders of Spack
    configuration in the checkout, with the distribution's packages that Spack uses as externals. ``links`` is a script
    in the checkout that creates prefixes of links for some of them, and the folder for these prefixes.
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
    """Install packages of the distribution, by their names in the catalogue, without keeping caches."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class Copy:
    """Copy a path of the build context or of an earlier stage to an absolute path, and set ``mode`` if it is given."""

    source: str
    target: str
    stage: str | None = None
    mode: str | None = None


@dataclass(frozen=True)
class Run:
    """Run shell commands, each of which must succeed.

    ``network``: the commands run pip, so they get the builder's pip configuration and CA bundle as secrets. ``git``:
    they get the builder's git configuration as a secret. ``mounted``: folders of the stage ``build`` that are mounted
    while the commands run and do not become part of the image.
    """

    commands: tuple[str, ...]
    network: bool = False
    git: bool = False
    mounted: tuple[str, ...] = ()


Step = Install | Copy | Run


@dataclass(frozen=True)
class Stage:
    """One stage of a build; only the last one becomes the image."""

    name: str
    steps: tuple[Step, ...]
    variables: tuple[str, ...] = ()
    """The names of the build arguments that its commands use."""


@dataclass(frozen=True)
class Image:
    """An image: its stages, and the settings of its containers."""

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
    """The image's own build arguments with their defaults."""
    dag_hash: str | None = None
    """A file of the stage ``build`` with the DAG hash of the Spack build, which becomes a label."""
