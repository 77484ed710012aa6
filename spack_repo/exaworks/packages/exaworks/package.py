from spack_repo.builtin.build_systems.bundle import BundlePackage

from spack.package import *


class Exaworks(BundlePackage):
    """The ExaWorks SDK: Flux, Parsl, PSI/J, RADICAL-Cybertools and Swift/T, tested together."""

    homepage = "https://exaworks.org"

    tags = ["e4s"]

    license("MIT")

    version("2026.11")

    # Sticky: where a default cannot be met, Spack fails with the reason and leaves nothing out.
    with default_args(default=True, sticky=True):
        variant("flux", description="Flux, with Fluxion as its scheduler")
        variant("parsl", description="Parsl")
        variant("psij", description="PSI/J for Python")
        variant("radical", description="RADICAL-Cybertools: Pilot, EnTK and SAGA")
        variant("swift", description="Swift/T: compiler and runtime")
    variant("maestro", default=False, description="Maestro, from its builtin recipe")

    with default_args(type=("build", "run"), when="@2026.11"):
        with when("+flux"):
            depends_on("flux-core@0.88")
            depends_on("flux-sched@0.54")
            # Newer versions need the Rust toolchain.
            depends_on("py-jsonschema@4.0:4.17")
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
            "^openjdk@:10",
            when="+swift",
            msg="Swift/T's compiler needs a JDK from 11 to 25: add ^openjdk@17",
        )
        conflicts(
            "^openjdk@26:",
            when="+swift",
            msg="Swift/T's compiler needs a JDK from 11 to 25: add ^openjdk@17",
        )
        conflicts(
            "~psij",
            when="+radical",
            msg="RADICAL-Pilot submits through PSI/J: leave +psij on, or add ~radical",
        )
        conflicts(
            "~flux ~parsl ~psij ~radical ~swift ~maestro",
            msg="no component is selected: turn on the variant of at least one component",
        )

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
