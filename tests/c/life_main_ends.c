/* main ends by pthread_exit; another thread goes on with main's blocks and ends the process. */
#include "threads.h"

enum { COUNT = 5000 };
static char *blocks[COUNT];
static pthread_t main_thread;

static void *survivor(void *unused) {
    join(main_thread);
    for (int i = 0; i < COUNT; i++) {
        size_t size = (size_t)i % 700 + 1;
        CHECK(first_difference(blocks[i], size, (uint64_t)i) == size, "a block of the ended main changed");
        blocks[i] = realloc(blocks[i], size * 2);
        CHECK(blocks[i] && first_difference(blocks[i], size, (uint64_t)i) == size, "realloc of a block of the ended main");
        free(blocks[i]);
    }
    void *block = malloc(1000);
    CHECK(block != NULL, "malloc is null");
    free(block);
    exit(0);
    return unused;
}

int main(void) {
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = malloc((size_t)i % 700 + 1);
        CHECK(blocks[i] != NULL, "malloc is null");
        fill(blocks[i], (size_t)i % 700 + 1, (uint64_t)i);
    }
    main_thread = pthread_self();
    start(survivor, NULL);
    pthread_exit(NULL);
}
