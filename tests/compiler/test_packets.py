"""BCC's packet structs and functions on packets, run in this kernel on real headers (BPF_PROG_TEST_RUN)."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Any

import pytest

from skep.compiler import compile_source
from skep.errors import CompileError

if TYPE_CHECKING:
    from collections.abc import Callable

OUT = "#include <bcc/proto.h>\nBPF_ARRAY(out, u64, 32);\nstatic void put(int i, u64 v) { out.update(&i, &v); }\n"
DST, SRC = bytes.fromhex("a1b2c3d4e5f6"), bytes.fromhex("0a1b2c3d4e5f")


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(protocol: int, payload: bytes, options: bytes = b"", fragment: int = 0x4000) -> bytes:
    words = 5 + len(options) // 4
    source, target = socket.inet_aton("10.1.2.3"), socket.inet_aton("192.168.200.100")
    head = struct.pack(">BBHHHBBH", 0x40 | words, 0x12, 4 * words + len(payload), 0xBEEF, fragment, 61, protocol, 0)
    plain = head + source + target + options
    return plain[:10] + struct.pack(">H", checksum(plain)) + plain[12:] + payload


def ethernet(type: int, payload: bytes) -> bytes:
    return DST + SRC + struct.pack(">H", type) + payload


TCP = struct.pack(">HHIIBBHHH", 40000, 443, 0x11223344, 0x55667788, 0x50, 0b10010010, 5840, 0xCAFE, 7)
UDP = struct.pack(">HHHH", 5353, 4789, 8 + 12, 0x1234)
IP4 = bytes([0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2])
IP6 = struct.pack(">IHBB", 0x6AB12345, 40, 58, 64) + bytes(range(0x20, 0x40))
ARP = struct.pack(">HHBBH", 1, 0x0800, 6, 4, 2) + SRC + bytes([10, 0, 0, 1]) + DST + bytes([10, 0, 0, 2])

# struct, its bytes, every field with the value that it must have
HEADERS: list[tuple[str, bytes, dict[str, int]]] = [
    ("ethernet_t", ethernet(0x86DD, b""), {"dst": 0xA1B2C3D4E5F6, "src": 0x0A1B2C3D4E5F, "type": 0x86DD}),
    ("dot1q_t", struct.pack(">HH", 0b101_1_000000000111 | 0x800, 0x0800), {"pri": 5, "cfi": 1, "vlanid": 0x807, "type": 0x800}),
    ("arp_t", ARP, {"htype": 1, "ptype": 0x800, "hlen": 6, "plen": 4, "oper": 2, "sha": 0x0A1B2C3D4E5F, "spa": 0x0A000001,
                    "tha": 0xA1B2C3D4E5F6, "tpa": 0x0A000002}),
    ("ip_t", ipv4(6, b"", fragment=0x2123), {"ver": 4, "hlen": 5, "tos": 0x12, "tlen": 20, "identification": 0xBEEF,
                                            "ffo_unused": 0, "df": 0, "mf": 1, "foffset": 0x123, "ttl": 61, "nextp": 6,
                                            "src": 0x0A010203, "dst": 0xC0A8C864}),
    ("icmp_t", struct.pack(">BBH", 8, 3, 0xF00D), {"type": 8, "code": 3, "checksum": 0xF00D}),
    ("icmp6_t", struct.pack(">BBH", 135, 1, 0xD00F), {"type": 135, "code": 1, "checksum": 0xD00F}),
    ("ip6_t", IP6, {"ver": 6, "priority": 0xAB, "flow_label": 0x12345, "payload_len": 40, "next_header": 58, "hop_limit": 64,
                    "src_hi": 0x2021222324252627, "src_lo": 0x28292A2B2C2D2E2F, "dst_hi": 0x3031323334353637,
                    "dst_lo": 0x38393A3B3C3D3E3F}),
    ("ip6_opt_t", bytes([17, 2, 1, 2, 3, 4, 5, 6]), {"next_header": 17, "ext_len": 2, "pad[0]": 1, "pad[5]": 6}),
    ("udp_t", UDP, {"sport": 5353, "dport": 4789, "length": 20, "crc": 0x1234}),
    ("tcp_t", TCP, {"src_port": 40000, "dst_port": 443, "seq_num": 0x11223344, "ack_num": 0x55667788, "offset": 5, "reserved": 0,
                    "flag_cwr": 1, "flag_ece": 0, "flag_urg": 0, "flag_ack": 1, "flag_psh": 0, "flag_rst": 0, "flag_syn": 1,
                    "flag_fin": 0, "rcv_wnd": 5840, "cksum": 0xCAFE, "urg_ptr": 7}),
    ("vxlan_t", bytes.fromhex("08123456abcdef77"), {"rsv1": 0, "iflag": 1, "rsv2": 0, "rsv3": 0x123456, "key": 0xABCDEF,
                                                   "rsv4": 0x77}),
    ("vxlan_gbp_t", bytes.fromhex("8848fedcabcdef77"), {"gflag": 1, "rsv1": 0, "iflag": 1, "rsv2": 0, "rsv3": 0, "dflag": 1,
                                                       "rsv4": 0, "aflag": 1, "rsv5": 0, "tag": 0xFEDC, "key": 0xABCDEF,
                                                       "rsv6": 0x77}),
]  # fmt: skip


@pytest.mark.kernel
@pytest.mark.parametrize(("name", "data", "fields"), HEADERS, ids=[row[0] for row in HEADERS])
def test_each_field_of_a_header_is_read_in_host_order(
    program: Callable[..., Any], name: str, data: bytes, fields: dict[str, int]
) -> None:
    reads = "".join(f"put({i}, p->{field});" for i, field in enumerate(fields))
    made = program(
        f"{OUT}_Static_assert(sizeof(struct {name}) == {len(data)});\n"
        f"int f(struct __sk_buff *skb) {{ u8 *cursor = 0; cursor += 14;"
        f" struct {name} *p = cursor_advance(cursor, sizeof(*p)); {reads} return (u64)cursor; }}"
    )
    assert made.packet(data=ethernet(0x0800, data + bytes(40)), section="tc")[0] == 14 + len(data)
    assert made.out[: len(fields)] == list(fields.values())


@pytest.mark.kernel
@pytest.mark.parametrize(("name", "data", "fields"), HEADERS, ids=[row[0] for row in HEADERS])
def test_each_field_of_a_header_is_written_and_nothing_beside_it(
    program: Callable[..., Any], name: str, data: bytes, fields: dict[str, int]
) -> None:
    """All ones into each field by itself: the packet's number changes in the bits of the field."""
    for field in fields:
        made = program(
            f"{OUT}int f(struct __sk_buff *skb) {{ u8 *cursor = (void *)14; struct {name} *p = (void *)cursor;"
            f" put(0, p->{field} = 0); put(1, p->{field}--); put(2, p->{field}); return 0; }}"
        )
        frame = ethernet(0x0800, data + bytes(40))
        after = made.packet(data=frame, section="tc")[1]
        change = int.from_bytes(frame, "big") ^ int.from_bytes(after, "big")
        value, ones = fields[field], made.out[2]
        assert made.out[:2] == [0, 0]
        assert ones.bit_count() == ones.bit_length() > 0
        assert change == (value ^ ones) << _trailing(change, value ^ ones)
        made.close()


