/* Runs code in a block of argv[1] bytes. */
#include "misuse.h"

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1);
    unsigned char *block = announce(some_block(size), size);
#ifdef __x86_64__
    block[0] = 0xc3; /* ret */
#else
    memcpy(block, "\xc0\x03\x5f\xd6", 4);
#endif
    __builtin___clear_cache((char *)block, (char *)block + 4);
    ((void (*)(void))(uintptr_t)hidden(block))();
    dprintf(1, "survived\n");
    return 0;
}
