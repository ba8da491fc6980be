/* mallocx and its family: flags, sizes, growing in place. */
#include "check.h"

#define LG_ALIGN(lg) (lg)
#define ZERO 0x40

static void sizes_agree(void) {
    size_t size;
    for (unsigned i = 0; (size = sample_size(i)) != 0; i++) {
        for (int lg = 0; lg <= 16; lg += 4) {
            int flags = LG_ALIGN(lg);
            void *block = mallocx(size, flags);
            CHECK(block != NULL, "mallocx(%zu, %d) is null", size, flags);
            CHECK((uintptr_t)block % ((size_t)1 << lg) == 0, "mallocx(%zu, %d) = %p", size, flags, block);
            size_t real = sallocx(block, flags);
            CHECK(real >= size, "sallocx = %zu of mallocx(%zu)", real, size);
            CHECK(real == malloc_usable_size(block), "sallocx = %zu, usable %zu", real, malloc_usable_size(block));
            size_t promised = nallocx(size, flags); /* a block may turn out larger than promised, never smaller */
            CHECK(promised >= size && promised <= real, "nallocx(%zu, %d) = %zu, really %zu", size, flags, promised, real);
            fill(block, real, size);
            if (i % 2) dallocx(block, flags);
            else sdallocx(block, size, flags);
        }
    }
}

static void zero_flag(void) {
    for (size_t size = 10; size < 3000000; size *= 3) {
        char *dirty = mallocx(size, 0);
        CHECK(dirty != NULL, "mallocx(%zu) is null", size);
        memset(dirty, 0xee, size);
        dallocx(dirty, 0);
        char *block = mallocx(size, ZERO | LG_ALIGN(6));
        CHECK(block != NULL && (uintptr_t)block % 64 == 0, "mallocx(%zu, zero, 64) = %p", size, (void *)block);
        for (size_t i = 0; i < size; i++) CHECK(block[i] == 0, "byte %zu of %zu is not zero", i, size);
        fill(block, size, size);
        block = rallocx(block, 2 * size, ZERO);
        CHECK(block != NULL && first_difference(block, size, size) == size, "rallocx loses contents at %zu", size);
        for (size_t i = size; i < 2 * size; i++) CHECK(block[i] == 0, "byte %zu grown from %zu is not zero", i, size);
        dallocx(block, 0);
    }
}

static void resizing(void) {
    char *block = mallocx(100, 0);
    fill(block, 100, 5);
    block = rallocx(block, 100000, LG_ALIGN(12));
    CHECK(block && (uintptr_t)block % 4096 == 0, "rallocx to a page boundary = %p", (void *)block);
    CHECK(first_difference(block, 100, 5) == 100, "rallocx loses contents");
    CHECK(rallocx(block, hidden_size(PTRDIFF_MAX), 0) == NULL, "rallocx(PTRDIFF_MAX) is not null");
    CHECK(first_difference(block, 100, 5) == 100, "a refused rallocx changes the block");
    dallocx(block, 0);
}

/* In place or not at all; the answer is the real size afterwards. */
static void in_place(void) {
    for (size_t size = 20; size < 2000000; size *= 7) {
        char *block = mallocx(size, 0);
        size_t before = sallocx(block, 0);
        CHECK(xallocx(block, before, 0, 0) == before, "xallocx to the present size changes it");
        CHECK(xallocx(block, hidden_size(1) << 45, 0, 0) < (size_t)1 << 45, "xallocx grows without bounds");
        size_t now = sallocx(block, 0), more = xallocx(block, now, 64, 0);
        CHECK(more >= now && more == sallocx(block, 0), "xallocx = %zu, sallocx %zu", more, sallocx(block, 0));
        fill(block, more, 1);
        dallocx(block, 0);
    }
}

static void refusals(void) {
    CHECK(mallocx(hidden_size(PTRDIFF_MAX), 0) == NULL, "mallocx(PTRDIFF_MAX) is not null");
    CHECK(mallocx(hidden_size(SIZE_MAX), LG_ALIGN(12)) == NULL, "mallocx(SIZE_MAX) is not null");
    CHECK(nallocx(hidden_size(SIZE_MAX), 0) == 0, "nallocx(SIZE_MAX) = %zu", nallocx(hidden_size(SIZE_MAX), 0));
}

int main(void) {
    CHECK(IS_THERE(mallocx) && IS_THERE(rallocx) && IS_THERE(xallocx) && IS_THERE(sallocx), "not all of the family are there");
    CHECK(IS_THERE(dallocx) && IS_THERE(sdallocx) && IS_THERE(nallocx), "not all of the family are there");
    sizes_agree();
    zero_flag();
    resizing();
    in_place();
    refusals();
    return 0;
}
