/* Another thread frees a block of argv[1] bytes twice. It may be noticed as late as at that thread's exit. */
#include "misuse.h"
#include <pthread.h>

static void *free_twice(void *block) {
    free(block);
    free(hidden(block));
    return NULL;
}

int main(int argc, char **argv) {
    void *block = some_block(argument(argc, argv, 1));
    announce(block, malloc_usable_size(block));
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, free_twice, block) == 0, "pthread_create");
    pthread_join(thread, NULL);
    return 0;
}
