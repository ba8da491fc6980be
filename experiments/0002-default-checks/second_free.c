/* second_free SIZE: 400 processes allocate and free at random; each frees one block a second time, up to 200 calls after
   the first, if it was not handed out again before. How many of these second frees end the process? */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROCESSES = 400, LIVE = 600, REUSED = 3, PASSED = 4 };

static uint64_t state;
static uint64_t next(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void child(uint64_t seed, size_t size) {
    static void *live[LIVE];
    void *victim = NULL;
    size_t n = 0;
    state = seed * 0x9E3779B97F4A7C15u;
    uint64_t when = 2000 + next() % 500, gap = next() % 200;
    for (uint64_t i = 0;; i++) {
        if (n == 0 || (n < LIVE && next() % 2)) {
            void *p = malloc(size);
            if (victim && p == victim) _exit(REUSED);
            live[n++] = p;
        } else {
            size_t k = next() % n;
            void *p = live[k];
            live[k] = live[--n];
            free(p);
            if (!victim && i >= when) victim = p, when = i;
        }
        if (victim && i == when + gap) {
            __asm__("" : "+r"(victim));
            free(victim);
            _exit(PASSED);
        }
    }
}

int main(int argc, char **argv) {
    size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
    int caught = 0, passed = 0, reused = 0;
    for (uint64_t seed = 1; seed <= PROCESSES; seed++) {
        int status, pid = fork();
        if (pid == 0) {
            close(2);
            child(seed, size);
        }
        if (pid < 0 || waitpid(pid, &status, 0) != pid) return 1;
        if (WIFSIGNALED(status)) caught++;
        else if (WEXITSTATUS(status) == PASSED) passed++;
        else if (WEXITSTATUS(status) == REUSED) reused++;
        else return 1;
    }
    printf("%4zu B: %d caught at once, %d not, %d handed out before\n", size, caught, passed, reused);
    return 0;
}
