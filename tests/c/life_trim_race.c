/* malloc_trim in two threads against threads that fill, check and free, and short ones that only free. */
#include <malloc.h>
#include <stdint.h>
#include "threads.h"
#include <unistd.h>

enum { BATCH = 600, OWN = 1000, OWNERS = 4 };
static const int sizes[] = {16, 32, 48, 80, 96, 288};
static atomic_int stop;

static void *trim(void *unused) {
    (void)unused;
    while (!stop) malloc_trim(0);
    return NULL;
}

static void *only_free(void *blocks) {
    for (int i = 0; i < BATCH; i++) free(((void **)blocks)[i]);
    return NULL;
}

static void *owner(void *number) {
    unsigned seed = (unsigned)(uintptr_t)number;
    void *batch[BATCH];
    unsigned char *own[OWN];
    while (!stop) {
        int size = sizes[rand_r(&seed) % 6];
        for (int i = 0; i < BATCH; i++) {
            batch[i] = malloc(size);
            CHECK(batch[i] != NULL, "malloc is null");
            memset(batch[i], 7, size);
        }
        pthread_t other = start(only_free, batch);
        for (int i = 0; i < OWN; i++) {
            own[i] = malloc(size);
            CHECK(own[i] != NULL, "malloc is null");
            memset(own[i], i & 255, size);
        }
        join(other);
        for (int i = 0; i < OWN; i++) {
            for (int k = 0; k < size; k++)
                CHECK(own[i][k] == (i & 255), "block %d of %d bytes changed at %d", i, size, k);
            free(own[i]);
        }
    }
    return NULL;
}

int main(int count, char **words) {
    int length = count > 1 ? atoi(words[1]) : 2;
    pthread_t threads[OWNERS + 2];
    for (int i = 0; i < 2; i++) threads[i] = start(trim, NULL);
    for (int i = 0; i < OWNERS; i++) threads[2 + i] = start(owner, (void *)(uintptr_t)(i + 1));
    sleep(length);
    stop = 1;
    for (int i = 0; i < OWNERS + 2; i++) join(threads[i]);
    return 0;
}
