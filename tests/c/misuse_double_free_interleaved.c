/* A block of argv[1] bytes is freed again after ten others. */
#include "misuse.h"

int main(int argc, char **argv) {
    enum { OTHERS = 10 };
    size_t size = argument(argc, argv, 1);
    void *others[OTHERS], *block = some_block(size);
    for (int i = 0; i < OTHERS; i++) others[i] = some_block(size);
    announce(block, malloc_usable_size(block));
    free(block);
    for (int i = 0; i < OTHERS; i++) free(others[i]);
    free(hidden(block));
    return 0;
}
