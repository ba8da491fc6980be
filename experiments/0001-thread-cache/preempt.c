// Forced preemption at every instruction of the fast paths. Two processes: the child runs a worker (malloc or free of
// one block) and a drainer thread; this process traces the worker. For each instruction of the operation: stop the
// worker just before it, let the drainer empty the worker's magazine, let the worker go on, then account for every
// block: exactly one of {worker's hand, a magazine or the central store, the drainer's hand}.
//
// The list of instructions comes from single steps (PTRACE_SINGLESTEP). Every step is a preemption, so a restartable
// sequence never ends while it is stepped; for the list its descriptor is cleared at each step. The drains then
// happen at breakpoints, with the descriptor as the kernel finds it in real life.
#define _GNU_SOURCE
#include "cache.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { BLOCK = 64, CLASS = 4, CAP = 4096, MAX_STEPS = 256 };
enum { IDLE, DRAIN, AUDIT, QUIT };
static const struct variant variants[] = VARIANT_TABLE;
static struct shared {
    _Atomic int command;
    _Atomic pid_t tid;
    char *rseq;
    int is_free;
    size_t before, taken, in_cache;
    void *before_blocks[CAP], *taken_blocks[CAP], *cache_blocks[CAP];
    void *hand;                         // block that the worker holds, if any
    struct thread_cache *cache;
    long twice, lost;
} *sh;
static const struct variant *v;

// ---------------------------------------------------------------- the traced process
static size_t blocks_at_rest(void **out) {
    size_t n = v->in_cache(sh->cache, CLASS, out, CAP);
    return n + v->in_central(CLASS, out + n, CAP - n);
}
static void *worker(void *arg) {
    (void)arg;
        sh->rseq = (char *)__builtin_thread_pointer() + __rseq_offset;
    sh->cache = v->self();
    if (ptrace(PTRACE_TRACEME, 0, 0, 0)) { perror("PTRACE_TRACEME"); _exit(1); }
    sh->tid = syscall(SYS_gettid);
    for (;;) {
        void *p[8];
        for (int i = 0; i < 8; i++) p[i] = v->malloc(BLOCK);
        for (int i = 0; i < 8; i++) v->free(p[i]);
        sh->hand = sh->is_free ? v->malloc(BLOCK) : NULL;
        sh->taken = 0;
        sh->before = blocks_at_rest(sh->before_blocks);
        __asm__ volatile("int3" ::: "memory");
        if (sh->is_free) { v->free(sh->hand); sh->before_blocks[sh->before++] = sh->hand; sh->hand = NULL; }
        else sh->hand = v->malloc(BLOCK);
        __asm__ volatile("int3" ::: "memory");
        // the block in the worker's hand is dropped: a later round must not see an old duplicate
    }
}
static int count_in(void *b) {
    int n = b == sh->hand;
    for (size_t i = 0; i < sh->taken; i++) n += sh->taken_blocks[i] == b;
    for (size_t i = 0; i < sh->in_cache; i++) n += sh->cache_blocks[i] == b;
    return n;
}
static void traced(void) {
    v->options(0, 0);
    pthread_t t;
    pthread_create(&t, NULL, worker, NULL);
    for (;;) {
        while (sh->command == IDLE) sched_yield();
        if (sh->command == QUIT) _exit(0);
        if (sh->command == DRAIN) sh->taken += v->drain(sh->cache, CLASS, sh->taken_blocks + sh->taken, CAP - sh->taken);
        if (sh->command == AUDIT) {
            sh->in_cache = blocks_at_rest(sh->cache_blocks);
            sh->twice = sh->lost = 0;
            for (size_t i = 0; i < sh->before; i++) { int n = count_in(sh->before_blocks[i]); sh->twice += n > 1; sh->lost += n == 0; }
        }
        sh->command = IDLE;
    }
}

