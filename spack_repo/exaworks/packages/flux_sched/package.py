from spack_repo.builtin.packages.flux_sched.package import AutotoolsBuilder, CMakeBuilder
from spack_repo.builtin.packages.flux_sched.package import FluxSched as BuiltinFluxSched

from spack.package import *

__all__ = ["AutotoolsBuilder", "CMakeBuilder", "FluxSched"]


class FluxSched(BuiltinFluxSched):
    __doc__ = BuiltinFluxSched.__doc__

    maintainers("exaworks-sdk-maintainers")

    # The commit of the tag: the checksum of the archive, which has a generated file, is not known.
    version("0.54.0", commit="1f258ef9d9bcfa380f27f5a1dede9abce1f88f8a")

    depends_on("flux-core@0.81:0.88", when="@0.54", type=("build", "link", "run"))
    conflicts(
        "%cxx=gcc@:11",
        when="@0.54",
        msg="Fluxion needs gcc 12 or newer: load the site's module of one, or run `spack install "
        "gcc@13`, then `spack compiler find`; without Flux: exaworks ~flux",
    )

    def setup_run_environment(self, env: EnvironmentModifications) -> None:
        if "lua" in self.spec:
            super().setup_run_environment(env)
        elif not self.spec.external:
            # With a site's flux-core there is no lua, for which builtin's recipe asks.
            for library in (self.prefix.lib, self.prefix.lib64):
                env.prepend_path("FLUX_MODULE_PATH", library.flux.modules)
                env.prepend_path("FLUX_MODULE_PATH", library.flux.modules.sched)
            env.prepend_path("FLUX_EXEC_PATH", self.prefix.libexec.flux.cmd)
            env.prepend_path("FLUX_RC_EXTRA", self.prefix.etc.flux)
        if not self.spec.external:
            # A file there selects the scheduler; without it flux-core loads its own scheduler.
            env.append_path(
                "FLUX_MODPROBE_PATH_APPEND", join_path(self.prefix.etc, "flux", "modprobe")
            )

    def test_fluxion(self):
        """an instance loads Fluxion, and a job runs under it"""
        flux = which(self.spec["flux-core"].prefix.bin.flux, required=True)
        printed = flux(
            "start", "sh", "-c", "flux module list && flux run echo ran", output=str, timeout=120
        )
        assert "sched-fluxion-qmanager" in printed, printed
        assert "sched-simple" not in printed, printed
        assert printed.split()[-1] == "ran", printed
