/* aligned_alloc, memalign, posix_memalign, valloc, pvalloc: the address, the contents, the refusals. */
#include "check.h"

static void check_block(const char *what, void *block, size_t align, size_t size) {
    CHECK(block != NULL, "%s(%zu, %zu) is null", what, align, size);
    CHECK((uintptr_t)block % align == 0, "%s(%zu, %zu) = %p", what, align, size, block);
    CHECK((uintptr_t)block % 16 == 0, "%s(%zu, %zu) = %p", what, align, size, block);
    CHECK(malloc_usable_size(block) >= size, "usable %zu of %s(%zu, %zu)", malloc_usable_size(block), what, align, size);
    fill(block, size, size + align);
    CHECK(first_difference(block, size, size + align) == size, "%s(%zu, %zu): contents", what, align, size);
}

/* Four live blocks of each alignment and size, resized and freed. */
static void every_alignment(void) {
    const size_t sizes[] = {0, 1, 8, 24, 64, 65, 100, 500, 1000, 4095, 4096, 4097, 20000, 40000, 70000, 1 << 20};
    for (size_t align = 1; align <= (size_t)4 << 20; align *= 2) {
        for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            size_t size = sizes[i];
            void *a = memalign(align, size), *b = aligned_alloc(align, size), *c = memalign(align, size), *d = NULL;
            check_block("memalign", a, align, size);
            check_block("aligned_alloc", b, align, size);
            check_block("memalign", c, align, size);
            if (align >= sizeof(void *)) {
                errno = 55;
                CHECK(posix_memalign(&d, align, size) == 0, "posix_memalign(%zu, %zu) fails", align, size);
                check_block("posix_memalign", d, align, size);
                CHECK(errno == 55, "posix_memalign sets errno %d", errno);
            }
            CHECK(first_difference(a, size, size + align) == size, "aligned blocks overlap (%zu, %zu)", align, size);
            a = realloc(a, size + 5000);
            CHECK(a && first_difference(a, size, size + align) == size, "realloc of an aligned block (%zu, %zu)", align, size);
            free(a);
            free(b);
            free(c);
            free(d);
        }
    }
}

/* As glibc: an alignment that is no power of two is rounded up by memalign. */
static void odd_alignments(void) {
    for (size_t align = 3; align < 5000; align += 97) {
        void *block = memalign(align, 100);
        size_t power = 1;
        while (power < align) power *= 2;
        check_block("memalign", block, power, 100);
        free(block);
    }
    if (!on_oracle()) { /* the standard; glibc since 2.38 */
        errno = 0;
        CHECK(aligned_alloc(hidden_size(24), 48) == NULL && errno == EINVAL, "aligned_alloc(24, 48): errno %d", errno);
        errno = 0;
        CHECK(aligned_alloc(hidden_size(0), 48) == NULL && errno == EINVAL, "aligned_alloc(0, 48): errno %d", errno);
    }
}

static void posix_refusals(void) {
    const size_t wrong[] = {0, 1, 2, 4, 7, 9, 12, 24, 100, 4095, SIZE_MAX, ((size_t)1 << 63) + 8};
    void *const untouched = (void *)0x1234;
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        void *block = untouched;
        int result = posix_memalign(&block, hidden_size(wrong[i]), 100);
        CHECK(result == EINVAL, "posix_memalign with alignment %zu = %d", wrong[i], result);
        CHECK(block == untouched, "a refused posix_memalign writes the pointer");
    }
    void *block = untouched;
    int result = posix_memalign(&block, 64, hidden_size(PTRDIFF_MAX));
    CHECK(result == ENOMEM && block == untouched, "posix_memalign(64, PTRDIFF_MAX) = %d, %p", result, block);
}

static void refusals(void) {
    const size_t huge[] = {PTRDIFF_MAX, (size_t)PTRDIFF_MAX + 1, SIZE_MAX, SIZE_MAX - 100, SIZE_MAX - 4095};
    for (unsigned i = 0; i < sizeof huge / sizeof *huge; i++) {
        size_t size = hidden_size(huge[i]);
        for (size_t align = 16; align <= 1 << 16; align *= 16) {
            errno = 0;
            CHECK(memalign(align, size) == NULL && errno == ENOMEM, "memalign(%zu, %#zx): errno %d", align, size, errno);
            errno = 0;
            CHECK(aligned_alloc(align, size) == NULL && errno == ENOMEM, "aligned_alloc(%zu, %#zx): errno %d", align, size, errno);
        }
        errno = 0;
        CHECK(valloc(size) == NULL && errno == ENOMEM, "valloc(%#zx): errno %d", size, errno);
        errno = 0;
        CHECK(pvalloc(size) == NULL && errno == ENOMEM, "pvalloc(%#zx): errno %d", size, errno);
    }
    errno = 0;
    CHECK(memalign((size_t)1 << 62, 100) == NULL && errno != 0, "memalign(1 << 62, 100) is not refused");
}

static void pages(void) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    const size_t sizes[] = {1, 100, page - 1, page, page + 1, 10 * page, 300 * page + 5};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        void *a = valloc(sizes[i]), *b = pvalloc(sizes[i]);
        check_block("valloc", a, page, sizes[i]);
        check_block("pvalloc", b, page, (sizes[i] + page - 1) / page * page); /* whole pages */
        free(a);
        free(b);
    }
    void *zero = valloc(hidden_size(0));
    check_block("valloc", zero, page, 0);
    free(zero);
}

int main(void) {
    every_alignment();
    odd_alignments();
    posix_refusals();
    refusals();
    pages();
    return 0;
}
