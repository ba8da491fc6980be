/* Writes before a block of argv[1] bytes: argv[2] bytes before its start, by argv[3], "store" or "memcpy" (from there up to
   the block), or reads there ("read"). Then frees it. */
#include "misuse.h"

int main(int argc, char **argv) {
    static char source[(1 << 20) + 64];
    memset(source, 'y', sizeof source); /* zeroes over free memory would change nothing under `hardened` */
    size_t size = argument(argc, argv, 1), distance = argument(argc, argv, 2);
    char *block = announce(some_block(size), size);
    memset(block, 'x', size);
    volatile char *at = hidden(block - distance);
    if (!strcmp(argv[3], "memcpy")) memcpy((char *)at, source, distance);
    else if (!strcmp(argv[3], "store")) *at = 'y';
    else (void)*at;
    free(block);
    dprintf(1, "survived\n");
    return 0;
}
