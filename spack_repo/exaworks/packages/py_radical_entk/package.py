from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyRadicalEntk(PythonPackage):
    """RADICAL-EnTK runs ensembles of pipelines, stages and tasks on top of RADICAL-Pilot."""

    homepage = "https://radical-cybertools.github.io"
    git = "https://github.com/radical-cybertools/radical.entk.git"
    pypi = "radical_entk/radical_entk-1.103.0.tar.gz"

    maintainers("exaworks-sdk-maintainers")

    license("MIT")

    version("1.103.0", sha256="bfd5a8df059310e8f8609a8eade1aec50850142bf5903e1100e99b7bedc85302")
    version("1.92.0", sha256="908a5d35cbc801c8b064837a21cbf5ad1a9b4aed0db48f2db84ef85d4e529cef")

    import_modules = ["radical.entk"]

    depends_on("python@3.8:", type=("build", "run"), when="@1.103:")
    depends_on("python@3.7:", type=("build", "run"), when="@:1.92")
    depends_on("py-setuptools", type="build")

    with default_args(type=("build", "run")):
        depends_on("py-radical-utils@1.100:1.109", when="@1.103:")
        depends_on("py-radical-pilot@1.100:1.109", when="@1.103:")
        depends_on("py-radical-utils@1.90:1.99", when="@:1.92")
        depends_on("py-radical-pilot@1.90:1.99", when="@:1.92")

    def test_ensemble(self):
        """a pipeline of two stages runs in a pilot on this host, the second after the first"""
        script = join_path(self.test_suite.current_test_data_dir, "two_stages.py")
        pilot = self.spec["py-radical-pilot"].package.package_dir
        self.spec["python"].command(script, str(self.version), join_path(pilot, "test"))
