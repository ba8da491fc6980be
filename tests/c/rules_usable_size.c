/* malloc_usable_size: at least what was asked for, all of it writable, none of it another block's. */
#include "check.h"

enum { MOST = 16 };

/* Neighbours of one size, each written to its last usable byte: contents must not change. */
static void whole_block_is_ours(size_t size) {
    const int count = size < 100000 ? MOST : 3;
    void *blocks[MOST];
    size_t usable[MOST];
    for (int i = 0; i < count; i++) {
        blocks[i] = malloc(size);
        CHECK(blocks[i] != NULL, "malloc(%zu) is null", size);
        usable[i] = malloc_usable_size(blocks[i]);
        CHECK(usable[i] >= size, "usable %zu of malloc(%zu)", usable[i], size);
        fill(blocks[i], usable[i], (uint64_t)i);
    }
    for (int i = 0; i < count; i++) {
        size_t at = first_difference(blocks[i], usable[i], (uint64_t)i);
        CHECK(at == usable[i], "usable byte %zu of malloc(%zu) belongs to another block too", at, size);
        CHECK(malloc_usable_size(blocks[i]) == usable[i], "usable size of malloc(%zu) changes", size);
        free(blocks[i]);
    }
}

int main(void) {
    CHECK(malloc_usable_size(NULL) == 0, "usable size of null is %zu", malloc_usable_size(NULL));
    whole_block_is_ours(0);
    size_t size;
    for (unsigned i = 0; (size = sample_size(i)) != 0; i++) whole_block_is_ours(size);
    return 0;
}
