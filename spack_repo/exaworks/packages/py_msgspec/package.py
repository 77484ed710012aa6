from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyMsgspec(PythonPackage):
    """msgspec validates and converts JSON, MessagePack, YAML and TOML by type annotations."""

    homepage = "https://jcristharif.com/msgspec"
    git = "https://github.com/jcrist/msgspec.git"
    pypi = "msgspec/msgspec-0.22.0.tar.gz"

    maintainers("exaworks-sdk-maintainers")

    license("BSD-3-Clause")

    version("0.22.0", sha256="0a13624a4969159fe35d8c2a3d377b2b61bbd8585e327440d5e52725affcce38")

    import_modules = ["msgspec", "msgspec.json"]

    depends_on("c", type="build")

    depends_on("python@3.10:", type=("build", "link", "run"))
    depends_on("py-setuptools@80:", type="build")
    depends_on("py-setuptools-scm@8:", type="build")

    def test_conversion(self):
        """a typed document is decoded, and one of another type is refused"""
        script = join_path(self.test_suite.current_test_data_dir, "conversion.py")
        self.spec["python"].command(script, str(self.version))
