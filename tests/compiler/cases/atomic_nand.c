// nand is not an operator of C: the old value, and the new one
#include <stdio.h>

int main(void) {
    unsigned v = 0xff00ff00;
    printf("%x ", __atomic_fetch_nand(&v, 0x0ff0, __ATOMIC_SEQ_CST)); printf("%x\n", v);
    printf("%x ", __atomic_nand_fetch(&v, 0x1234, __ATOMIC_SEQ_CST)); printf("%x\n", v);
    unsigned char c = 0x5a;
    printf("%x ", __sync_nand_and_fetch(&c, 0x0f)); printf("%x\n", c);
    return 0;
}
