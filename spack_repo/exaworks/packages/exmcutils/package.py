import os

from spack_repo.builtin.packages.exmcutils.package import Exmcutils as BuiltinExmcutils

from spack.package import *


class Exmcutils(BuiltinExmcutils):
    __doc__ = BuiltinExmcutils.__doc__

    # One commit for all parts of Swift/T: the checksums of these versions' archives are not known.
    version("0.6.5", commit="432b259819fe4c13c9e737356e1f5f475837250b")

    with default_args(type="build", when="@0.6.5"):
        depends_on("autoconf")
        depends_on("automake")
        depends_on("libtool")
        depends_on("m4")

    @property
    def configure_directory(self):
        return "c-utils/code" if self.spec.satisfies("@0.6.5,master") else "."

    def autoreconf(self, spec, prefix):
        with working_dir(self.configure_directory):
            if not os.path.exists("configure"):
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
