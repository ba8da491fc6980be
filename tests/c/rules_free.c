/* free and its relatives: null, errno, sizes told by the caller, reuse. */
#include "check.h"

/* Enough of each size that caches overflow and memory goes back to the system. */
static void errno_is_kept(void) {
    const struct { size_t size; int count; } rounds[] = {{24, 200000}, {600, 20000}, {5000, 5000}, {40000, 500}, {4 << 20, 20}};
    static void *blocks[200000];
    for (unsigned i = 0; i < sizeof rounds / sizeof *rounds; i++) {
        for (int k = 0; k < rounds[i].count; k++) {
            blocks[k] = malloc(rounds[i].size);
            CHECK(blocks[k] != NULL, "malloc(%zu) is null", rounds[i].size);
            *(char *)blocks[k] = 1;
        }
        for (int k = 0; k < rounds[i].count; k++) {
            errno = 4321;
            free(blocks[k]);
            CHECK(errno == 4321, "free of block %d of %zu bytes sets errno %d", k, rounds[i].size, errno);
        }
    }
}

static void null_is_ignored(void) {
    errno = 99;
    free(NULL);
    CHECK(errno == 99, "free(NULL) sets errno %d", errno);
}

/* What is freed is used again: this would take 6 GB otherwise. */
static void memory_is_used_again(void) {
    for (int i = 0; i < 60000; i++) {
        char *block = malloc(100000);
        CHECK(block != NULL, "malloc(100000) is null");
        memset(block, i, 100000);
        free(block);
    }
    CHECK(resident_bytes() < (size_t)100 << 20, "%zu bytes resident", resident_bytes());
}

static void sizes_told(void) {
    if (on_oracle()) return; /* glibc 2.36 has none of them */
    CHECK(IS_THERE(cfree) && IS_THERE(free_sized) && IS_THERE(free_aligned_sized), "not all of the family are there");
    cfree(malloc(100));
    cfree(NULL);
    free_sized(NULL, 0);
    free_sized(NULL, 100);
    free_aligned_sized(NULL, 64, 0);
    size_t size;
    for (unsigned i = 0; (size = sample_size(i)) != 0; i++) {
        errno = 4321;
        void *a = malloc(size), *b = calloc(1, size), *c = aligned_alloc(64, size);
        CHECK(a && b && c, "no block of %zu", size);
        free_sized(a, size);
        free_sized(b, size);
        free_aligned_sized(c, 64, size);
        CHECK(errno == 4321, "free_sized of %zu sets errno %d", size, errno);
    }
    CHECK(resident_bytes() < (size_t)200 << 20, "free_sized does not free: %zu bytes resident", resident_bytes());
}

int main(void) {
    errno_is_kept();
    null_is_ignored();
    memory_is_used_again();
    sizes_told();
    return 0;
}
