from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyPsijPython(PythonPackage):
    """PSI/J submits jobs to any scheduler of high-performance computers through one interface."""

    homepage = "https://exaworks.org/psij-python"
    git = "https://github.com/ExaWorks/psij-python.git"
    pypi = "psij-python/psij-python-0.9.11.tar.gz"

    maintainers("exaworks-sdk-maintainers")

    license("MIT")

    version("0.9.11", sha256="de069062d96e6a75a646594cecac67dfa090ab9a0f13a112c0efb97526286e37")
    version("0.9.9", sha256="79d527e43a5bb0df00818b956cc4dec064b59c38e4f8557e8533f901cb47d68f")

    import_modules = ["psij"]

    depends_on("python@3.8:", type=("build", "run"))
    depends_on("py-setuptools", type="build")

    # In full, not inherited from builtin: its bounds exclude versions that 0.9.11 accepts.
    with default_args(type=("build", "run")):
        depends_on("py-packaging@24:25.0", when="@0.9.11")
        depends_on("py-packaging@24:24.2", when="@0.9.9")
        depends_on("py-psutil@5.9:7.0.0", when="@0.9.11")
        depends_on("py-psutil@5.9:6.1.1", when="@0.9.9")
        depends_on("py-pystache@0.6:")
        depends_on("py-typeguard@3.0.1:")

    def test_local_job(self):
        """a job of the local executor completes, and a failing one reports its exit code"""
        script = join_path(self.test_suite.current_test_data_dir, "local_job.py")
        self.spec["python"].command(script, str(self.version))
