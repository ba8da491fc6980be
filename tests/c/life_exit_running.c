/* exit while threads allocate; handlers of atexit allocate too. argv[1] children, so that the moment varies. */
#include "threads.h"

enum { THREADS = 4 };
static void *kept;

static void *for_ever(void *number) {
    load_t *load = calloc(1, sizeof *load);
    load->random = (uintptr_t)number;
    for (;;) load_step(load);
    return NULL;
}

static void at_end(void) {
    free(kept);
    void *block = malloc(12345);
    CHECK(block != NULL, "malloc is null at exit");
    free(block);
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: life_exit_running TIMES");
    free(malloc(100)); /* so that this process counts one, too */
    for (int i = 0; i < atoi(argv[1]); i++) {
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            atexit(at_end);
            kept = malloc(100);
            for (uintptr_t t = 0; t < THREADS; t++) start(for_ever, (void *)(t + 1));
            usleep((unsigned)i * 137 % 5000);
            exit(0);
        }
        child_succeeds(child, "exit among threads");
    }
    return 0;
}
