/* fork is refused by the system, time after time: the work goes on. */
#include "threads.h"

int main(void) {
    load_t *load = calloc(1, sizeof *load);
    CHECK(load != NULL, "calloc is null");
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        CHECK(child == -1 && errno == EAGAIN, "fork answers %d", (int)child);
        for (int step = 0; step < 100; step++) load_step(load);
    }
    load_end(load);
    free(load);
    return 0;
}
