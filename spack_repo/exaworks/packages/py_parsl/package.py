from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyParsl(PythonPackage):
    """Parsl runs Python functions and programs in parallel, on laptops and supercomputers."""

    homepage = "https://parsl-project.org"
    git = "https://github.com/Parsl/parsl.git"
    # The archives of the tags install as 1.3.0.dev0: only source distributions have a version.
    pypi = "parsl/parsl-2026.10.26.tar.gz"

    maintainers("exaworks-sdk-maintainers")

    license("Apache-2.0")

    version(
        "2026.10.26", sha256="8a0550a51dace16bb1c79b2538de55cb9e72bdb1748c9b9c1a733718a019d1f1"
    )
    version(
        "2026.02.16", sha256="dc34015c07d8a05157f0e62b88eda42087be86856fe1fbc1f513109fcd38b7b8"
    )

    variant("monitoring", default=False, description="Store facts about workflows in a database")

    import_modules = ["parsl", "parsl.executors.high_throughput"]

    depends_on("python@3.10:", type=("build", "run"))
    depends_on("py-setuptools", type="build")

    # In full, not inherited from builtin: its bounds exclude versions that the newest one accepts.
    with default_args(type=("build", "run")):
        depends_on("py-pyzmq@17.1.2:")
        depends_on("py-typeguard@4", when="@2026.10:")
        depends_on("py-typeguard@2.10:2,4", when="@2026.02")
        depends_on("py-typing-extensions@4.6:4")
        depends_on("py-dill")
        depends_on("py-tblib")
        depends_on("py-requests")
        depends_on("py-sortedcontainers")
        depends_on("py-psutil@5.5.1:")
        depends_on("py-setproctitle")
        depends_on("py-filelock@3.13:4", when="@2026.10:")
        depends_on("py-filelock@3.13:3", when="@2026.02")
        depends_on("py-sqlalchemy@2.0", when="+monitoring")

    def url_for_version(self, version):
        """Return the URL of a source distribution, whose name has no leading zeros."""
        plain = ".".join(str(int(part)) for part in str(version).split("."))
        return super().url_for_version(Version(plain))

    def test_htex(self):
        """an app runs in a worker of the high-throughput executor"""
        script = join_path(self.test_suite.current_test_data_dir, "htex.py")
        self.spec["python"].command(script, str(self.version))