def _trailing(change: int, difference: int) -> int:
    """How far a field's difference is from the end of the packet."""
    return change.bit_length() - difference.bit_length()


@pytest.mark.kernel
def test_headers_are_parsed_one_after_the_other(program: Callable[..., Any]) -> None:
    """With IP options, a cursor that moves by a number of the packet's, and a static function of its own."""
    made = program(
        OUT
        + """
    static int tcp_of(struct __sk_buff *skb, u8 *cursor) {
        struct tcp_t *tcp = cursor_advance(cursor, sizeof(*tcp));
        put(1, tcp->dst_port);
        put(2, tcp->flag_syn << 1 | tcp->flag_fin);
        return tcp->offset << 2;
    }
    int f(struct __sk_buff *skb) {
        u8 *cursor = 0;
        struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
        switch (ethernet->type) {
            case ETH_P_IP: goto ip;
            case ETH_P_8021Q: {
                struct dot1q_t *tag = cursor_advance(cursor, sizeof(*tag));
                put(0, tag->vlanid);
                if (tag->type == ETH_P_IP) goto ip;
            }
        }
        return 1;
    ip: ;
        struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
        cursor += (ip->hlen << 2) - sizeof(*ip);
        if (ip->nextp != IPPROTO_TCP) return 2;
        return tcp_of(skb, cursor);
    }
    """
    )
    assert made.packet(data=ethernet(0x0806, ARP), section="tc")[0] == 1
    assert made.packet(data=ethernet(0x0800, ipv4(17, UDP)), section="tc")[0] == 2
    assert made.packet(data=ethernet(0x0800, ipv4(6, TCP, options=bytes(8))), section="tc")[0] == 20
    assert made.out[:3] == [0, 443, 2]
    assert made.packet(data=ethernet(0x8100, struct.pack(">HH", 99, 0x0800) + ipv4(6, TCP)), section="tc")[0] == 20
    assert made.out[:3] == [99, 443, 2]


