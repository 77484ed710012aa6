"""The activation of the deployment prints, fails, asks or is slow; ``module load`` stands for all kinds."""

from tests.sabotage.breakage import Breakage

MODULE = """mkdir -p "$T/modules/init"
cat >"$T/modules/init/bash" <<END
module() {
    @LOAD@
    export PATH="$D/bin:\\$PATH" LOADEDMODULES="sdk/1.0\\${LOADEDMODULES:+:\\$LOADEDMODULES}"
}
END
unset LMOD_PKG; export MODULESHOME="$T/modules" """


def _module(
    id: str, broken: str, load: str, outcome: str = "refused", evidence: str = "", advice: str = ""
) -> Breakage:
    return Breakage(
        id,
        "activation",
        broken,
        MODULE.replace("@LOAD@", load),
        "psij/hello",
        outcome,
        evidence=evidence,
        advice=advice,
        deployment="module:sdk/1.0",
    )


BREAKAGES = [
    _module(
        "module-prints",
        "loading the module prints to both outputs",
        "echo Loading sdk; echo 'sdk: this version is deprecated' >&2",
        "pass",
    ),
    _module("module-is-slow", "loading the module takes three seconds", "sleep 3", "pass"),
    _module(
        "module-fails",
        "the module does not exist",
        "echo 'Lmod has detected the following error: The following module(s) are unknown: sdk/1.0' >&2; return 1",
        evidence=r"unknown.*sdk/1\.0|sdk/1\.0.*unknown",
        advice=r"module:sdk/1\.0",
    ),
    _module(
        "module-loads-nothing",
        "loading the module fails with exit code 0",
        'echo "ERROR: Unable to locate a modulefile for sdk" >&2; return 0',
        evidence=r"not loaded|Unable to locate",
        advice=r"module:sdk/1\.0",
    ),
    _module(
        "module-asks",
        "loading the module asks a question and gives up without an answer",
        'read -p "Accept the licence? " answer || { echo "licence not accepted" >&2; return 1; }',
        evidence=r"licence not accepted",
        advice=r"module:sdk/1\.0",
    ),
    _module(
        "module-sets-u",
        "loading the module uses a variable that is not set, under set -u",
        "set -u; echo \\$NOT_SET_ANYWHERE >/dev/null",
        evidence=r"NOT_SET_ANYWHERE: unbound variable",
        advice=r"module:sdk/1\.0",
    ),
    _module(
        "module-brings-another-python",
        "the module puts a Python first that has none of the components",
        "mkdir -p $T/other; ln -sf /usr/bin/python3 $T/other/python3\n"
        '    export LOADEDMODULES=sdk/1.0 PATH="$T/other:\\$PATH"; return 0',
        "fail",
        evidence=r"no distribution 'psij-python'",
        advice=r"install|module|deployment",
    ),
    Breakage(
        "bash-env-ends-the-shell",
        "activation",
        "BASH_ENV names a file that ends the shell, so that no script of bash runs",
        """echo 'exit 3' >"$T/start"; export BASH_ENV="$T/start" """,
        "psij/hello parsl/python_app",
        "infra|fail",
        "site",
        evidence=r"ends with 3 \(BASH_ENV=",
        advice="BASH_ENV",
    ),
    Breakage(
        "bash-lacks-a-library",
        "activation",
        "the bash that is first on PATH lacks a shared library",
        """refusing bash 'bash: error while loading shared libraries: libtinfo.so.6: cannot open shared object file: \
No such file or directory'""",
        "psij/hello",
        "infra|fail",
        "site|distribution",
        evidence=r"libtinfo\.so\.6",
        advice="install|librar",
    ),
]
