from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyRadicalPilot(PythonPackage):
    """RADICAL-Pilot runs many tasks inside one allocation, which it acquires through PSI/J."""

    homepage = "https://radical-cybertools.github.io"
    git = "https://github.com/radical-cybertools/radical.pilot.git"
    pypi = "radical_pilot/radical_pilot-1.103.2.tar.gz"

    maintainers("exaworks-sdk-maintainers")

    license("MIT")

    version("1.103.2", sha256="34c37ef7b772462cae8595025a7d83780c89db8c6edf5467b31704453a7d0381")
    version("1.92.0", sha256="5c65df02ec097f71648259db8ed8638580ea8e4c1c7f360879afff7f99e56134")

    import_modules = ["radical.pilot"]

    depends_on("python@3.8:", type=("build", "run"), when="@1.103:")
    depends_on("python@3.7:", type=("build", "run"), when="@:1.92")
    depends_on("py-setuptools", type="build")

    with default_args(type=("build", "run")):
        depends_on("py-radical-utils@1.100:1.109", when="@1.103:")
        depends_on("py-radical-gtod@1.100:1.109", when="@1.103:")
        depends_on("py-radical-utils@1.90:1.99", when="@:1.92")
        depends_on("py-radical-gtod@1.90:1.99", when="@:1.92")
        depends_on("py-psij-python")
        depends_on("py-rc-process", when="@1.103:")
        depends_on("py-setproctitle")
        depends_on("py-requests")
        depends_on("py-cffi", when="@1.103:")
        depends_on("py-dill")

    def test_two_tasks(self):
        """two tasks run in a pilot on this host"""
        script = join_path(self.test_suite.current_test_data_dir, "two_tasks.py")
        self.spec["python"].command(script, str(self.version))
