/* Another thread frees a block of argv[1] bytes and exits; then its owner frees it too. */
#include "misuse.h"
#include <pthread.h>

static void *free_once(void *block) {
    free(block);
    return NULL;
}

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1);
    void *block = some_block(size), *neighbour = some_block(size);
    announce(block, malloc_usable_size(block));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_once, block) == 0, "pthread_create");
    pthread_join(thread, NULL);
    free(hidden(block));
    free(neighbour);
    return 0;
}
