/* calloc: every byte zero, also where dirty memory is used again; overflow is refused. */
#include "check.h"

static size_t first_nonzero(const char *block, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (block[i]) return i;
    return size;
}

static void check_zero(size_t count, size_t size) {
    char *block = calloc(count, size);
    CHECK(block != NULL, "calloc(%zu, %zu) is null", count, size);
    CHECK((uintptr_t)block % 16 == 0, "calloc(%zu, %zu) = %p", count, size, (void *)block);
    size_t at = first_nonzero(block, count * size);
    CHECK(at == count * size, "byte %zu of calloc(%zu, %zu) is %d", at, count, size, block[at]);
    memset(block, 0xa5, malloc_usable_size(block));
    free(block);
}

/* Several blocks of each size are dirtied to the last usable byte and freed, then taken again. */
static void zero_after_dirt(void) {
    enum { COUNT = 8 };
    size_t size;
    for (unsigned i = 0; (size = sample_size(i)) != 0; i++) {
        char *dirty[COUNT];
        int count = size < 100000 ? COUNT : 2;
        for (int k = 0; k < count; k++) {
            dirty[k] = malloc(size);
            CHECK(dirty[k] != NULL, "malloc(%zu) is null", size);
            memset(dirty[k], 0x5a, malloc_usable_size(dirty[k]));
        }
        for (int k = 0; k < count; k++) free(dirty[k]);
        for (int k = 0; k < count; k++) check_zero(1, size);
    }
}

/* Large ranges that were dirtied in pieces come back as one, and the other way round. */
static void zero_after_other_sizes(void) {
    enum { PIECES = 256 };
    void *pieces[PIECES];
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < PIECES; i++) {
            size_t size = (size_t)1000 << (i % 8);
            pieces[i] = malloc(size);
            CHECK(pieces[i] != NULL, "malloc(%zu) is null", size);
            memset(pieces[i], 0xff, size);
        }
        for (int i = 0; i < PIECES; i++) free(pieces[(i * 37) % PIECES]);
        for (size_t size = 100; size < 16000000; size *= 3) check_zero(size, 1);
    }
}

static void zero_sizes(void) {
    const size_t none = hidden_size(0);
    void *a = calloc(none, 8), *b = calloc(8, none), *c = calloc(none, none);
    CHECK(a && b && c && a != b && b != c && a != c, "calloc of zero bytes: %p %p %p", a, b, c);
    free(a);
    free(b);
    free(c);
}

static void overflow(void) {
    const size_t pairs[][2] = {{SIZE_MAX, 2}, {SIZE_MAX / 2 + 1, 2}, {(size_t)1 << 32, (size_t)1 << 32},
                               {((size_t)1 << 32) + 1, (size_t)1 << 32}, {SIZE_MAX, SIZE_MAX}, {PTRDIFF_MAX, 1}};
    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        errno = 0;
        void *block = calloc(hidden_size(pairs[i][0]), hidden_size(pairs[i][1]));
        CHECK(block == NULL && errno == ENOMEM, "calloc(%#zx, %#zx) = %p, errno %d", pairs[i][0], pairs[i][1], block, errno);
    }
}

int main(void) {
    zero_after_dirt();
    zero_after_other_sizes();
    zero_sizes();
    overflow();
    return 0;
}
