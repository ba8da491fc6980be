/* 10 000 threads, 20 at a time, each allocates a little, frees half and leaves the rest to main. */
#include "threads.h"

enum { THREADS = 10000, AT_ONCE = 20, COUNT = 20 };

static void *body(void *number) {
    char **left = malloc(COUNT * sizeof *left);
    CHECK(left != NULL, "malloc is null");
    for (int i = 0; i < COUNT; i++) {
        size_t size = ((uintptr_t)number * 31 + (size_t)i * 97) % 3000 + 1;
        char *gone = malloc(size);
        left[i] = malloc(size);
        CHECK(gone && left[i], "no block of %zu", size);
        fill(left[i], size, size);
        memset(gone, 0xff, size);
        free(gone);
    }
    return left;
}

int main(void) {
    pthread_t threads[AT_ONCE];
    size_t early = 0;
    for (uintptr_t n = 0; n < THREADS; n += AT_ONCE) {
        for (uintptr_t t = 0; t < AT_ONCE; t++) threads[t] = start(body, (void *)(n + t));
        for (uintptr_t t = 0; t < AT_ONCE; t++) {
            char **left = join(threads[t]);
            for (size_t i = 0; i < COUNT; i++) {
                size_t size = ((n + t) * 31 + i * 97) % 3000 + 1;
                CHECK(first_difference(left[i], size, size) == size, "a block of an exited thread changed");
                free(left[i]);
            }
            free(left);
        }
        if (n == 1000) early = resident_bytes();
    }
    CHECK(resident_bytes() < early + ((size_t)16 << 20), "%zu bytes resident after 1000 threads, %zu after 10000", early,
          resident_bytes());
    return 0;
}
