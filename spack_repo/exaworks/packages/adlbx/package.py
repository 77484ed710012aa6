from spack_repo.builtin.packages.adlbx.package import Adlbx as BuiltinAdlbx

from spack.package import *


class Adlbx(BuiltinAdlbx):
    __doc__ = BuiltinAdlbx.__doc__

    maintainers("exaworks-sdk-maintainers")

    license("Apache-2.0")

    version("1.0.7", sha256="b659c04033406f6cf1adad9a8c2177b3944247262b6b45026786dbcb0f68bf40")

    depends_on("exmcutils@0.6.5", when="@1.0.7")

    # The archives lack config.guess, so configure is generated again. Builtin's recipe does this
    # too, but depends on the tools for it only for the branch master.
    with default_args(type="build"):
        depends_on("autoconf")
        depends_on("automake")
        depends_on("libtool")
        depends_on("m4")

    def autoreconf(self, spec, prefix):
        with working_dir(self.configure_directory):
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
