from spack_repo.builtin.packages.flux_sched.package import AutotoolsBuilder, CMakeBuilder
from spack_repo.builtin.packages.flux_sched.package import FluxSched as BuiltinFluxSched

from spack.package import *

__all__ = ["AutotoolsBuilder", "CMakeBuilder", "FluxSched"]


class FluxSched(BuiltinFluxSched):
    __doc__ = BuiltinFluxSched.__doc__

    # The tag's commit: the release's archive holds a generated file, its checksum unknown here.
    version("0.54.0", commit="1f258ef9d9bcfa380f27f5a1dede9abce1f88f8a")

    depends_on("flux-core@0.88", when="@0.54", type=("build", "link", "run"))

    def setup_run_environment(self, env: EnvironmentModifications) -> None:
        super().setup_run_environment(env)
        if not self.spec.external:
            # The choice of scheduler is in a file there; without it flux-core loads its own.
            env.append_path(
                "FLUX_MODPROBE_PATH_APPEND", join_path(self.prefix.etc, "flux", "modprobe")
            )

    def test_fluxion(self):
        """an instance loads Fluxion, and a job runs under it"""
        flux = which(self.spec["flux-core"].prefix.bin.flux, required=True)
        said = flux(
            "start", "sh", "-c", "flux module list && flux run echo ran", output=str, timeout=120
        )
        assert "sched-fluxion-qmanager" in said, said
        assert "sched-simple" not in said, said
        assert said.split()[-1] == "ran", said
