/* What the misuse programs share: each commits one misuse and must not get past it. */
#ifndef MISUSE_H
#define MISUSE_H
#include "check.h"

/* argv[1], a size, an offset or an address. */
__attribute__((unused)) static size_t argument(int argc, char **argv, int index) {
    CHECK(index < argc, "argument %d is missing", index);
    return strtoull(argv[index], NULL, 0);
}

/* Tells the test which pointer is about to be misused, and the size class of the block it belongs to. */
__attribute__((unused)) static void *announce(void *pointer, size_t size_class) {
    dprintf(1, "%p %zu\n", pointer, size_class);
    return hidden(pointer);
}
__attribute__((unused)) static void *some_block(size_t size) {
    void *block = malloc(size);
    CHECK(block != NULL, "malloc(%zu) is null", size);
    return block;
}

/* Where many blocks are needed: 64 MB of them at most. */
__attribute__((unused)) static size_t many(size_t size) {
    size_t count = ((size_t)64 << 20) / size;
    return count < 20000 ? count : 20000;
}
#endif
