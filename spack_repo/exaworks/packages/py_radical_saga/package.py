from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyRadicalSaga(PythonPackage):
    """RADICAL-SAGA gives access to batch systems and files of many kinds through one interface."""

    homepage = "https://radical-cybertools.github.io"
    git = "https://github.com/radical-cybertools/radical.saga.git"
    pypi = "radical_saga/radical_saga-1.103.0.tar.gz"

    maintainers("exaworks-sdk-maintainers")

    license("MIT")

    version("1.103.0", sha256="6af345de30f7f6ba83f7d44560bfc8ea4e8794cfd50596c8fcfa50205c0645a0")
    version("1.90.0", sha256="55758339f58087477574ed598e5a34cb99d045a540a74ba9e11b34eead4af78d")

    import_modules = ["radical.saga"]

    depends_on("python@3.8:", type=("build", "run"), when="@1.103:")
    depends_on("python@3.7:", type=("build", "run"), when="@:1.90")
    depends_on("py-setuptools", type="build")
    depends_on("py-parse", type=("build", "run"))
    depends_on("py-radical-utils@1.100:1.109", type=("build", "run"), when="@1.103:")
    depends_on("py-radical-utils@1.90:1.99", type=("build", "run"), when="@:1.90")

    def test_fork_job(self):
        """a job of the fork adaptor completes and writes its output"""
        script = join_path(self.test_suite.current_test_data_dir, "fork_job.py")
        self.spec["python"].command(script, str(self.version))