@pytest.mark.kernel
def test_a_socket_filter_reads_a_packet_and_ends_with_0_outside_of_it(program: Callable[..., Any]) -> None:
    """The kernel runs a socket filter on what follows the Ethernet header (bpf_prog_test_run_skb)."""
    made = program(
        OUT
        + """
    int f(struct __sk_buff *skb) { struct ip_t *ip = 0; return ip->ttl; }
    int g(struct __sk_buff *skb) { struct ip_t *ip = (void *)1000; put(0, 1); put(1, ip->ttl); return 7; }
    """
    )
    assert made.packet("f", ethernet(0x0800, ipv4(17, UDP)))[0] == 61
    assert made.packet("g", ethernet(0x0800, ipv4(17, UDP)))[0] == 0
    assert made.out[:2] == [1, 0]


@pytest.mark.kernel
def test_loads_and_stores_by_offset(program: Callable[..., Any]) -> None:
    made = program(
        OUT
        + """
    int reads(struct __sk_buff *skb) {
        put(0, load_byte(skb, 1)); put(1, load_half(skb, 2)); put(2, load_word(skb, 3)); put(3, load_dword(skb, 4));
        put(4, bpf_dext_pkt(skb, 20, 0, 8)); put(5, bpf_dext_pkt(skb, 20, 3, 5)); put(6, bpf_dext_pkt(skb, 20, 4, 12));
        put(7, bpf_dext_pkt(skb, 20, 0, 48)); put(8, bpf_dext_pkt(skb, 20, 0, 64)); put(9, bpf_dext_pkt(skb, 20, 0, 32));
        u64 i = skb->len & 7; put(10, load_byte(skb, i + 1));
        return 0;
    }
    int writes(struct __sk_buff *skb) {
        bpf_store_byte(skb, 16, 0x1a1); bpf_store_half(skb, 18, 0xb1b2); bpf_store_word(skb, 20, 0xc1c2c3c4);
        bpf_store_dword(skb, 24, 0xd1d2d3d4d5d6d7d8);
        bpf_dins_pkt(skb, 32, 4, 8, 0xff); bpf_dins_pkt(skb, 36, 0, 16, 0xe1e2); bpf_dins_pkt(skb, 40, 0, 48, 0xf1f2f3f4f5f6);
        bpf_dins_pkt(skb, 48, 0, 64, 0x0102030405060708);
        return 0;
    }
    """
    )
    data = bytes(range(64))
    made.packet("reads", data, section="tc")
    assert made.out[:11] == [
        1, 0x203, 0x3040506, 0x405060708090A0B, 20, 20, 0x415, 0x141516171819, 0x1415161718191A1B, 0x14151617, 1,
    ]  # fmt: skip
    wanted = bytearray(data)
    wanted[16:17], wanted[18:20], wanted[20:24] = b"\xa1", b"\xb1\xb2", b"\xc1\xc2\xc3\xc4"
    wanted[24:32] = bytes.fromhex("d1d2d3d4d5d6d7d8")
    wanted[32:34] = bytes([32 | 0xF, 33 & 0xF | 0xF0])
    wanted[36:38], wanted[40:46], wanted[48:56] = b"\xe1\xe2", bytes.fromhex("f1f2f3f4f5f6"), bytes(range(1, 9))
    assert made.packet("writes", data, section="tc")[1] == bytes(wanted)


@pytest.mark.kernel
def test_checksums_follow_a_changed_address_and_port(program: Callable[..., Any]) -> None:
    made = program(
        OUT
        + """
    int f(struct __sk_buff *skb) {
        u8 *cursor = 0;
        struct ethernet_t *ethernet = cursor_advance(cursor, sizeof(*ethernet));
        struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
        struct udp_t *udp = cursor_advance(cursor, sizeof(*udp));
        u32 old = ip->dst, new = 0x08080404;
        u16 port = udp->dport, next = 53;
        incr_cksum_l4(&udp->crc, old, new, 1);
        incr_cksum_l4(&udp->crc, port, next, 0);
        incr_cksum_l3(&ip->hchecksum, old, new);
        ip->dst = new;
        udp->dport = next;
        return 0;
    }
    """
    )
    payload = b"a question.."

    def frame(target: str, port: int) -> bytes:
        addresses = socket.inet_aton("10.1.2.3") + socket.inet_aton(target)
        plain = struct.pack(">HHHH", 5353, port, 8 + len(payload), 0)
        crc = checksum(addresses + struct.pack(">HH", 17, 8 + len(payload)) + plain + payload)
        datagram = plain[:6] + struct.pack(">H", crc) + payload
        whole = bytearray(ipv4(17, datagram))
        whole[16:20], whole[10:12] = socket.inet_aton(target), b"\0\0"
        whole[10:12] = struct.pack(">H", checksum(bytes(whole[:20])))
        return ethernet(0x0800, bytes(whole))

    assert made.packet(data=frame("192.168.200.100", 4789), section="tc")[1] == frame("8.8.4.4", 53)


