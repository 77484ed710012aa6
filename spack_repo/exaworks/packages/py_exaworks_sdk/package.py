import subprocess
from pathlib import Path

from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


def source(checkout, tag):
    """Name the repository to build from: that of this recipe, since recipes and harness are one.

    It is the checkout the recipe was read from, or, where that has not the release's tag, what it
    was cloned from: ``spack repo add URL`` brings the last two commits and no tags.
    """

    def ask(*words):
        command = ["git", "-C", str(checkout), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    return (
        not ask("tag", "--list", tag) and ask("remote", "get-url", "origin")
    ) or checkout.as_uri()


class PyExaworksSdk(PythonPackage):
    """The ``exaworks`` command: validates ExaWorks SDK installations on a site's schedulers."""

    homepage = "https://exaworks.org"

    git = source(Path(__file__).resolve().parents[4], "v2026.11.0")

    license("MIT")

    version("2026.11.0", tag="v2026.11.0")

    import_modules = ["exaworks_sdk", "sdk_tests", "site_configs", "dashboard_client"]

    # A root of its own, never a dependency of the bundle: it must not share a PYTHONPATH with
    # what it tests.
    depends_on("python@3.10:", type=("build", "run"))
    depends_on("py-setuptools@77:", type="build")

    with default_args(type=("build", "run")):
        depends_on("py-click@8.1.7:")
        depends_on("py-gitpython@3.1.43:")
        depends_on("py-jinja2@3.1.4:")
        depends_on("py-msgspec@0.19:")
        depends_on("py-pluggy@1.5:")
        depends_on("py-pytest@8.2:")
        depends_on("py-requests@2.32:")
        depends_on("py-rich@13.7:")
        depends_on("py-ruamel-yaml@0.18.6:")
        depends_on("py-tabulate@0.9:")

    def test_release(self):
        """the command starts and knows the release of the bundle"""
        exaworks = which(self.prefix.bin.exaworks, required=True)
        exaworks.add_default_env("EXAWORKS_HOME", self.test_suite.test_dir_for_spec(self.spec))
        assert str(self.version) in exaworks("--version", output=str)
        assert str(self.version.up_to(2)) in exaworks("release", "list", output=str).split()
