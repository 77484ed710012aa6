import os

from spack_repo.builtin.packages.adlbx.package import Adlbx as BuiltinAdlbx

from spack.package import *


class Adlbx(BuiltinAdlbx):
    __doc__ = BuiltinAdlbx.__doc__

    # One commit for all parts of Swift/T: the checksums of these versions' archives are not known.
    version("1.0.7", commit="432b259819fe4c13c9e737356e1f5f475837250b")

    depends_on("exmcutils@0.6.5", when="@1.0.7")
    with default_args(type="build", when="@1.0.7"):
        depends_on("autoconf")
        depends_on("automake")
        depends_on("libtool")
        depends_on("m4")

    @property
    def configure_directory(self):
        return "lb/code" if self.spec.satisfies("@1.0.7,master") else "."

    def autoreconf(self, spec, prefix):
        with working_dir(self.configure_directory):
            if not os.path.exists("configure"):
                which("bash", required=True)("bootstrap")

    def test_ranks(self):
        """a server and a worker start under MPI, exchange a task and stop"""
        source = join_path(self.test_suite.current_test_data_dir, "put_get.c")
        utils = self.spec["exmcutils"].prefix
        # A Cray has neither mpicc nor mpiexec: its compiler is cc, and srun starts the ranks.
        mpi = self.spec["mpi"]
        compiler = which(getattr(mpi, "mpicc", mpi.prefix.bin.mpicc), "mpicc", "cc", required=True)
        compiler(
            source,
            f"-I{self.prefix.include}",
            f"-I{utils.include}",
            f"-L{self.prefix.lib}",
            f"-Wl,-rpath,{self.prefix.lib}",
            f"-L{utils.lib}",
            f"-Wl,-rpath,{utils.lib}",
            "-ladlb",
            "-lexmcutils",
            "-o",
            "put_get",
        )
        launcher = which(mpi.prefix.bin.mpiexec, "mpiexec", "mpirun", "srun", required=True)
        printed = launcher("-n", "2", "./put_get", output=str, timeout=120)
        assert "got 17" in printed, printed
