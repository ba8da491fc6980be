/* malloc: alignment, zero, writability, no overlap, refusal of what cannot be. */
#include "check.h"

static void every_size(void) {
    size_t size;
    for (unsigned i = 0; (size = sample_size(i)) != 0; i++) {
        char *block = malloc(size);
        CHECK(block != NULL, "malloc(%zu) is null", size);
        CHECK((uintptr_t)block % 16 == 0, "malloc(%zu) = %p", size, (void *)block);
        fill(block, size, size);
        CHECK(first_difference(block, size, size) == size, "malloc(%zu) does not keep what is written", size);
        free(block);
    }
}

static void zero_is_unique(void) {
    enum { COUNT = 2000 };
    static char *blocks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc(hidden_size(0));
        CHECK(blocks[i] != NULL, "malloc(0) is null");
        CHECK((uintptr_t)blocks[i] % 16 == 0, "malloc(0) = %p", (void *)blocks[i]);
        for (int k = 0; k < i; k++) CHECK(blocks[i] != blocks[k], "malloc(0) twice the same");
    }
    for (int i = 0; i < COUNT; i++) free(blocks[i]);
}

static int by_address(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

/* All blocks live at once: sorted by address, none may reach into the next, and contents stay. */
static void live_blocks_do_not_overlap(void) {
    enum { COUNT = 20000 };
    static struct { char *block; size_t size; } live[COUNT];
    uint64_t random = 1;
    for (int i = 0; i < COUNT; i++) {
        size_t size = next_random(&random) % (i % 100 == 0 ? 300000 : i % 10 == 0 ? 9000 : 400);
        live[i].block = malloc(size);
        live[i].size = size;
        CHECK(live[i].block != NULL, "malloc(%zu) is null", size);
        fill(live[i].block, size, (uint64_t)i);
    }
    for (int i = 0; i < COUNT; i++) {
        size_t at = first_difference(live[i].block, live[i].size, (uint64_t)i);
        CHECK(at == live[i].size, "byte %zu of a live block of %zu changed", at, live[i].size);
    }
    qsort(live, COUNT, sizeof live[0], by_address);
    for (int i = 1; i < COUNT; i++)
        CHECK(live[i - 1].block + (live[i - 1].size ? live[i - 1].size : 1) <= live[i].block, "%p (%zu bytes) reaches %p",
              (void *)live[i - 1].block, live[i - 1].size, (void *)live[i].block);
    for (int i = 0; i < COUNT; i++) free(live[i].block);
}

static void refusals(void) {
    const size_t too_big[] = {(size_t)PTRDIFF_MAX + 1, (size_t)PTRDIFF_MAX, SIZE_MAX, SIZE_MAX - 15, SIZE_MAX - 4096,
                              (size_t)1 << 62};
    for (unsigned i = 0; i < sizeof too_big / sizeof *too_big; i++) {
        errno = 0;
        void *block = malloc(hidden_size(too_big[i]));
        CHECK(block == NULL, "malloc(%#zx) = %p", too_big[i], block);
        CHECK(errno == ENOMEM, "malloc(%#zx): errno %d", too_big[i], errno);
    }
    void *after = malloc(100);
    CHECK(after != NULL, "malloc(100) after refusals is null");
    free(after);
}

static void success_keeps_errno(void) {
    errno = 1234;
    void *small = malloc(24), *large = malloc(3000000);
    CHECK(small && large && errno == 1234, "errno %d after success", errno);
    free(small);
    free(large);
}

int main(void) {
    every_size();
    zero_is_unique();
    live_blocks_do_not_overlap();
    refusals();
    success_keeps_errno();
    return 0;
}
