/* safety:hardened finds damage while the program runs: misuse_found_running SIZE KIND. KIND: behind (a byte behind a live object), freed (a
   byte of a freed one). The object is not touched again; objects of another size come and go, for a minute at most. */
#include "misuse.h"
#include <pthread.h>
#include <time.h>

static void *waits(void *unused) {
    for (;;) sleep(1000);
    return unused;
}

int main(int argc, char **argv) {
    size_t size = argument(argc, argv, 1), other = size == 48 ? 400 : 48;
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, waits, NULL) == 0, "no thread");
    volatile char *bad = hidden(some_block(size));
    if (!strcmp(argv[2], "freed")) {
        free((void *)bad);
        bad[size / 2] = 1;
    } else bad[size] = 1;
    time_t end = time(NULL) + 60;
    while (time(NULL) < end)
        for (int i = 0; i < 1000; i++) free(hidden(some_block(other)));
    dprintf(1, "survived\n");
    _exit(0);
}
