import os

from spack_repo.builtin.build_systems.autotools import AutotoolsPackage

from spack.package import *


class Stc(AutotoolsPackage):
    """STC compiles Swift/T programs to tasks of the Turbine runtime."""

    homepage = "https://swift-lang.github.io/swift-t"
    url = "https://swift-lang.github.io/swift-t-downloads/spack/stc-0.9.0.tar.gz"
    git = "https://github.com/swift-lang/swift-t.git"

    tags = ["e4s"]

    maintainers("exaworks-sdk-maintainers")

    license("Apache-2.0")

    # The commit that set this version: no archive of it is published.
    version("1.0.8", commit="432b259819fe4c13c9e737356e1f5f475837250b")
    version("0.9.0", sha256="edf187344ce860476473ab6599f042cd22ed029aa186d512135990accb9d260f")

    depends_on("java@11:25", type=("build", "run"), when="@1.0.8")
    depends_on("java@11", type=("build", "run"), when="@0.9.0")
    depends_on("ant@1.10", type="build")
    depends_on("zsh", type=("build", "run"))
    depends_on("turbine@1.5.2", type=("build", "run"), when="@1.0.8")
    depends_on("turbine@1.3.0", type=("build", "run"), when="@0.9.0")
    with default_args(type="build"):
        depends_on("autoconf")
        depends_on("automake")
        depends_on("libtool")

    conflicts("^openjdk@26:", msg="STC is compiled for Java 8, which JDK 26 and later may refuse")

    @property
    def configure_directory(self):
        return "stc/code" if self.spec.satisfies("@1.0.8") else "."

    def autoreconf(self, spec, prefix):
        with working_dir(self.configure_directory):
            if not os.path.exists("configure"):
                which("bash", required=True)("bootstrap")

    def patch(self):
        """Remove a compiler option that JDKs before 21 refuse; it only disables a warning."""
        if self.spec.satisfies("@1.0.8 ^java@:20"):
            filter_file(
                r'^\s*<compilerarg value="-Xlint:-this-escape"/>\s*$', "", "stc/code/build.xml"
            )

    def configure_args(self):
        return [f"--with-turbine={self.spec['turbine'].prefix}"]

    def test_foreach(self):
        """a program is compiled, and its loop of app tasks runs on two ranks"""
        program = join_path(self.test_suite.current_test_data_dir, "foreach.swift")
        swift = which(self.prefix.bin.join("swift-t"), required=True)
        printed = swift("-n", "2", program, output=str, error=str, timeout=240)
        tasks = sorted(line for line in printed.splitlines() if line.startswith("task "))
        assert tasks == [f"task {number} ran" for number in range(1, 9)], printed
