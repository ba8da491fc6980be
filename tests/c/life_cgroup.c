/* In a group of processes that may hold argv[1] MiB: phases of three quarters of that, each in other sizes, allocated by
   one thread and freed by another. Whoever keeps what a phase has freed is ended by the kernel.
   argv[2], argv[3]: a file, and a text that somebody writes into it at the latest when this process forks again and again;
   the last phases wait for it. */
#include "threads.h"
#include <fcntl.h>
#include <sys/wait.h>

typedef struct { char **blocks; size_t count, size; } phase_t;

static void *make(void *pointer) {
    phase_t *phase = pointer;
    for (size_t i = 0; i < phase->count; i++) {
        phase->blocks[i] = malloc(phase->size);
        CHECK(phase->blocks[i] != NULL, "no block of %zu", phase->size);
        memset(phase->blocks[i], 1, phase->size);
        memcpy(phase->blocks[i], &i, sizeof i);
    }
    return NULL;
}

static void *end(void *pointer) {
    phase_t *phase = pointer;
    for (size_t i = 0; i < phase->count; i++) {
        CHECK(!memcmp(phase->blocks[i], &i, sizeof i), "a block of %zu changed", phase->size);
        free(phase->blocks[i]);
    }
    return NULL;
}

static void phases(size_t bytes) {
    static const size_t sizes[] = {64, 1 << 20, 48, 600, 20000, 4096, 100000, 128, 16000, 32};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t per = sizes[i] + sizeof(char *); /* the list of blocks is memory too */
        phase_t phase = {NULL, bytes / (per > 64 ? per : 64), sizes[i]};
        phase.blocks = malloc(phase.count * sizeof *phase.blocks);
        CHECK(phase.blocks != NULL, "no list");
        join(start(make, &phase));
        join(start(end, &phase));
        free(phase.blocks);
    }
}

/* Whether the file has the text in one of its lines (of less than 4 KiB each). */
static int has(const char *path, const char *text) {
    static char line[4096];
    FILE *file = fopen(path, "r");
    CHECK(file != NULL, "%s cannot be read", path);
    int found = 0;
    while (!found && fgets(line, sizeof line, file)) found = strstr(line, text) != NULL;
    fclose(file);
    return found;
}

int main(int argc, char **argv) {
    CHECK(argc == 4, "usage: life_cgroup MIB FILE TEXT");
    size_t bytes = strtoull(argv[1], NULL, 0) * 3 / 4 << 20;
    for (int round = 0; round < 3; round++) phases(bytes);
    while (!has(argv[2], argv[3])) {
        pid_t child = fork();
        CHECK(child >= 0, "no child");
        if (child == 0) _exit(0);
        int status;
        CHECK(waitpid(child, &status, 0) == child && status == 0, "the child ended with %d", status);
        usleep(20000);
    }
    phases(bytes);
    return 0;
}
