"""Loopback, ports, names and proxies."""

from tests.sabotage.breakage import Breakage

RUN = "parsl/python_app psij/hello"
ALONE = """exec 9>&1
if [ -z "$IN" ]; then exec unshare --net env IN=1 bash -c "$(declare -f overlay standin refusing full readonly)
COMMANDS
exec \\"\\$@\\"" sabotage "$@"; fi"""


def _own_network(commands: str) -> str:
    return ALONE.replace("COMMANDS", commands)


BREAKAGES = [
    Breakage(
        "loopback-only",
        "network",
        "there is no network but loopback",
        _own_network("ip link set lo up"),
        RUN,
        "pass",
        quick=True,
    ),
    Breakage(
        "no-loopback",
        "network",
        "the loopback interface is down",
        _own_network(":"),
        RUN,
        "infra|fail",
        "site",
        evidence=r"loopback|127\.0\.0\.1",
        advice="loopback|interface",
        quick=True,
    ),
    Breakage(
        "no-ports",
        "network",
        "no port is left for new connections",
        _own_network(
            "ip link set lo up; echo 60000 60001 >/proc/sys/net/ipv4/ip_local_port_range; "
            'for p in 60000 60001; do python3 -c "import socket, time; s = socket.create_server((\\"\\", $p)); '
            'time.sleep(900)" & done; sleep 1'
        ),
        RUN,
        "infra|fail",
        "site",
        evidence=r"Address already in use|Cannot assign requested address|EADDRINUSE",
        advice="port",
        quick=True,
    ),
    Breakage(
        "host-name-not-resolvable",
        "network",
        "the name of this host cannot be resolved",
        'echo "127.0.0.1 localhost" >"$T/hosts"; mount --bind "$T/hosts" /etc/hosts\n'
        ': >"$T/resolv"; mount --bind "$T/resolv" /etc/resolv.conf',
        RUN,
        "pass",
    ),
    Breakage(
        "proxy-of-nobody",
        "network",
        "the proxy variables name a port that nobody serves",
        "export http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9 HTTP_PROXY=http://127.0.0.1:9 "
        "ALL_PROXY=http://127.0.0.1:9",
        RUN,
        "pass",
    ),
    Breakage(
        "named-interface-absent",
        "network",
        "there is no interface with the name that the site file has",
        "",
        "psij/hello",
        "pass",
        site="network: {interface: hsn7}\n",
        quick=True,
    ),
    Breakage(
        "controller-on-another-port",
        "network",
        "Slurm's controller does not listen on the port of slurm.conf",
        """standin squeue <<'END'
sed 's/^SlurmctldPort=.*/SlurmctldPort=9/' "$SLURM_CONF" >/tmp/wrong.conf
SLURM_CONF=/tmp/wrong.conf exec $REAL "$@"
END""",
        "psij/hello",
        "infra|fail|error",
        "scheduler|site",
        evidence=r"[Uu]nable to contact slurm controller|Connection refused|Invalid argument",
        advice="controller|slurmctld|reach",
        scheduler="slurm",
        needs=("slurm", "munge"),
    ),
]
