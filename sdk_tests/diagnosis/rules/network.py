"""Messages about the network between the processes of a component: names, addresses, ports, proxies, certificates."""

from __future__ import annotations

from dashboard_client.schema import CauseClass, Phase
from sdk_tests.diagnosis.rule import GENERAL, PLAIN, SPECIFIC, Rule

_ERRNO = "the kernel, errno(3)"


def _site(name: str, pattern: str, title: str, advice: str, source: str, example: str, rank: int = PLAIN) -> Rule:
    return Rule(name, pattern, title, CauseClass.SITE, Phase.RUN, advice, source, example, rank)


def _unknown(name: str, pattern: str, title: str, advice: str, source: str, example: str) -> Rule:
    """Return the rule of a message that also a program prints whose own other process has died: nobody is blamed."""
    return Rule(name, pattern, title, CauseClass.UNKNOWN, Phase.RUN, advice, source, example, GENERAL)


RULES: tuple[Rule, ...] = (
    _site(
        "no-port-left",
        r"loopback 127\.0\.0\.1: .*(?:Address already in use|Cannot assign requested address)|"
        r"Errno 9[89]\].*(?:Address already in use|Cannot assign requested address).*\(port 0\)",
        "no port is left for a connection",
        "end the programs that hold ports (`ss -tan`), or widen `net.ipv4.ip_local_port_range`",
        "the preflight; ip(7)",
        "loopback 127.0.0.1: OSError: [Errno 98] Address already in use",
        SPECIFIC,
    ),
    _site(
        "no-loopback",
        r"loopback 127\.0\.0\.1: ",
        "the loopback interface does not work",
        "bring the loopback interface up (`ip link set lo up`), and let the firewall pass connections to 127.0.0.1",
        "the preflight",
        "loopback 127.0.0.1: OSError: [Errno 101] Network is unreachable",
        SPECIFIC,
    ),
    _site(
        "name-resolution",
        r"^(?!hostname: ).*?(?:(?:could not|cannot|unable to|failed to) (?:resolve|lookup|look up) (?:host(?:name)?|address|name)?:? ?"
        r"'?(?P<host>[\w.-]+)?|[Nn]ame or service not known|[Tt]emporary failure in name resolution|"
        r"nodename nor servname|[Uu]nknown host|No address associated with hostname|gaierror|NameResolutionError|"
        r"Host name lookup failure)",
        "a host name cannot be resolved",
        "check `getent hosts NAME` on both nodes; add the host to /etc/hosts or DNS",
        "getaddrinfo(3)",
        "socket.gaierror: [Errno -2] Name or service not known",
        SPECIFIC,
    ),
    _site(
        "proxy",
        r"ProxyError|Tunnel connection failed|[Pp]roxy (?:Authentication Required|CONNECT)|\b407\b.*[Pp]roxy|"
        r"(?:connect to|resolve) proxy|via proxy.*(?:fail|refused|error)|Unable to connect to proxy",
        "the proxy of the environment refuses or does not answer",
        "correct https_proxy, or list local hosts in no_proxy (localhost,127.0.0.1, the nodes)",
        "requests, curl(1)",
        "requests.exceptions.ProxyError: HTTPSConnectionPool: Max retries exceeded (Caused by ProxyError('Unable to "
        "connect to proxy'))",
        SPECIFIC,
    ),
    _site(
        "certificate",
        r"CERTIFICATE_VERIFY_FAILED|certificate verify failed|SSL: .*(?:wrong|unsupported|handshake)|"
        r"self[- ]signed certificate|unable to get local issuer certificate",
        "a certificate is not trusted",
        "set REQUESTS_CA_BUNDLE and SSL_CERT_FILE to the certificates of the site",
        "OpenSSL",
        "ssl.SSLCertVerificationError: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate",
        SPECIFIC,
    ),
    _site(
        "interface",
        r"\[Errno (?:19|99)\]|No such device\b|[Cc]annot assign requested address|\bEADDRNOTAVAIL\b|"
        r"(?:interface|iface) '?(?P<interface>[\w.-]+)'? (?:is )?(?:not (?:found|available|up)|does not exist|unknown|"
        r"has no)|no (?:usable |suitable )?(?:network )?interface|could not (?:find|determine) .*(?:interface|ip address)",
        "a network interface or address does not exist on the node",
        "`ip -brief address` lists the interfaces; name one that all nodes have",
        _ERRNO,
        "zmq.error.ZMQError: Cannot assign requested address (addr='tcp://10.1.2.3:*')",
        SPECIFIC,
    ),
    _site(
        "port-in-use",
        r"[Aa]ddress already in use|\bEADDRINUSE\b|\[Errno 98\]|[Pp]ort \d+ (?:is )?(?:already )?in use|"
        r"Could not bind socket to random port",
        "a port is in use",
        "end the process that holds the port (`ss -ltnp`), which earlier work may have left",
        _ERRNO,
        "OSError: [Errno 98] Address already in use",
        SPECIFIC,
    ),
    _site(
        "no-route",
        r"No route to host|\bEHOSTUNREACH\b|[Nn]etwork is (?:unreachable|down)|\bENETUNREACH\b|\[Errno (?:101|113)\]|"
        r"[Hh]ost is down",
        "there is no network path to a host",
        "check address and firewall between the nodes: `ip route get ADDRESS`",
        _ERRNO,
        "OSError: [Errno 113] No route to host",
        SPECIFIC,
    ),
    _site(
        "connection-timed-out",
        r"[Cc]onnection (?:attempt )?timed out|\bETIMEDOUT\b|\[Errno 110\]|ConnectTimeout|connect(?:ion)? timeout",
        "a host does not answer on a port",
        "check the firewall between the nodes, and whether the address is one that the other node reaches",
        _ERRNO,
        "TimeoutError: [Errno 110] Connection timed out",
        PLAIN,
    ),
    _unknown(
        "connection-refused",
        r"[Cc]onnection refused|\bECONNREFUSED\b|\[Errno 111\]",
        "nothing listens on a port",
        "see in the logs whether the process that should listen has died; else check firewall and address",
        _ERRNO,
        "ConnectionRefusedError: [Errno 111] Connection refused",
    ),
    _unknown(
        "connection-lost",
        r"[Cc]onnection reset by peer|\bECONNRESET\b|\[Errno 104\]|[Bb]roken pipe|\bEPIPE\b|"
        r"[Cc]onnection (?:was )?(?:closed|aborted|lost) by|RemoteDisconnected",
        "a connection was closed by its other end",
        "see in the logs which process ended first",
        _ERRNO,
        "ConnectionResetError: [Errno 104] Connection reset by peer",
    ),
    _site(
        "ssh",
        r"Host key verification failed|ssh: .*|ssh_exchange_identification|kex_exchange_identification|"
        r"Permission denied \(publickey",
        "ssh to a node does not work",
        "check `ssh NODE true` without a password, or use a launcher that needs no ssh",
        "OpenSSH",
        "Host key verification failed.",
        PLAIN,
    ),
)
