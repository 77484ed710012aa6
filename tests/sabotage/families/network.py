"""Loopback, ports, names and proxies."""

from tests.sabotage.breakage import Breakage

RUN = "parsl/python_app psij/hello"
BREAKAGES = [
    Breakage(
        "loopback-only",
        "network",
        "there is no network but loopback",
        "ip link set lo up",
        RUN,
        "pass",
        own_network=True,
    ),
    Breakage(
        "no-loopback",
        "network",
        "the loopback interface is down",
        "",
        RUN,
        "infra|fail",
        "site",
        evidence=r"loopback|127\.0\.0\.1",
        advice="loopback|interface",
        own_network=True,
    ),
    Breakage(
        "no-ports",
        "network",
        "no port is left for new connections",
        """ip link set lo up
        echo 60000 60001 >/proc/sys/net/ipv4/ip_local_port_range
        cat >"$T/ports.py" <<'END'
import socket, time
kept = [socket.create_server(("127.0.0.1", port)) for port in (60000, 60001)]
time.sleep(900)
END
        python3 "$T/ports.py" >/dev/null 2>&1 &
        until ss -ltn | grep -q :60001; do sleep 0.1; done""",
        RUN,
        "infra|fail",
        "site",
        evidence=r"Address already in use|Cannot assign requested address|EADDRINUSE",
        advice="port",
        own_network=True,
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
    ),
    Breakage(
        "controller-on-another-port",
        "network",
        "Slurm's controller does not listen on the port of slurm.conf",
        """standin squeue <<'END'
sed 's/^SlurmctldPort=.*/SlurmctldPort=9/' "$SLURM_CONF" >/tmp/wrong.conf
SLURM_CONF=/tmp/wrong.conf exec $REAL "$@"
END""",
        "psij/short",
        "infra|fail|error",
        "scheduler|site",
        evidence=r"[Uu]nable to contact slurm controller|Connection refused|Invalid argument",
        advice="controller|slurmctld|reach",
        scheduler="slurm",
        needs=("slurm", "munge"),
    ),
    Breakage(
        "host-name-of-another-address",
        "network",
        "this host's name resolves to an address that no interface has",
        '{ echo "127.0.0.1 localhost"; echo "192.0.2.77 $(hostname)"; } >"$T/hosts"; '
        'mount --bind "$T/hosts" /etc/hosts',
        RUN,
        "pass",
    ),
    Breakage(
        "localhost-unknown",
        "network",
        "localhost does not resolve",
        ': >"$T/hosts"; mount --bind "$T/hosts" /etc/hosts; echo "hosts: files" >"$T/nss"; '
        'mount --bind "$T/nss" /etc/nsswitch.conf',
        RUN,
        "pass",
    ),
]
