from spack_repo.builtin.packages.py_psij_python.package import PyPsijPython as BuiltinPyPsijPython

from spack.package import *


class PyPsijPython(BuiltinPyPsijPython):
    __doc__ = BuiltinPyPsijPython.__doc__

    version("0.9.11", sha256="de069062d96e6a75a646594cecac67dfa090ab9a0f13a112c0efb97526286e37")

    import_modules = ["psij"]

    depends_on("python@3.8:", type=("build", "run"))

    with default_args(type=("build", "run"), when="@0.9.11"):
        depends_on("py-psutil@5.9:7.0.0")
        depends_on("py-pystache@0.6:")
        depends_on("py-typeguard@3.0.1:")
        depends_on("py-packaging@24:25.0")

    def test_local_job(self):
        """a job of the local executor completes, and a failing one reports its exit code"""
        script = join_path(self.test_suite.current_test_data_dir, "local_job.py")
        self.spec["python"].command(script, str(self.version))
