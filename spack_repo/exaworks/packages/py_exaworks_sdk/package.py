import shutil
import subprocess
from pathlib import Path

from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *

RELEASE = "2026.11.0"


def commit(checkout, name):
    """Return the commit of a tag or of HEAD in the repository of this recipe; None without it."""
    command = ["git", "-C", str(checkout), "rev-parse", "--verify", "--quiet", name + "^{commit}"]
    if not (checkout / ".git").exists():  # an unpacked archive, perhaps inside another checkout
        return None
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:  # there is no git
        return None
    return done.stdout.strip() or None


class PyExaworksSdk(PythonPackage):
    """The ``exaworks`` command, which tests ExaWorks SDK installations on a site's schedulers."""

    # The source is the repository that contains this recipe: its tag of the release, its present
    # commit, or, in an unpacked release archive, the files as they are.
    checkout = Path(__file__).resolve().parents[4]
    head = commit(checkout, "HEAD")
    tagged = commit(checkout, f"refs/tags/v{RELEASE}")

    homepage = "https://exaworks.org"
    git = checkout.as_uri()
    has_code = head is not None

    maintainers("exaworks-sdk-maintainers")

    license("MIT")

    if tagged:
        version(RELEASE, tag=f"v{RELEASE}", commit=tagged)
    if head:
        version("develop", commit=head)
    else:
        version(RELEASE)

    import_modules = ["exaworks_sdk", "sdk_tests", "site_configs", "dashboard_client"]

    # Generated from the commands while the wheel is built.
    sanity_check_is_file = [
        "share/man/man1/exaworks.1",
        "share/bash-completion/completions/exaworks",
        "share/zsh/site-functions/_exaworks",
        "share/fish/vendor_completions.d/exaworks.fish",
    ]

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

    @run_before("install")
    def copy_release(self):
        """Copy the files of an unpacked archive: building a package changes its folder."""
        if not self.has_code:
            leave = shutil.ignore_patterns(".exaworks", "__pycache__", "build", "*.egg-info")
            source = self.stage.source_path
            shutil.copytree(self.checkout, source, ignore=leave, dirs_exist_ok=True)

    def test_release(self):
        """the command starts and knows the release of the bundle"""
        exaworks = which(self.prefix.bin.exaworks, required=True)
        exaworks.add_default_env("EXAWORKS_HOME", self.test_suite.test_dir_for_spec(self.spec))
        assert RELEASE in exaworks("--version", output=str)
        assert str(Version(RELEASE).up_to(2)) in exaworks("release", "list", output=str).split()
