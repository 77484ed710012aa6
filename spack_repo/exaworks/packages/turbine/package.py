import os

from spack_repo.builtin.packages.turbine.package import Turbine as BuiltinTurbine

from spack.package import *


class Turbine(BuiltinTurbine):
    __doc__ = BuiltinTurbine.__doc__

    maintainers("exaworks-sdk-maintainers")

    license("Apache-2.0")

    # The commit that set this version: no archive of it is published.
    version("1.5.2", commit="432b259819fe4c13c9e737356e1f5f475837250b")

    depends_on("adlbx@1.0.7", when="@1.5.2")
    depends_on("exmcutils@0.6.5", when="@1.5.2")
    depends_on("tcl@8.6", when="@1.5.2", type=("build", "link", "run"))
    with default_args(type="build", when="@1.5.2"):
        depends_on("autoconf")
        depends_on("automake")
        depends_on("libtool")

    @property
    def configure_directory(self):
        return "turbine/code" if self.spec.satisfies("@1.5.2,master") else "."

    def autoreconf(self, spec, prefix):
        with working_dir(self.configure_directory):
            if not os.path.exists("configure"):
                which("bash", required=True)("bootstrap")

    def configure_args(self):
        args = super().configure_args()
        if self.spec.satisfies("@1.5.2"):
            # This version needs the folder of tclConfig.sh; earlier ones needed Tcl's prefix.
            configs = find(self.spec["tcl"].prefix, "tclConfig.sh", max_depth=3)
            if configs:
                tcl = f"--with-tcl={os.path.dirname(configs[0])}"
                args = [tcl if each.startswith("--with-tcl=") else each for each in args]
        return args

    def test_ranks(self):
        """a Tcl program runs on two ranks"""
        program = join_path(self.test_suite.current_test_data_dir, "ranks.tcl")
        turbine = which(self.prefix.bin.turbine, required=True)
        printed = turbine("-n", "2", program, output=str, error=str, timeout=120)
        assert "turbine-ran" in printed, printed
