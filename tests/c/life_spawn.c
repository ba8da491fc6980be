/* vfork and exec, posix_spawn, popen: argv[1] times each, while threads allocate. The new program is this one. */
#include "threads.h"
#include <spawn.h>

enum { THREADS = 3 };
static atomic_int stop;

static void *under_load(void *number) {
    load_t *load = calloc(1, sizeof *load);
    load->random = (uintptr_t)number;
    while (!stop) load_step(load);
    load_end(load);
    free(load);
    return NULL;
}

__attribute__((noinline)) static pid_t vfork_and_exec(char **args) {
    pid_t child = vfork();
    if (child == 0) {
        execv(args[0], args);
        _exit(99);
    }
    return child;
}

int main(int argc, char **argv) {
    CHECK(argc == 2, "usage: life_spawn TIMES|child");
    if (!strcmp(argv[1], "child")) {
        char *block = malloc(100000);
        CHECK(block != NULL, "malloc is null");
        fill(block, 100000, 1);
        free(block);
        return 0;
    }
    char *child_args[] = {argv[0], (char *)"child", NULL};
    pthread_t threads[THREADS];
    for (int t = 0; t < THREADS; t++) threads[t] = start(under_load, (void *)(uintptr_t)(t + 1));
    for (int i = 0; i < atoi(argv[1]); i++) {
        pid_t child = vfork_and_exec(child_args);
        child_succeeds(child, "vfork and exec");
        int error = posix_spawn(&child, argv[0], NULL, NULL, child_args, environ);
        CHECK(error == 0, "posix_spawn: %s", strerror(error));
        child_succeeds(child, "posix_spawn");
        char word[16] = "";
        FILE *shell = popen("echo said", "r");
        CHECK(shell && fgets(word, sizeof word, shell) && !strcmp(word, "said\n"), "popen reads %s", word);
        CHECK(pclose(shell) == 0, "pclose");
    }
    stop = 1;
    for (int t = 0; t < THREADS; t++) join(threads[t]);
    return 0;
}
