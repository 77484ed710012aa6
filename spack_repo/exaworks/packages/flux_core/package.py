import re

from spack_repo.builtin.packages.flux_core.package import FluxCore as BuiltinFluxCore

from spack.package import *


class FluxCore(BuiltinFluxCore):
    __doc__ = BuiltinFluxCore.__doc__

    maintainers("exaworks-sdk-maintainers")

    executables = ["^flux$"]

    # The commit of the tag: the checksum of the archive, created by autotools, is not known.
    version("0.88.0", commit="93ccef2f1a33e32941fcb1992dbf3a96366ec506")

    with default_args(type="build", when="@0.88.0"):
        depends_on("autoconf")
        depends_on("automake")
        depends_on("libtool")
    depends_on("hwloc@2.1:", when="@0.88:")
    depends_on("python@3.6:", when="@0.88:", type=("build", "link", "run"))

    @classmethod
    def determine_version(cls, exe):
        """Read the version of a site's Flux, for ``spack external find flux-core``."""
        printed = Executable(exe)("version", output=str, error=str, fail_on_error=False)
        found = re.search(r"^commands:\s+(\d+(?:\.\d+)+)", printed, re.MULTILINE)
        return found.group(1) if found else None

    def setup_build_environment(self, env: EnvironmentModifications) -> None:
        super().setup_build_environment(env)
        env.set("FLUX_VERSION", str(self.version))

    def setup_run_environment(self, env: EnvironmentModifications) -> None:
        super().setup_run_environment(env)
        if not self.spec.external:
            # The bindings are not in site-packages, but next to the modules of the broker.
            python = self.spec["python"].version.up_to(2)
            env.prepend_path("PYTHONPATH", join_path(self.prefix.lib, "flux", f"python{python}"))

    def test_start(self):
        """an instance of one broker starts and runs a job"""
        flux = which(self.prefix.bin.flux, required=True)
        with test_part(
            self, "test_start_version", purpose="the command reports the recipe's version"
        ):
            printed = flux("version", output=str)
            assert str(self.version) in printed, printed
        with test_part(
            self, "test_start_job", purpose="a job runs on two cores of a new instance"
        ):
            printed = flux(
                "start", "flux", "run", "-n", "2", "echo", "ran", output=str, timeout=120
            )
            assert printed.split() == ["ran", "ran"], printed