// ---------------------------------------------------------------- the tracer
static void fail(const char *what) { fprintf(stderr, "preempt: %s: %s\n", what, strerror(errno)); exit(1); }
static void order(int what) { sh->command = what; while (sh->command != IDLE) sched_yield(); }
static void wait_stop(void) {
    int st;
    if (waitpid(sh->tid, &st, __WALL) != sh->tid) fail("waitpid");
    if (!WIFSTOPPED(st) || WSTOPSIG(st) != SIGTRAP) { fprintf(stderr, "preempt: unexpected status %#x\n", st); exit(1); }
}
static void go(int request) { if (ptrace(request, sh->tid, 0, 0)) fail("ptrace"); }
static struct user_regs_struct regs(void) { struct user_regs_struct r; if (ptrace(PTRACE_GETREGS, sh->tid, 0, &r)) fail("GETREGS"); return r; }
static void forget_sequence(void) { if (ptrace(PTRACE_POKEDATA, sh->tid, sh->rseq + 8, 0)) fail("POKEDATA"); }
static int ended(void) { siginfo_t i; if (ptrace(PTRACE_GETSIGINFO, sh->tid, 0, &i)) fail("GETSIGINFO"); return i.si_code == 0x80; } // SI_KERNEL: int3

// Addresses of the operation's instructions, in order. The worker stands at the first int3 and ends at the second.
static int list_instructions(uint64_t entry, uint64_t *ip) {
    int n = 0, inside = 0;
    uint64_t sp = 0;
    for (;;) {
        go(PTRACE_SINGLESTEP);
        wait_stop();
        if (ended()) return n;
        forget_sequence();
        struct user_regs_struct r = regs();
        if (!inside && r.rip == entry) inside = 1, sp = r.rsp;
        if (inside && r.rsp > sp) inside = 2;
        if (inside == 1 && n < MAX_STEPS) ip[n++] = r.rip;
    }
}
static void test(const struct variant *variant, int is_free) {
    v = variant;
    memset(sh, 0, sizeof *sh);
    sh->is_free = is_free;
    pid_t child = fork();
    if (!child) { traced(); _exit(0); }
    while (!sh->tid) sched_yield();
    uint64_t ip[MAX_STEPS], entry = (uint64_t)(is_free ? (void *)v->free : (void *)v->malloc);
    int n = 0;
    for (int warm = 0; warm < 3; warm++) { wait_stop(); n = list_instructions(entry, ip); order(AUDIT); go(PTRACE_CONT); }
    wait_stop(); // at the first int3
    long twice = 0, lost = 0, bad_points = 0, restarts = 0;
    for (int i = 0; i < n; i++) {
        long code = ptrace(PTRACE_PEEKTEXT, sh->tid, ip[i], 0);
        if (ptrace(PTRACE_POKETEXT, sh->tid, ip[i], (code & ~0xffl) | 0xcc)) fail("POKETEXT");
        go(PTRACE_CONT);
        wait_stop();
        struct user_regs_struct r = regs();
        if (r.rip != ip[i] + 1) { fprintf(stderr, "preempt: breakpoint %d not reached\n", i); exit(1); }
        r.rip--;
        if (ptrace(PTRACE_SETREGS, sh->tid, 0, &r)) fail("SETREGS");
        order(DRAIN);
        // Leave the breakpoint in for the first step back in: a restarted sequence meets it again, others pass it.
        ptrace(PTRACE_POKETEXT, sh->tid, ip[i], code);
        go(PTRACE_SINGLESTEP);
        wait_stop();
        uint64_t next = regs().rip;
        if (i + 1 < n && next != ip[i + 1]) restarts++;
        go(PTRACE_CONT);
        wait_stop(); // the second int3
        order(AUDIT);
        twice += sh->twice, lost += sh->lost, bad_points += sh->twice || sh->lost;
        go(PTRACE_CONT);
        wait_stop();
    }
    printf("  %-8s %-6s %2d instructions; drained before each of them: sent back %2ld times; wrong at %ld points (in two hands %ld, lost %ld)\n",
           v->name, is_free ? "free" : "malloc", n, restarts, bad_points, twice, lost);
    fflush(stdout);
    // And as a debugger steps, the descriptor left alone: does the operation end at all?
    int steps = 0;
    for (;; steps++) { go(PTRACE_SINGLESTEP); wait_stop(); if (ended() || steps == 2000) break; }
    printf("  %-8s %-6s single-stepped as by a debugger: %s\n", v->name, is_free ? "free" : "malloc", steps == 2000 ? "does not end in 2000 steps" : "ends");
    kill(child, SIGKILL);
    while (waitpid(-1, NULL, __WALL) > 0) {}
}
int main(void) {
    sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sh == MAP_FAILED) fail("mmap");
    puts("a drain before each instruction of an operation");
    for (int i = 0; i < 3; i++) for (int f = 0; f < 2; f++) { fflush(stdout); test(&variants[i], f); }
}
