from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyRadicalGtod(PythonPackage):
    """RADICAL-GTOD prints the time since the epoch, to fractions of a second."""

    homepage = "https://radical-cybertools.github.io"
    git = "https://github.com/radical-cybertools/radical.gtod.git"
    pypi = "radical_gtod/radical_gtod-1.103.0.tar.gz"

    maintainers("exaworks-sdk-maintainers")

    # According to the license file; the metadata states GPL.
    license("LGPL-3.0-only")

    version("1.103.0", sha256="89d05f6fdc01cb880a7692b4304d7997e0b24e312a01452791ecf847b979922f")
    version("1.90.0", sha256="70889239d3a60f8f323f62b942939665464fa368c4a00d0fbc49c878658f57b2")

    import_modules = ["radical.gtod"]

    depends_on("c", type="build")

    depends_on("python@3.8:", type=("build", "run"), when="@1.103:")
    depends_on("python@3.7:", type=("build", "run"), when="@:1.90")
    depends_on("py-setuptools", type="build")
    depends_on("py-radical-utils@1.100:1.109", type=("build", "run"), when="@1.103:")
    depends_on("py-radical-utils@1.90:1.99", type=("build", "run"), when="@:1.90")

    def test_clock(self):
        """the compiled clock and Python's agree within ten seconds"""
        script = join_path(self.test_suite.current_test_data_dir, "clock.py")
        self.spec["python"].command(
            script, str(self.version), self.prefix.bin.join("radical-gtod")
        )
