"""Names of addresses and addresses of names: the kernel's symbols, ELF files, processes, USDT probes."""
