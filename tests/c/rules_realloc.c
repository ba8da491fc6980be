/* realloc, reallocarray: contents kept while growing and shrinking, glibc's rules for null and zero. */
#include "check.h"

static const size_t sizes[] = {1,    15,   16,   17,    32,    100,   256,   257,    600,    1000,   4096,
                               5000, 8192, 9000, 30000, 32768, 32769, 65536, 100000, 262144, 1 << 20, 5 << 20};
enum { COUNT = sizeof sizes / sizeof *sizes };

/* From every size to every other, with neighbours around so that growing in place is not always possible. */
static void contents_are_kept(void) {
    for (int from = 0; from < COUNT; from++) {
        for (int to = 0; to < COUNT; to++) {
            size_t old = sizes[from], new = sizes[to], kept = old < new ? old : new;
            char *block = malloc(old);
            char *neighbour = (from + to) % 2 ? malloc(old) : NULL;
            CHECK(block != NULL, "malloc(%zu) is null", old);
            fill(block, old, old);
            block = realloc(block, new);
            CHECK(block != NULL, "realloc from %zu to %zu is null", old, new);
            CHECK((uintptr_t)block % 16 == 0, "realloc from %zu to %zu = %p", old, new, (void *)block);
            size_t at = first_difference(block, kept, old);
            CHECK(at == kept, "realloc from %zu to %zu loses byte %zu", old, new, at);
            CHECK(malloc_usable_size(block) >= new, "usable %zu after realloc to %zu", malloc_usable_size(block), new);
            fill(block, new, new);
            free(neighbour);
            free(block);
        }
    }
}

/* A growing buffer, as programs have them, and its slow shrinking. */
static void in_small_steps(void) {
    size_t size = 1;
    char *block = malloc(size);
    block[0] = (char)pattern_byte(3, 0);
    while (size < 3000000) {
        size_t next = size + size / 3 + 1;
        block = realloc(block, next);
        CHECK(block != NULL && first_difference(block, size, 3) == size, "growing from %zu to %zu", size, next);
        fill(block, next, 3);
        size = next;
    }
    while (size > 1) {
        size = size - size / 5 - 1;
        if (size == 0) break;
        block = realloc(block, size);
        CHECK(block != NULL && first_difference(block, size, 3) == size, "shrinking to %zu", size);
    }
    free(block);
}

/* A large block that is shrunk must not keep all its memory. */
static void shrinking_gives_back(void) {
    enum { BLOCKS = 16, LARGE = 8 << 20 };
    char *blocks[BLOCKS];
    size_t before = resident_bytes();
    for (int i = 0; i < BLOCKS; i++) {
        blocks[i] = malloc(LARGE);
        CHECK(blocks[i] != NULL, "malloc(%d) is null", LARGE);
        memset(blocks[i], 1, LARGE);
        blocks[i] = realloc(blocks[i], 100);
        CHECK(blocks[i] != NULL, "realloc to 100 is null");
    }
    size_t after = resident_bytes();
    CHECK(after < before + (size_t)BLOCKS * LARGE / 2, "%zu bytes resident, %zu before %d blocks of 100", after, before, BLOCKS);
    for (int i = 0; i < BLOCKS; i++) free(blocks[i]);
}

static void null_and_zero(void) {
    char *block = realloc(NULL, 50);
    CHECK(block != NULL, "realloc(NULL, 50) is null");
    fill(block, 50, 0);
    errno = 77;
    CHECK(realloc(block, hidden_size(0)) == NULL, "realloc(p, 0) is not null"); /* and frees, as glibc */
    CHECK(errno == 77, "realloc(p, 0) sets errno %d", errno);
    void *zero = realloc(NULL, hidden_size(0));
    CHECK(zero != NULL, "realloc(NULL, 0) is null");
    free(zero);
    for (int i = 0; i < 2000000; i++) { /* would need 2 GB if realloc(p, 0) did not free */
        block = malloc(1000);
        CHECK(block != NULL, "malloc(1000) is null");
        block[999] = 1;
        CHECK(realloc(block, hidden_size(0)) == NULL, "realloc(p, 0) is not null");
    }
    CHECK(resident_bytes() < (size_t)200 << 20, "realloc(p, 0) does not free: %zu bytes resident", resident_bytes());
}

static void a_refusal_keeps_the_block(void) {
    for (size_t size = 24; size < 3000000; size *= 50) {
        char *block = malloc(size);
        fill(block, size, size);
        errno = 0;
        CHECK(realloc(block, hidden_size(PTRDIFF_MAX)) == NULL && errno == ENOMEM, "realloc(p, PTRDIFF_MAX): errno %d", errno);
        errno = 0;
        CHECK(realloc(block, hidden_size(SIZE_MAX)) == NULL && errno == ENOMEM, "realloc(p, SIZE_MAX): errno %d", errno);
        CHECK(first_difference(block, size, size) == size, "a refused realloc changes the block");
        free(block);
    }
}

static void arrays(void) {
    char *block = reallocarray(NULL, 10, 20);
    CHECK(block != NULL && malloc_usable_size(block) >= 200, "reallocarray(NULL, 10, 20)");
    fill(block, 200, 9);
    block = reallocarray(block, 1000, 20);
    CHECK(block != NULL && first_difference(block, 200, 9) == 200, "reallocarray loses contents");
    const size_t pairs[][2] = {{SIZE_MAX, 2}, {(size_t)1 << 32, (size_t)1 << 32}, {SIZE_MAX / 2, 3}};
    for (unsigned i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        errno = 0;
        void *refused = reallocarray(block, hidden_size(pairs[i][0]), hidden_size(pairs[i][1]));
        CHECK(refused == NULL && errno == ENOMEM, "reallocarray(%#zx, %#zx): errno %d", pairs[i][0], pairs[i][1], errno);
    }
    CHECK(first_difference(block, 200, 9) == 200, "a refused reallocarray changes the block");
    free(block);
}

int main(void) {
    contents_are_kept();
    in_small_steps();
    shrinking_gives_back();
    null_and_zero();
    a_refusal_keeps_the_block();
    arrays();
    return 0;
}
