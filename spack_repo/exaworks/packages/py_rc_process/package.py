from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyRcProcess(PythonPackage):
    """RC-Process runs a child process and reports its output and end through callbacks."""

    homepage = "https://radical-cybertools.github.io"
    git = "https://github.com/radical-cybertools/rc.process.git"
    pypi = "rc.process/rc.process-0.11.0.tar.gz"

    maintainers("exaworks-sdk-maintainers")

    # Dual-licensed; for commercial licences its LICENSE.md names a contact.
    license("AGPL-3.0-or-later OR LicenseRef-rc-process-commercial")

    version("0.11.0", sha256="9b75be78de7374945d3b817b8ccc239cd3baf9fbaa151cfaf2daa1fa656e038a")

    import_modules = ["rc.process"]

    depends_on("python@3.7:", type=("build", "run"))
    depends_on("py-setuptools", type="build")

    def test_child(self):
        """a child process is started and ends, and its output is collected"""
        script = join_path(self.test_suite.current_test_data_dir, "child.py")
        self.spec["python"].command(script, str(self.version))
