from spack_repo.builtin.packages.exmcutils.package import Exmcutils as BuiltinExmcutils

from spack.package import *


class Exmcutils(BuiltinExmcutils):
    __doc__ = BuiltinExmcutils.__doc__

    maintainers("exaworks-sdk-maintainers")

    license("Apache-2.0")

    version("0.6.5", sha256="48c5b783297f59354538f99146526670ed71475b975348ca1d5423be61011e7c")

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

    def test_library(self):
        """a program that uses the headers and the library runs"""
        source = join_path(self.test_suite.current_test_data_dir, "list.c")
        compiler = which("cc", "gcc", "clang", required=True)
        rpath = f"-Wl,-rpath,{self.prefix.lib}"
        compiler(
            source,
            f"-I{self.prefix.include}",
            f"-L{self.prefix.lib}",
            rpath,
            "-lexmcutils",
            "-o",
            "list",
        )
        printed = which("./list", required=True)(output=str)
        assert printed.split() == ["3"], printed
