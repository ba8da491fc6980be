/* Threads with the smallest stack there is go through every slow path. */
#include "threads.h"
#include <limits.h>

enum { ROUNDS = 30, COUNT = 1500 };

static void *body(void *unused) {
    static _Thread_local void *blocks[1]; /* no room for an array on this stack */
    void **list = malloc(COUNT * sizeof *list);
    CHECK(list != NULL, "malloc is null");
    for (size_t size = 16; size < 100000; size = size * 3 + 5) {
        int count = size < 10000 ? COUNT : 50;
        for (int i = 0; i < count; i++) CHECK((list[i] = i % 2 ? malloc(size) : calloc(1, size)) != NULL, "no block of %zu", size);
        for (int i = 0; i < count; i += 3) CHECK((list[i] = realloc(list[i], size * 2)) != NULL, "realloc to %zu", size * 2);
        for (int i = 0; i < count; i++) free(list[i]);
        CHECK(posix_memalign(&blocks[0], 4096, size) == 0, "posix_memalign of %zu", size);
        free(blocks[0]);
    }
    free(list);
    return unused;
}

int main(void) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    CHECK(pthread_attr_setstacksize(&attributes, (size_t)PTHREAD_STACK_MIN) == 0, "pthread_attr_setstacksize");
    for (int i = 0; i < ROUNDS; i++) {
        pthread_t threads[4];
        for (int t = 0; t < 4; t++) CHECK(pthread_create(&threads[t], &attributes, body, NULL) == 0, "pthread_create");
        for (int t = 0; t < 4; t++) join(threads[t]);
    }
    return 0;
}
