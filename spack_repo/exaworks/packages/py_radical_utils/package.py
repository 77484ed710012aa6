from spack_repo.builtin.build_systems.python import PythonPackage

from spack.package import *


class PyRadicalUtils(PythonPackage):
    """RADICAL-Utils has shared parts of RADICAL-Cybertools: logging, messaging, configuration."""

    homepage = "https://radical-cybertools.github.io"
    git = "https://github.com/radical-cybertools/radical.utils.git"
    pypi = "radical_utils/radical_utils-1.103.1.tar.gz"

    maintainers("exaworks-sdk-maintainers")

    license("MIT")

    version("1.103.1", sha256="dcdf9fc9f1f4a5060dcb55e55b787cdfc6ed6fe3429cd1098b456459845d73fd")
    version("1.91.1", sha256="5293f375f699161e451982b2e7668613c24e2562252f65e765ebbc83d8ae0118")

    import_modules = ["radical.utils"]

    depends_on("python@3.8:", type=("build", "run"))
    depends_on("py-setuptools", type="build")

    with default_args(type=("build", "run")):
        depends_on("py-colorama")
        depends_on("py-msgpack")
        depends_on("py-netifaces")
        depends_on("py-ntplib")
        depends_on("py-pyzmq")
        depends_on("py-regex")
        depends_on("py-setproctitle")
        depends_on("py-rc-process", when="@1.103:")

    def test_queue(self):
        """messages leave a ZMQ queue in the order in which they were put"""
        script = join_path(self.test_suite.current_test_data_dir, "queue_order.py")
        self.spec["python"].command(script, str(self.version))
