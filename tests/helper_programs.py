"""What test_helpers.py runs on both engines, and the fuzzer damages: bodies that call each helper."""

from __future__ import annotations

import struct

from helper_cases import PACKET, Case

XDP_DATA = "u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end, *meta = (void *)(long)ctx->data_meta;"
SKB_DATA = "u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;"

CASES = [
    # XDP: the packet moved within its memory
    Case("xdp_adjust_head", "xdp", f"""
        put(0, bpf_xdp_adjust_head(ctx, (int)arg(0))); put(1, bpf_xdp_get_buff_len(ctx));
        {XDP_DATA}
        if (data + 14 > end) return XDP_DROP;
        data[0] ^= 0x5a; data[13] = 9;
        return XDP_TX;""", *((delta,) for delta in (-8, -216, -217, -256, 4, 60, 74, 75, 5000, 0))),
    Case("xdp_adjust_tail", "xdp", f"""
        put(0, bpf_xdp_adjust_tail(ctx, (int)arg(0)));
        {XDP_DATA}
        put(1, end - data);
        if (data + 20 > end) return XDP_DROP;
        data[19] = 1;
        return XDP_PASS;""", *((delta,) for delta in (-10, -70, -74, -75, -1000, 1, 100, 500, 3433, 10000))),
    Case("xdp_adjust_meta", "xdp", f"""
        put(0, bpf_xdp_adjust_meta(ctx, (int)arg(0)));
        {XDP_DATA}
        put(1, data - meta);
        if (meta + 8 <= data) *(u64 *)meta = 0x0102030405060708;
        put(2, bpf_xdp_adjust_head(ctx, -4));
        data = (void *)(long)ctx->data; meta = (void *)(long)ctx->data_meta;
        put(3, data - meta);
        return XDP_PASS;""", *((delta,) for delta in (-8, -32, -36, -3, -200, -216, -252, -256, 4, 0)),
        ctx=struct.pack("=6I", 0, len(PACKET), 0, 0, 0, 0)),
    Case("xdp_md with metadata", "xdp", f"""
        {XDP_DATA}
        put(0, data - meta); put(1, end - data);
        if (meta + 4 > data) return 1;
        put(2, *(u32 *)meta);
        return XDP_PASS;""", ctx=struct.pack("=6I", 8, len(PACKET), 0, 0, 0, 0)),
    Case("xdp_load_bytes and xdp_store_bytes", "xdp", """
        u64 words[4] = {1, 2, 3, 4}; u32 size = arg(1);
        if (size > 32 || !size) return 1;
        long failed = bpf_xdp_load_bytes(ctx, arg(0), words, size); put(0, failed);
        if (!failed) { put(1, words[0]); put(2, words[3]); }  // after a failure the engine clears it, the kernel does not
        u64 other[4] = {5, 6, 7, 8};
        put(3, bpf_xdp_store_bytes(ctx, arg(0) + 1, other, size));
        return XDP_PASS;""", (0, 32), (3, 8), (50, 28), (60, 32), (0xffff, 4), (0x10000, 4), (87, 1), (88, 1), (-1, 4)),
    Case("redirect in XDP", "xdp", "return bpf_redirect(1, arg(0));", (0,), (1,), (2,)),
    Case("a packet that a function moved", "xdp", f"""
        {XDP_DATA}
        if (data + 34 > end) return 1;
        put(0, data[30]);
        if (shrink(ctx)) return 2;
        data = (void *)(long)ctx->data; end = (void *)(long)ctx->data_end;
        if (data + 34 > end) return 3;
        data[33] = 0x77;
        return data[30];""",
        before="__attribute__((noinline)) int shrink(struct xdp_md *ctx) { return bpf_xdp_adjust_head(ctx, 4); }"),
    # socket buffers
    *(
        Case(f"skb_load_bytes in {kind}", kind, """
            u64 words[4] = {1, 2, 3, 4}; u32 size = arg(1);
            if (size > 32 || !size) return 1;
            put(0, bpf_skb_load_bytes(ctx, arg(0), words, size)); put(1, words[0]); put(2, words[3]);
            put(3, ctx->len); put(4, ctx->protocol); put(5, bpf_skb_load_bytes_relative(ctx, arg(0), words, size, arg(2)));
            put(6, words[0]); put(7, words[3]);
            return 5;""", (0, 32), (7, 9), (72, 16, 1), (73, 16, 1), (80, 32), (-1, 4), (0, 8, 1), (56, 8, 1), (66, 8, 1),
            (80, 8), (81, 8), (65536, 4), (0, 8, 2))
        for kind in ("tc", "socket")
    ),
    Case("skb_store_bytes", "tc", """
        u64 word = 0xa1a2a3a4a5a6a7a8;
        put(0, bpf_skb_store_bytes(ctx, arg(0), &word, 8, arg(1)));""",
        (0, 0), (22, 1), (80, 2), (81, 0), (-1, 0), (0, 4), (30, 3)),
    Case("l3_csum_replace", "tc", "put(0, bpf_l3_csum_replace(ctx, arg(0), arg(1), arg(2), arg(3)));",
        (24, 0x0a000001, 0x0a0000ff, 4), (24, 0x1234, 0x4321, 2), (24, 0, 0x87654321, 0), (24, 1, 2, 0), (24, 1, 2, 3),
        (25, 1, 2, 2), (87, 1, 2, 2), (86, 1, 2, 2), (65536, 1, 2, 2), (24, 1, 2, 16), (26, 0xffff, 0, 2),
        (26, 0, 0xffffffff, 4), (76, 0, 0, 4)),
    Case("l4_csum_replace", "tc", "put(0, bpf_l4_csum_replace(ctx, arg(0), arg(1), arg(2), arg(3)));",
        (50, 0x0a000001, 0x0a0000ff, 4 | 16), (50, 0x1234, 0x4321, 2), (50, 0, 0x8765, 0), (36, 1, 2, 2 | 32), (50, 1, 2, 2 | 32),
        (50, 1, 2, 2 | 32 | 64), (50, 1, 2, 3), (51, 1, 2, 2), (40, 1, 2, 0), (24, 0, 0xffff, 2 | 32 | 64), (24, 1, 2, 256)),
    Case("skb_change_tail", "tc", f"""
        put(0, bpf_skb_change_tail(ctx, arg(0), arg(1))); put(1, ctx->len);
        {SKB_DATA}
        put(2, end - data);""", (13,), (14,), (40,), (88,), (200,), (400,), (70000,), (40, 1)),
    Case("skb_change_head", "tc", f"""
        put(0, bpf_skb_change_head(ctx, arg(0), 0)); put(1, ctx->len);
        {SKB_DATA}
        if (data + 1 <= end) data[0] = 0x33;""", (0,), (14,), (40,)),
    Case("skb_pull_data", "tc", f"""
        put(0, bpf_skb_pull_data(ctx, arg(0)));
        {SKB_DATA}
        if (data + 20 > end) return 9;
        data[14] = data[19] + 1;
        return 7;""", (0,), (20,), (88,), (89,), (1000,)),
    Case("hash and checksum of a socket buffer", "tc", """
        put(0, bpf_set_hash(ctx, 0x1234)); put(1, ctx->hash); put(2, bpf_get_hash_recalc(ctx));
        bpf_set_hash_invalid(ctx); put(3, ctx->hash); put(4, bpf_csum_update(ctx, 5));"""),
    Case("fields of a socket buffer", "tc", """
        put(0, ctx->len); put(1, ctx->protocol); put(2, ctx->mark); put(3, ctx->priority); put(4, ctx->cb[2]);
        put(5, ctx->ifindex); put(6, ctx->pkt_type); put(7, ctx->vlan_present); put(8, ctx->tstamp);
        put(9, ctx->data_meta == ctx->data); put(10, ctx->wire_len); put(11, ctx->gso_segs); put(12, ctx->ingress_ifindex);
        put(13, ctx->queue_mapping);
        ctx->mark = 77; ctx->cb[0] = 8; ctx->priority = 9; ctx->tstamp = 10;
        return 3;""", ctx=struct.pack("=8x I 20x I 12x 5I 124x", 5, 6, 1, 2, 3, 4, 5)),
    Case("redirect in tc", "tc", "return bpf_redirect(1, arg(0));", (0,), (1,), (2,)),
    # numbers and text
    Case("csum_diff", "tc", """
        u32 one[4] = {0xffffffff, 0x12345678, 3, 0x80000000}, other[4] = {0xdeadbeef, 5, 0xffff0000, 1};
        u32 a = arg(0), b = arg(1);
        if (a > 16 || b > 16) return 0;
        put(1, bpf_csum_diff(0, 0, other, b, arg(2))); put(2, bpf_csum_diff(one, a, 0, 0, arg(2)));
        return bpf_csum_diff(one, a, other, b, arg(2)) + 1;""",
        *((a, b, seed) for a in (0, 4, 16) for b in (0, 8, 16) for seed in (0, 0xffffffff, 0x12345678))),
    Case("strtol and strtoul", "tc", """
        char text[32]; long l = 77; unsigned long u = 78;
        if (bpf_skb_load_bytes(ctx, 14, text, 32)) return 1;
        put(0, bpf_strtol(text, 32, arg(0), &l)); put(1, l); put(2, bpf_strtoul(text, 32, arg(0), &u)); put(3, u);
        u = 79; put(4, bpf_strtoul(text, 2, arg(0), &u)); put(5, u);""", (0,), (10,), (16,), (8,), (7,),
        texts=(b"12345", b"-77 ", b"0x1fG", b"ff", b"077", b"  42", b"zz", b"99999999999999999999", b"-9223372036854775808",
               b"9223372036854775808", b"0x", b"-", b"", b"18446744073709551615,", b"\t+5")),
    Case("snprintf", "tc", "char name[] = \"skep\";" + "".join(
        f"""
        {{
            static const char format[] = "{format}"; u64 words[4] = {{{words}}}; char text[40] = {{}};
            put({at}, bpf_snprintf(text, {size}, format, words, sizeof(words)));
            put({at + 1}, *(u64 *)text); put({at + 2}, *(u64 *)(text + 8)); put({at + 3}, *(u64 *)(text + 16));
            put({at + 4}, *(u64 *)(text + 24));
        }}"""
        for at, (format, words, size) in zip(range(0, 30, 5), (
            ("%d %u %x %X", "-5, 7, 255, 255", 40), ("%lld|%llx|%lu|%s", "-1, ~0ULL, 9, (u64)name", 40),
            ("%08x %-6d|%6d %c", "255, 42, 42, 65", 40), ("%d %d %d %d", "1111111, 2222222, 333333, 4", 10),
            ("%%%s%% %i %d", "(u64)name, 3, 4, 0", 40), ("%5s|%-6s|%d%d", "(u64)name, (u64)name, 1, 2", 40),
        ), strict=True)
    )),
    Case("strncmp", "tc", """
        static const char one[] = "abcdef"; char text[8] = "abcxyz";
        put(0, bpf_strncmp(text, 3, one)); put(1, bpf_strncmp(text, 8, one) < 0); text[3] = 0;
        put(2, bpf_strncmp(text, 8, one) > 0); text[3] = 'z'; put(3, bpf_strncmp(text, 8, one) > 0);
        put(4, bpf_strncmp(text, 8, one) == 0);"""),
    # maps
    Case("map updates with flags", "raw", """
        u64 k = 1, v = 10;
        put(0, bpf_map_update_elem(&h, &k, &v, 2)); put(1, bpf_map_update_elem(&h, &k, &v, 1));
        put(2, bpf_map_update_elem(&h, &k, &v, 1)); put(3, bpf_map_update_elem(&h, &k, &v, 3)); k = 2;
        put(4, bpf_map_update_elem(&h, &k, &v, 0)); k = 3; put(5, bpf_map_update_elem(&h, &k, &v, 0)); k = 9;
        put(6, bpf_map_delete_elem(&h, &k)); k = 1; put(7, bpf_map_delete_elem(&h, &k)); u32 i = 99;
        put(8, bpf_map_update_elem(&out, &i, &v, 0)); put(9, bpf_map_delete_elem(&out, &i)); i = 3;
        put(10, bpf_map_update_elem(&out, &i, &v, 1));""", before="BPF_HASH(h, u64, u64, 2);"),
    Case("per-CPU lookups", "raw", """
        u32 zero = 0, far = 5; u64 *v = bpf_map_lookup_percpu_elem(&p, &zero, 1);
        if (v) *v += 5;
        put(0, !!v); put(1, !!bpf_map_lookup_percpu_elem(&p, &zero, 100000));
        put(2, !!bpf_map_lookup_percpu_elem(&p, &far, 0));""",
        before="BPF_PERCPU_ARRAY(p, u64, 2);"),
    Case("queues and stacks", "raw", """
        u64 v = 1; put(0, q.push(&v, 0)); v = 2; put(1, q.push(&v, 0)); v = 3; put(2, q.push(&v, 0)); put(3, q.push(&v, 2));
        put(4, q.peek(&v)); put(5, v); put(6, q.pop(&v)); put(7, v); put(8, q.pop(&v)); put(9, v); put(10, q.pop(&v)); put(11, v);
        v = 8; s.push(&v, 0); v = 9; s.push(&v, 0); s.pop(&v); put(12, v);""",
        before="BPF_QUEUE(q, u64, 2); BPF_STACK(s, u64, 4);"),
    Case("for_each_map_elem", "raw", """
        u64 sum = 0; long visited = bpf_for_each_map_elem(&out, add, &sum, 0); put(0, visited); put(1, sum);
        put(2, bpf_for_each_map_elem(&out, add, &sum, 1));""",
        before="static long add(void *map, u32 *key, u64 *value, u64 *sum) { *sum += *key + 1; return *key == 9; }"),
    Case("loop", "raw", """
        u64 sum = 0; put(0, bpf_loop(100, add, &sum, 0)); put(1, sum); put(2, bpf_loop(10, add, &sum, 1));
        put(3, (int)bpf_loop(1 << 24, add, &sum, 0)); put(4, bpf_loop(0, add, &sum, 0));""",
        before="static long add(u32 i, u64 *sum) { *sum += i; return *sum > 2000; }"),
    # the task and what it is not
    Case("ids of the task", "raw", """
        put(0, bpf_get_current_pid_tgid()); put(1, bpf_get_current_uid_gid()); put(2, bpf_get_current_cgroup_id());
        put(3, bpf_get_numa_node_id()); put(4, bpf_get_attach_cookie(ctx)); char comm[16]; put(5, bpf_get_current_comm(comm, 16));
        put(6, *(u64 *)comm); put(7, *(u64 *)(comm + 8)); put(8, bpf_get_current_comm(comm, 4)); put(9, *(u64 *)comm);"""),
    Case("reading what is nowhere", "raw", """
        u64 word = 5; put(0, bpf_probe_read_kernel(&word, 8, (void *)16)); put(1, word); word = 6;
        put(2, bpf_probe_read_user(&word, 8, (void *)16)); put(3, word); char text[8] = "skep";
        put(4, bpf_probe_read_kernel_str(&word, 8, text)); put(5, word); put(6, bpf_probe_read_kernel_str(&word, 3, text));
        put(7, bpf_probe_read_user_str(&word, 8, (void *)16)); put(8, word); put(9, bpf_probe_read_kernel(&word, 8, text));
        put(10, word);"""),
    Case("context words", "raw", "put(0, ctx->args[0]); put(1, ctx->args[1]); put(2, ctx->args[3]); return ctx->args[2];"),
]  # fmt: skip
