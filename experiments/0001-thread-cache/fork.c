// fork while other threads allocate: is the magazine that the child goes on with intact? Pages are copied one after
// the other while the other threads run on, so words of different pages need not belong together.
#include "cache.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FORKS = 300, WORKERS = 3, BLOCK = 64, CLASS = 4, BALLAST = 64 << 20, CAP = 4096 };
static const struct variant variants[] = VARIANT_TABLE;
static const struct variant *v;
static void *churn(void *arg) {
    (void)arg;
    void *p[20];
    for (unsigned x = 1;; x = x * 1664525 + 1013904223) {
        unsigned n = 1 + x % 20;
        for (unsigned i = 0; i < n; i++) p[i] = v->malloc(BLOCK);
        for (unsigned i = 0; i < n; i++) v->free(p[(i + x / 32) % n]);
    }
    return NULL;
}
static int by_address(const void *a, const void *b) { uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b; return (x > y) - (x < y); }
// Exit status of a child: 1 if a block is twice in the magazines it allocates from, or lies there and in our hand.
static int inspect(void *const *mine, int n_mine) {
    static void *b[CAP + 64];
    size_t n = v->in_cache(v->self(), CLASS, b, CAP);
    memcpy(b + n, mine, n_mine * sizeof *mine);
    n += n_mine;
    qsort(b, n, sizeof *b, by_address);
    for (size_t i = 1; i < n; i++) if (b[i] == b[i - 1]) return 1;
    return 0;
}
int main(void) {
    printf("%d forks while %d threads allocate: children whose own magazines hold a block twice\n", FORKS, WORKERS);
    for (int i = 0; i < 3; i++) {
        fflush(stdout);
        if (fork()) { int st; wait(&st); if (st) printf("  %-8s status %#x\n", variants[i].name, st); continue; }
        v = &variants[i];
        v->options(0, 0);
        char *ballast = mmap(NULL, BALLAST, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        memset(ballast, 1, BALLAST);     // between the windows and the tops, so that the copy takes a while
        pthread_t t;
        for (int k = 0; k < WORKERS; k++) pthread_create(&t, NULL, churn, NULL);
        void *mine[16];
        long bad = 0;
        for (int f = 0; f < FORKS; f++) {
            for (int k = 0; k < 16; k++) mine[k] = v->malloc(BLOCK);
            pid_t c = fork();
            if (!c) _exit(inspect(mine, 16));
            int st;
            waitpid(c, &st, 0);
            bad += st != 0;
            for (int k = 0; k < 16; k++) v->free(mine[k]);
        }
        // that the inspection can fail: a block that was freed counts as held
        v->free(mine[0] = v->malloc(BLOCK));
        pid_t c = fork();
        if (!c) _exit(inspect(mine, 1));
        int st;
        waitpid(c, &st, 0);
        printf("  %-8s %ld (planted fault %s)\n", v->name, bad, st ? "seen" : "NOT seen");
        fflush(stdout);
        _exit(0);
    }
}
