/* A block of argv[1] bytes is freed again when all blocks around it were freed too and the memory was given back. */
#include "misuse.h"

int main(int argc, char **argv) {
    static void *blocks[20000];
    size_t size = argument(argc, argv, 1), count = many(size);
    for (size_t i = 0; i < count; i++) blocks[i] = some_block(size);
    void *block = announce(blocks[count / 2], malloc_usable_size(blocks[count / 2]));
    for (size_t i = 0; i < count; i++) free(blocks[i]);
    malloc_trim(0);
    free(block);
    return 0;
}
