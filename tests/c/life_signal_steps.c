/* A signal that comes at any instruction of the allocator, and whose handler allocates, resizes and frees. Each call of
   the list below is run one instruction at a time in a child; at the nth the handler does its work (it is the trap's
   handler itself), then the call goes on. argv[1]: so many instructions of each call at most, evenly apart.

   Allowed: everything goes well, or the child waits for a lock that it holds itself (as in the C library); that is seen
   by a filter that ends the child at its first wait. Not allowed: a block twice, contents changed, any other end; but
   for the few instructions of malloc itself between its look at the next free block and its taking of it, which no
   instruction of the handler can see: there a block may come twice, again as in the C library. Prints what happened. */
#include "threads.h"
#include <link.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#ifndef __x86_64__
int main(void) { return 0; }
#else

enum { FAST = 96 /* bytes of malloc before its slow path */, KEPT = 64, AFTER = 400, TWICE = 3, CHANGED = 4 };

static struct { uintptr_t start, end; } text; /* the allocator's instructions */
static volatile long step, stop_at;
static struct { long steps; uintptr_t at; } *shared;

static char *kept[KEPT]; /* taken by the handler, or by the call under test */
static size_t kept_size[KEPT];
static int kept_count;

static void keep(char *block, size_t size) {
    if (!block) return;
    fill(block, size, (uint64_t)kept_count);
    kept[kept_count] = block;
    kept_size[kept_count++] = size;
}

static int find_text(struct dl_phdr_info *info, size_t size, void *unused) {
    (void)size, (void)unused;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        uintptr_t start = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr, end = start + info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type == PT_LOAD && (info->dlpi_phdr[i].p_flags & PF_X) && (uintptr_t)malloc >= start &&
            (uintptr_t)malloc < end) {
            text.start = start;
            text.end = end;
        }
    }
    return 0;
}

/* What the handler does: the sizes of the call under test, and others. */
static size_t handler_size;
static void interrupt(void) {
    void *gone[6];
    for (int i = 0; i < 6; i++) gone[i] = malloc(handler_size);
    keep(malloc(handler_size), handler_size);
    for (int i = 0; i < 6; i++) free(gone[i]);
    char *grown = realloc(malloc(100), 3000);
    keep(grown, 3000);
    free(malloc(60000));
}

static void trap(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ucontext_t *c = context;
    uintptr_t at = (uintptr_t)c->uc_mcontext.gregs[REG_RIP];
    if (at < text.start || at >= text.end) return;
    if (++step != stop_at) return;
    c->uc_mcontext.gregs[REG_EFL] &= ~0x100ll;
    shared->at = at;
    interrupt();
}

static void single_steps(void) { __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc"); }
static void whole_speed(void) { __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc"); }

/* One thread that waits for a lock waits for ever. */
static void end_at_a_wait(void) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof steps / sizeof *steps, steps};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0, "seccomp: %s", strerror(errno));
}

/* The calls under test: before, the state that the call meets; then the call. */
static char *ready[AFTER];
static size_t ready_size;
static void some(size_t size, int count) {
    ready_size = size;
    for (int i = 0; i < count; i++) CHECK((ready[i] = malloc(size)) != NULL, "malloc is null");
}
static void hot_48(void) { some(48, 300); for (int i = 100; i < 300; i++) free(ready[i]), ready[i] = NULL; }
static void hot_64(void) { some(64, 300); for (int i = 100; i < 300; i++) free(ready[i]), ready[i] = NULL; }
static void full_48(void) { some(48, 300); }
static void few_200(void) { some(200, 20); }
static void few_5000(void) { some(5000, 40); }
static void big(void) { some(100000, 3); }
static char *got[20]; /* what the call under test returned; filled when it is over: every instruction is a trap */
static size_t got_size;
static int got_count;
static void get(char *block, size_t size) {
    got_size = size;
    got[got_count++] = block;
}
static void do_malloc(void) { get(malloc(ready_size), ready_size); }
static void do_free(void) { free(ready[0]); ready[0] = NULL; }
static void do_mallocs(void) { for (int i = 0; i < 20; i++) get(malloc(ready_size), ready_size); }
static void do_frees(void) { for (int i = 0; i < 40; i++) free(ready[i]), ready[i] = NULL; }
static void do_calloc(void) { get(calloc(1, ready_size), ready_size); }
static void do_realloc(void) { get(realloc(ready[0], ready_size * 3), ready_size * 3); ready[0] = NULL; }
static const struct { const char *name; void (*before)(void), (*call)(void); } calls[] = {
    {"malloc(48), hot", hot_48, do_malloc},   {"free(48), hot", hot_48, do_free},
    {"malloc(64), hot", hot_64, do_malloc},   {"free(64), hot", hot_64, do_free},
    {"20 malloc(48)", full_48, do_mallocs},   {"40 free(48)", full_48, do_frees},
    {"malloc(200)", few_200, do_malloc},      {"free(200)", few_200, do_free},
    {"malloc(5000)", few_5000, do_malloc},    {"free(5000)", few_5000, do_free},
    {"malloc(100000)", big, do_malloc},       {"free(100000)", big, do_free},
    {"calloc(100000)", big, do_calloc},       {"realloc(48)", hot_48, do_realloc},
    {"realloc(5000)", few_5000, do_realloc},
};
enum { CALLS = sizeof calls / sizeof *calls };

