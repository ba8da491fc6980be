/* safety:mte, many random misuses of one kind in one process: mte_trials KIND TRIALS SEED
   KIND: overflow, underflow, read_after_free, write_after_free. A handler comes back from each fault and notes its code.
   Prints "KIND: N trials, M tag faults, O other faults, L missed, E excused"; exits with 1 if one was missed.
   Excused (docs/safety.md): after the free, memory that was handed out again and freed again, or, of a large object, handed out again. */
#include "check.h"
#include <setjmp.h>
#include <signal.h>

#define LIVE 512
#define SMALL_MAX 32760
#define TAG_FAULT 9 /* SEGV_MTESERR */

static sigjmp_buf back;
static volatile sig_atomic_t code;

static void on_fault(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    code = info->si_code;
    siglongjmp(back, 1);
}

/* The si_code of one access, 0: none. */
static int access_at(volatile char *p, int write) {
    code = 0;
    if (sigsetjmp(back, 1) == 0) {
        if (write) *p = 1;
        else (void)*p;
    }
    return code;
}

static uint64_t state;
static size_t below(size_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (size_t)((state >> 33) % n);
}

static size_t any_size(void) {
    size_t r = below(100);
    if (r < 60) return 1 + below(256);
    if (r < 85) return 1 + below(4096);
    if (r < 96) return 1 + below(SMALL_MAX);
    return SMALL_MAX + 10 + below(300000);
}

static size_t granules(size_t n) { return (n + 15) / 16 * 16; }
static uintptr_t bare(void *p) { return (uintptr_t)p << 8 >> 8; }

static char *live[LIVE];
static size_t size[LIVE];

static void renew(size_t i) {
    free(live[i]);
    size[i] = any_size();
    live[i] = malloc(size[i]);
    CHECK(live[i], "no memory");
    memset(live[i], 1, size[i]);
}

/* One misuse after free: frees object i, lets the heap go on, uses it. Returns the code, -1 if excused. */
static int after_free(size_t i, int write) {
    char *p = live[i];
    size_t n = size[i], at = below(n);
    int recut = 0, ended = 0; /* its memory went to an object of another shape; an object at the same place ended in turn */
    live[i] = NULL;
    free(p);
    for (size_t turns = below(2) ? 0 : below(400); turns > 0; turns--) {
        size_t j = below(LIVE);
        if (live[j] && bare(live[j]) == bare(p)) ended = 1;
        free(live[j]);
        size[j] = below(3) ? n : any_size();
        live[j] = malloc(size[j]);
        CHECK(live[j], "no memory");
        uintptr_t first = bare(live[j]);
        int overlaps = first < bare(p) + n && first + size[j] > bare(p);
        if (overlaps && (n > SMALL_MAX || first != bare(p))) recut = 1;
    }
    int seen = access_at(p + at, write);
    if (live[i] == NULL) renew(i);
    return seen == 0 && (ended || recut) ? -1 : seen;
}

int main(int argc, char **argv) {
    CHECK(argc == 4, "mte_trials KIND TRIALS SEED");
    const char *kind = argv[1];
    size_t trials = strtoul(argv[2], NULL, 10), faults = 0, others = 0, missed = 0, excused = 0;
    state = strtoul(argv[3], NULL, 10);
    struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    for (size_t i = 0; i < LIVE; i++) renew(i);
    for (size_t t = 0; t < trials; t++) {
        size_t i = below(LIVE), other = below(LIVE);
        if (i != other) renew(other);
        size_t end = granules(size[i]), reach = end < 1024 ? end : 1024;
        int write = below(2) == 0, seen;
        if (kind[0] == 'o') seen = access_at(live[i] + end + below(reach), write);
        else if (kind[0] == 'u') seen = access_at(live[i] - 1 - below(reach), write);
        else seen = after_free(i, kind[0] == 'w');
        if (seen == TAG_FAULT) faults++;
        else if (seen > 0) others++;
        else if (seen < 0) excused++;
        else if (missed++ < 5)
            printf("missed: size %zu at %p, trial %zu\n", size[i], (void *)live[i], t);
        /* The object itself is as usable as ever. */
        if (live[i]) CHECK(access_at(live[i] + size[i] - 1, 1) == 0, "the last byte of %zu faults", size[i]);
    }
    printf("%s: %zu trials, %zu tag faults, %zu other faults, %zu missed, %zu excused\n", kind, trials, faults, others, missed, excused);
    for (size_t i = 0; i < LIVE; i++) free(live[i]);
    return missed != 0;
}