@pytest.mark.kernel
def test_bytes_of_a_packet_are_copied_and_compared(program: Callable[..., Any]) -> None:
    made = program(
        OUT
        + """
    int f(struct __sk_buff *skb) {
        u8 *cursor = 0;
        struct ip6_t *ip = (cursor += 14, cursor_advance(cursor, sizeof(*ip)));
        u8 address[8];
        __builtin_memcpy(address, &ip->src_hi, sizeof(address));
        put(0, address[0]);
        return memcmp(&ip->dst_hi, "01234567", 8);
    }
    """.replace("memcmp(", "__builtin_memcmp(")
    )
    assert made.packet(data=ethernet(0x86DD, IP6), section="tc")[0] == 0
    assert made.out[0] == 0x20


def test_a_text_may_mark_its_own_structs_and_declare_the_loads_as_clang_has_them() -> None:
    text = """
    unsigned long long load_byte(void *skb, unsigned long long off) asm("llvm.bpf.load.byte");
    struct mine_t { unsigned char a : 3, b : 5; } BPF_PACKET_HEADER;
    int f(struct __sk_buff *skb) { struct mine_t *p = (void *)20; return p->b + load_byte(skb, 3); }
    """
    assert compile_source(text).data


@pytest.mark.kernel
def test_global_functions_take_packet_structs_as_offsets(program: Callable[..., Any]) -> None:
    """The verifier checks them by themselves: the offset is a number in their BTF."""
    made = program(
        OUT
        + """
    #include <bcc/proto.h>
    __noinline u32 ttl(struct __sk_buff *skb, struct ip_t *ip, u32 more) { return ip->ttl + more; }
    __noinline u32 next(struct __sk_buff *skb, u64 at) { struct ip_t *ip = (struct ip_t *)at; return ip->nextp; }
    int f(struct __sk_buff *skb) {
        u8 *cursor = 0;
        struct ethernet_t *e = cursor_advance(cursor, sizeof(*e));
        struct ip_t *ip = cursor_advance(cursor, sizeof(*ip));
        put(0, ttl(skb, ip, 1));
        put(1, next(skb, (u64)ip));
        return 0;
    }
    """
    )
    assert made.packet(data=ethernet(0x0800, IP4), section="tc")[0] == 0
    assert made.out[:2] == [IP4[8] + 1, IP4[9]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "__noinline int g(struct __sk_buff *skb, u8 *cursor) { struct ip_t *p = cursor_advance(cursor, 20); return p->ttl; }"
            " int f(struct __sk_buff *skb) { u8 *cursor = 0; cursor += 14; return g(skb, cursor); }",
            "'g' is a global subprogram",
        ),
        ("int f(struct xdp_md *ctx) { struct ip_t *p = 0; return p->ttl; }", "give it the program's 'struct __sk_buff *'"),
        ("int f(struct __sk_buff *skb) { struct ip_t x, *p = &x; return p->ttl; }", "is an offset into the packet"),
        ("int f(struct __sk_buff *skb) { struct ip_t *p = 0, x = *p; return x.ttl; }", "is read field by field"),
        ("int f(struct __sk_buff *skb) { struct ip_t *p = 0; return (long)&p->ver; }", "the bit-field 'ver' has no address"),
        (
            "int f(struct __sk_buff *skb) { struct ip_t *p = 0; __builtin_memset(&p->src, 0, 4); return 0; }",
            "bpf_skb_store_bytes",
        ),
        ("int f(struct pt_regs *ctx) { incr_cksum_l3(24, 1, 2); return 0; }", "works on a packet"),
        ("int f(struct __sk_buff *skb) { return load_byte(3, skb); }", "takes the packet's struct __sk_buff * and an offset"),
        ("int f(struct __sk_buff *skb) { return load_byte(skb); }", "load_byte() takes 2 arguments"),
    ],
)
def test_what_is_no_packet_access_is_said(text: str, message: str) -> None:
    with pytest.raises(CompileError) as caught:
        compile_source("#include <bcc/proto.h>\n" + text)
    assert message in str(caught.value)
