"""BCC's `bcc.tcp`: names of TCP's states and header flags."""

from __future__ import annotations

from skep.arguments import as_number

# include/net/tcp_states.h, from 1
_STATES = (
    "ESTABLISHED SYN_SENT SYN_RECV FIN_WAIT1 FIN_WAIT2 TIME_WAIT CLOSE CLOSE_WAIT LAST_ACK LISTEN CLOSING NEW_SYN_RECV"
).split()
_FLAGS = "FIN SYN RST PSH ACK URG ECE CWR".split()  # RFC 9293, from bit 0

tcpstate = dict(enumerate(_STATES, 1))
TCPHDR_FIN, TCPHDR_SYN, TCPHDR_RST, TCPHDR_PSH, TCPHDR_ACK, TCPHDR_URG, TCPHDR_ECE, TCPHDR_CWR = (1 << bit for bit in range(8))


def state2str(state: int) -> str:
    """The name of a state, or its number as text."""
    return tcpstate.get(as_number(state, "a state of TCP", -(1 << 31))) or str(state)


def flags2str(flags: int) -> str:
    """The flags of a TCP header's 13th byte: "SYN|ACK"."""
    given = as_number(flags, "a TCP header's byte of flags")
    return "|".join(name for bit, name in enumerate(_FLAGS) if given >> bit & 1)
