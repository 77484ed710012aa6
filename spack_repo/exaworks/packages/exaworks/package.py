import os

from spack_repo.builtin.build_systems.bundle import BundlePackage

from spack.package import *

MODULE_PATHS = {
    "bin": "PATH",
    "share/man": "MANPATH",
    "lib/pkgconfig": "PKG_CONFIG_PATH",
    "lib64/pkgconfig": "PKG_CONFIG_PATH",
}
MODULE_HELP = """The ExaWorks SDK, complete: no other module is needed.
Contents: {parts}.
Test it: exaworks validate --deployment module:{module}
Documentation: https://exaworks.org"""


class Exaworks(BundlePackage):
    """The ExaWorks SDK: Flux, Parsl, PSI/J, RADICAL-Cybertools and Swift/T, tested together."""

    homepage = "https://exaworks.org"

    tags = ["e4s"]

    maintainers("exaworks-sdk-maintainers")

    license("MIT")

    version("2026.11")

    # Sticky: where a default cannot be met, Spack fails with the reason and leaves nothing out.
    with default_args(default=True, sticky=True):
        variant("flux", description="Flux, with Fluxion as its scheduler")
        variant("parsl", description="Parsl")
        variant("psij", description="PSI/J for Python")
        variant("radical", description="RADICAL-Cybertools: Pilot, EnTK and SAGA")
        variant("swift", description="Swift/T: compiler and runtime")
    with default_args(default=False):
        variant("cuda", description="NVIDIA's GPUs as resources of Flux: CUDA in Flux and hwloc")
        variant("maestro", description="Maestro, from its builtin recipe")
        variant("rocm", description="AMD's GPUs as resources of Flux: ROCm in hwloc")

    with default_args(type=("build", "run"), when="@2026.11"):
        # A conflict with a dependency, such as those below, applies to one that is declared here.
        depends_on("python")
        with when("+flux"):
            # Spack builds the newest of these. The others are for a site's own Flux, an external:
            # docs/verification.md states which of them ran.
            depends_on("flux-core@0.81:0.88")
            depends_on("flux-sched@0.48:0.54")
            # What Flux's Python bindings import: an external Flux brings no Python packages.
            depends_on("py-cffi@1.1:")
            depends_on("py-ply")
            depends_on("py-pyyaml@3.10:")
            # Newer versions need the Rust toolchain.
            depends_on("py-jsonschema@4.0:4.17")
        with when("+flux +cuda"):
            depends_on("flux-core+cuda")
            depends_on("flux-sched+cuda")
        with when("+flux +rocm"):
            depends_on("hwloc+rocm")
        with when("+parsl"):
            depends_on("py-parsl@2026.10.26:2026.10")
        with when("+psij"):
            depends_on("py-psij-python@0.9.11")
        with when("+radical"):
            depends_on("py-radical-utils@1.103.1:1.103")
            depends_on("py-radical-gtod@1.103.0:1.103")
            depends_on("py-radical-saga@1.103.0:1.103")
            depends_on("py-radical-pilot@1.103.2:1.103")
            depends_on("py-radical-entk@1.103.0:1.103")
        with when("+swift"):
            depends_on("stc@1.0.8")
            depends_on("turbine@1.5.2")
            depends_on("adlbx@1.0.7")
            depends_on("exmcutils@0.6.5")
        with when("+maestro"):
            depends_on("py-maestrowf@1.1.9")

    with default_args(when="@2026.11"):
        conflicts(
            "^python@:3.9", msg="the components need Python 3.10 or later: add ^python@3.10:3.13"
        )
        conflicts(
            "^python@3.14:", msg="the release is tested up to Python 3.13: add ^python@3.10:3.13"
        )
        conflicts(
            "+cuda", when="+rocm", msg="a node has GPUs of one maker: leave +cuda or +rocm out"
        )
        with when("~flux"):
            conflicts("+cuda", msg="only Flux uses CUDA: leave +flux on, or add ~cuda")
            conflicts("+rocm", msg="only Flux uses ROCm: leave +flux on, or add ~rocm")
        conflicts(
            "~psij",
            when="+radical",
            msg="RADICAL-Pilot submits through PSI/J: leave +psij on, or add ~radical",
        )
        conflicts(
            "~flux ~parsl ~psij ~radical ~swift ~maestro",
            msg="no component is selected: turn on the variant of at least one component",
        )

    def setup_run_environment(self, env: EnvironmentModifications) -> None:
        # A built Flux sets this by itself; an external one does not know the Python of the bundle.
        if self.spec.satisfies("+flux") and self.spec["flux-core"].external:
            python = self.spec["python"].version.up_to(2)
            for library in ("lib64", "lib"):
                bindings = join_path(
                    self.spec["flux-core"].prefix, library, "flux", f"python{python}"
                )
                if os.path.isdir(bindings):
                    env.append_path("PYTHONPATH", bindings)

    @property
    def tcl_context(self):
        """Make the bundle's module complete: it loads no other module."""
        changes = EnvironmentModifications()
        for spec in reversed(list(self.spec.traverse(deptype=("link", "run"), order="topo"))):
            if str(spec.prefix) not in ("/", "/usr", "/usr/local"):
                for folder, variable in MODULE_PATHS.items():
                    if os.path.isdir(join_path(spec.prefix, folder)):
                        changes.prepend_path(variable, join_path(spec.prefix, folder))
            for dependency in spec.dependencies(deptype=("link", "run")):
                dependency.package.setup_dependent_run_environment(changes, spec)
            spec.package.setup_run_environment(changes)
        parts = {each.format("{name} {version}") for each in self.spec.dependencies(deptype="run")}
        return {
            "autoload": [],
            "environment_modifications": [(type(each).__name__, each) for each in changes],
            "has_manpath_modifications": any(each.name == "MANPATH" for each in changes),
            "long_description": MODULE_HELP.format(
                parts=", ".join(sorted(parts)), module=self.spec.format("{name}/{version}")
            ),
        }

    @property
    def lmod_context(self):
        return self.tcl_context

    def _run(self, script, *arguments):
        path = join_path(self.test_suite.current_test_data_dir, script)
        self.spec["python"].command(path, *arguments)

    def test_integration_psij_flux(self):
        """PSI/J submits a job to a Flux instance"""
        if not self.spec.satisfies("+psij +flux"):
            raise SkipTest("PSI/J and Flux are not both in this bundle")
        flux = which(self.spec["flux-core"].prefix.bin.flux, required=True)
        script = join_path(self.test_suite.current_test_data_dir, "psij_flux.py")
        flux("start", self.spec["python"].command.path, script, timeout=180)

    def test_integration_parsl_flux(self):
        """Parsl's Flux executor runs an app"""
        if not self.spec.satisfies("+parsl +flux"):
            raise SkipTest("Parsl and Flux are not both in this bundle")
        self._run("parsl_flux.py", self.spec["flux-core"].prefix.bin.flux)

    def test_integration_psij_swift(self):
        """PSI/J launches a Swift/T program of two ranks"""
        if not self.spec.satisfies("+psij +swift"):
            raise SkipTest("PSI/J and Swift/T are not both in this bundle")
        program = join_path(self.test_suite.current_test_data_dir, "hello.swift")
        self._run("psij_swift.py", self.spec["stc"].prefix.bin.join("swift-t"), program)

    def test_integration_parsl_swift(self):
        """Parsl apps run Swift/T programs"""
        if not self.spec.satisfies("+parsl +swift"):
            raise SkipTest("Parsl and Swift/T are not both in this bundle")
        program = join_path(self.test_suite.current_test_data_dir, "hello.swift")
        self._run("parsl_swift.py", self.spec["stc"].prefix.bin.join("swift-t"), program)

    def test_integration_parsl_psij(self):
        """a Parsl app submits a PSI/J job"""
        if not self.spec.satisfies("+parsl +psij"):
            raise SkipTest("Parsl and PSI/J are not both in this bundle")
        self._run("parsl_psij.py")

    def test_integration_radical_flux(self):
        """RADICAL-Pilot's agent starts a Flux instance, which runs the tasks"""
        if not self.spec.satisfies("+radical +flux"):
            raise SkipTest("RADICAL-Pilot and Flux are not both in this bundle")
        pilot = self.spec["py-radical-pilot"].package.package_dir
        self._run("radical_flux.py", join_path(pilot, "test"))
