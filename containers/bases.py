"""The families of base images. To add one, add an entry and run ``exaworks images render --all``."""

from __future__ import annotations

from containers.errors import NoImageError
from containers.model import Family

DEBIAN = Family(
    name="debian-12",
    image="docker.io/library/debian:12-slim",
    tested=True,
    python="/usr/bin/python3",
    packages={
        "python": ("python3",),
        "venv": ("python3-venv",),
        "certificates": ("ca-certificates",),
        "git": ("git",),
        "compiler": ("gcc", "libc6-dev", "python3-dev"),
        "processes": ("procps",),
        "slurm": ("munge", "slurm-client", "slurmctld", "slurmd"),
        "flux-build": (
            *("autoconf", "automake", "libtool", "make", "pkg-config", "g++", "libarchive-dev", "libhwloc-dev"),
            *("libjansson-dev", "liblua5.1-dev", "liblz4-dev", "libncurses-dev", "libsqlite3-dev", "libsystemd-dev"),
            *(
                "libzmq3-dev",
                "lua5.1",
                "lua-posix",
                "python3-cffi",
                "python3-ply",
                "python3-setuptools",
                "python3-yaml",
            ),
            "uuid-dev",
        ),
        "flux-run": (
            *("libarchive13", "libhwloc15", "libjansson4", "liblua5.1-0", "liblz4-1", "libncurses6", "libsqlite3-0"),
            *("libpython3.11", "libsystemd0", "libuuid1", "libzmq5", "lua-posix", "python3-cffi", "python3-ply"),
            "python3-yaml",
        ),
        "spack-build": (
            *("ant", "autoconf", "automake", "bzip2", "cmake", "file", "g++", "gettext", "gfortran", "gnupg"),
            *("libarchive-dev", "libboost-filesystem-dev", "libboost-graph-dev", "libboost-regex-dev"),
            *("libboost-serialization-dev", "libboost-system-dev", "libedit-dev", "libffi-dev", "libhwloc-dev"),
            *("libjansson-dev", "liblua5.3-dev", "liblz4-dev", "libmpich-dev", "libncurses-dev", "libsodium-dev"),
            *("libsqlite3-dev", "libssl-dev", "libtool", "libxml2-dev", "libyaml-dev", "libzmq3-dev", "lua-posix"),
            *("lua5.3", "make", "mpich", "ninja-build", "openjdk-17-jdk-headless", "patch", "pkg-config"),
            *("swig", "tar", "tcl8.6-dev", "unzip", "uuid-dev", "xz-utils", "zsh", "zstd"),
        ),
        "spack-run": (
            *(
                "cpp",
                "libarchive13",
                "libboost-filesystem1.74.0",
                "libboost-graph1.74.0",
                "libboost-regex1.74.0",
                "libedit2",
            ),
            *("libffi8", "libgfortran5", "libgomp1", "libhwloc15", "libjansson4", "liblua5.3-0", "liblz4-1"),
            *("libncursesw6", "libpython3.11", "libsqlite3-0", "libuuid1", "libxml2", "libyaml-0-2", "libzmq5"),
            *("lua-posix", "lua5.3", "mpich", "openjdk-17-jre-headless", "tcl8.6", "zsh"),
        ),
    },
    scopes=("spack_repo/scopes/debian12", "containers/files/debian-12"),
    links=("containers/files/debian-links", "/opt/debian"),
)

ROCKY = Family(
    name="rocky-9",
    image="docker.io/rockylinux/rockylinux:9-minimal",
    tested=False,
    python="/usr/bin/python3.11",
    packages={
        "python": ("python3.11", "shadow-utils"),
        "venv": ("python3.11-pip",),
        "certificates": ("ca-certificates",),
        "git": ("git-core",),
        "compiler": ("gcc", "glibc-devel", "python3.11-devel"),
        "processes": ("procps-ng",),
        "slurm": ("munge", "slurm", "slurm-slurmctld", "slurm-slurmd"),
        "flux-build": (
            *("autoconf", "automake", "libtool", "make", "pkgconf-pkg-config", "gcc-c++", "libarchive-devel"),
            *("hwloc-devel", "jansson-devel", "lua-devel", "lz4-devel", "ncurses-devel", "sqlite-devel"),
            *("systemd-devel", "zeromq-devel", "libuuid-devel", "lua-posix", "python3.11-cffi", "python3.11-ply"),
            *("python3.11-pyyaml", "python3.11-setuptools"),
        ),
        "flux-run": (
            *("libarchive", "hwloc-libs", "jansson", "lua-libs", "lz4-libs", "ncurses-libs", "sqlite-libs"),
            *("systemd-libs", "libuuid", "zeromq", "lua-posix", "python3.11-cffi", "python3.11-ply"),
            "python3.11-pyyaml",
        ),
        "spack-build": (
            *("bzip2", "file", "gcc-c++", "gcc-gfortran", "gnupg2", "make", "patch", "python3.11-pip", "tar"),
            *("unzip", "xz", "zstd"),
        ),
        "spack-run": ("cpp", "libgfortran", "libgomp"),
    },
    before={"slurm": ("epel-release",), "flux-build": ("epel-release",), "flux-run": ("epel-release",)},
)

FAMILIES = {family.name: family for family in (DEBIAN, ROCKY)}


def family(name: str) -> Family:
    """Return the family of that name.

    Raises:
        NoImageError: no family has that name.
    """
    if name not in FAMILIES:
        raise NoImageError(f"there is no family of base images named {name}; known here: {', '.join(FAMILIES)}")
    return FAMILIES[name]
