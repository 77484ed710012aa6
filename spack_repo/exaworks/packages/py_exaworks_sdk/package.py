import subprocess
from pathlib import Path

from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


def source(checkout, tag):
    """Return the URL of the git repository to build from, which also contains this recipe.

    It is the checkout of the recipe or, if that does not have the tag of the release, the
    repository from which it was cloned: ``spack repo add URL`` clones two commits and no tags.
    """

    def git(*arguments):
        command = ["git", "-C", str(checkout), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    return (
        not git("tag", "--list", tag) and git("remote", "get-url", "origin")
    ) or checkout.as_uri()


class PyExaworksSdk(PythonPackage):
    """The ``exaworks`` command, which tests ExaWorks SDK installations on a site's schedulers."""

    homepage = "https://exaworks.org"

    git = source(Path(__file__).resolve().parents[4], "v2026.11.0")

    license("MIT")

    version("2026.11.0", tag="v2026.11.0")

    import_modules = ["exaworks_sdk", "sdk_tests", "site_configs", "dashboard_client"]

    # Always a separate root, never a dependency of the bundle: it must not share a PYTHONPATH
    # with the software that it tests.
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