static int by_address(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return x < y ? -1 : x > y;
}

/* In the child, at whole speed again: nothing twice, nothing changed, and the allocator goes on. */
static void judge(void) {
    static char *all[KEPT + 3 * AFTER];
    int count = 0;
    for (int i = 0; i < kept_count; i++)
        if (first_difference(kept[i], kept_size[i], (uint64_t)i) != kept_size[i]) _exit(CHANGED);
    for (int i = 0; i < kept_count; i++) all[count++] = kept[i];
    for (int i = 0; i < AFTER; i++)
        if (ready[i]) all[count++] = ready[i];
    int first = count;
    for (int i = 0; i < AFTER; i++) {
        char *block = malloc(ready_size);
        if (block) all[count++] = block;
    }
    for (int i = first; i < count; i++) memset(all[i], i, ready_size < 100 ? ready_size : 100);
    for (int i = first; i < count; i++)
        for (size_t b = 0; b < (ready_size < 100 ? ready_size : 100); b++)
            if (all[i][b] != (char)i) _exit(TWICE);
    qsort(all, (size_t)count, sizeof *all, by_address);
    for (int i = 1; i < count; i++)
        if (all[i] == all[i - 1]) _exit(TWICE);
    for (int i = 0; i < count; i++) free(all[i]);
    _exit(0);
}

static int run(int call, long at) {
    pid_t child = fork();
    CHECK(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        end_at_a_wait();
        calls[call].before();
        handler_size = ready_size;
        stop_at = at;
        single_steps();
        calls[call].call();
        whole_speed();
        shared->steps = step;
        for (int i = 0; i < got_count; i++) keep(got[i], got_size);
        judge();
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child, "waitpid");
    return status;
}

int main(int argc, char **argv) {
    CHECK(argc == 2 || argc == 3, "usage: life_signal_steps PLACES [CALL]");
    long places = atol(argv[1]), good = 0, waits = 0, bad = 0, known = 0;
    dl_iterate_phdr(find_text, NULL);
    CHECK(text.start != 0, "the allocator was not found");
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_sigaction = trap, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0, "sigaction");
    for (int call = 0; call < CALLS; call++) {
        if (argc == 3 && atoi(argv[2]) != call) continue;
        int status = run(call, 0);
        CHECK(status == 0, "%s: the child ended with status %#x without an interruption", calls[call].name, status);
        long steps = shared->steps, g = 0, w = 0, b = 0;
        long every = (steps + places - 1) / places;
        for (long at = 1; at <= steps; at += every) {
            status = run(call, at);
            if (status == 0) g++;
            else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS) w++;
            else if (shared->at - (uintptr_t)malloc < FAST) known++;
            else {
                fprintf(stderr, "%s: interrupted at instruction %ld of %ld, %#zx in the library, malloc at %#zx: status %#x\n",
                        calls[call].name, at, steps, (size_t)(shared->at - text.start),
                        (size_t)((uintptr_t)malloc - text.start), status);
                b++;
            }
        }
        printf("%s: %ld instructions; %ld good, %ld waits, %ld bad\n", calls[call].name, steps, g, w, b);
        good += g, waits += w, bad += b;
    }
    printf("%ld good, %ld waits, %ld bad, %ld in malloc's own instructions\n", good, waits, bad, known);
    CHECK(good > waits && good > known, "too few good ends");
    return bad != 0;
}
#endif
