/* Frees what would be the next block of a busy slab if the slab were longer: argv[1] is a size class that leaves a
 * tail in 64 KiB. */
#include "misuse.h"

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1), unit = 65536;
    char *block = some_block(size);
    for (int i = 0; i < 3000; i++) { /* the class gets hot */
        free(block);
        block = some_block(size);
    }
    uintptr_t slab = (uintptr_t)block & ~(uintptr_t)(unit - 1);
    free(announce((void *)(slab + unit / size * size), size));
    return 0;
}
