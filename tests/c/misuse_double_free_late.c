/* A block of argv[1] bytes is freed again after thousands of others. Its slab stays in use: every second block is kept. */
#include "misuse.h"

int main(int argc, char **argv) {
    static void *blocks[20000];
    size_t size = argument(argc, argv, 1), count = many(size);
    for (size_t i = 0; i < count; i++) blocks[i] = some_block(size);
    announce(blocks[1], malloc_usable_size(blocks[1]));
    for (size_t i = 1; i < count; i += 2) free(blocks[i]);
    free(hidden(blocks[1]));
    return 0;
}
