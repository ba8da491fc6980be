/* A signal that comes at any instruction of the allocator, and whose handler allocates, resizes and frees: objects of the size
   of the call that it interrupted, enough of them to use up what the thread has at hand and to fetch more, of other sizes, and
   large ones, its own and some that were there before. Each call of the list below is run one instruction at a time in
   a child; at the nth the handler does its work (it is the trap's handler itself), then the call goes on.
   Without a support thread, which waits. argv[1]: so many instructions of each call at most, evenly apart.

   Not allowed: a block twice, contents changed, null, a wait for a lock (one thread waits for ever: a filter ends the child
   there), any other end. Prints what happened; argv[2]: only this call (-1: all).

   argv[3] "jump": the handler does nothing but jump out of the allocator, and the program goes on. Then a lock may stay taken for
   ever, as in the C library, but not by the calls that are over in 24 instructions, which take none.

   argv[3] "purge": beside the call another thread gives back what is empty. Once it begins when the handler does, and gives back when
   the call is over and its objects are filled; once it begins before the call, and gives back while the handler is at work. Waits for
   that thread are allowed: a child that waits for ever is ended by an alarm. */
#include "held_purge.h"
#include "threads.h"
#include <link.h>
#include <setjmp.h>
#include <linux/futex.h>
#include <signal.h>
#include <ucontext.h>

#ifndef __x86_64__
int main(void) { return 0; }
#else

enum { KEPT = 256, MANY = 150, AFTER = 400, TWICE = 3, CHANGED = 4, NULL_IN_HANDLER = 5 };

static struct { uintptr_t start, end; } text; /* the allocator's instructions */
static volatile long step, stop_at;
static struct { long steps, held; uintptr_t at; } *shared;

static char *kept[KEPT]; /* taken by the handler, or by the call under test */
static size_t kept_size[KEPT];
static int kept_count;

static void keep(char *block, size_t size) {
    if (!block) _exit(NULL_IN_HANDLER);
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
static char *small_before, *large_before; /* objects that the handler frees */
static enum { NO_PURGE, PURGE_FROM_HERE, PURGE_UNTIL_HERE } beside;
static const char *last_ready(void);
static void interrupt(void) {
    if (beside == PURGE_FROM_HERE) begin_purge(last_ready());
    shared->held += purge.held;
    static char *gone[MANY];
    int many = handler_size <= 64 ? MANY : 6;
    for (int i = 0; i < many; i++) {
        if (!(gone[i] = malloc(handler_size))) _exit(NULL_IN_HANDLER);
        memset(gone[i], i, handler_size);
    }
    keep(malloc(handler_size), handler_size);
    for (int i = 0; i < many; i++) {
        if (gone[i][0] != (char)i || gone[i][handler_size - 1] != (char)i) _exit(TWICE);
        if (i % 3) free(gone[i]);
        else keep(gone[i], handler_size);
    }
    keep(realloc(malloc(100), 3000), 3000);
    keep(calloc(3, 700), 2100);
    free(small_before);
    keep(malloc(60000), 60000);
    free(malloc(60000));
    char *large = realloc(large_before, 300000);
    if (!large || first_difference(large, 200000, 77) != 200000) _exit(CHANGED);
    free(large);
    if (beside == PURGE_UNTIL_HERE) run_purge(NULL, 0);
}

static int jumps; /* the handler leaves the allocator by a jump */
static sigjmp_buf outside;
static void trap(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ucontext_t *c = context;
    uintptr_t at = (uintptr_t)c->uc_mcontext.gregs[REG_RIP];
    if (at < text.start || at >= text.end) return;
    if (++step != stop_at) return;
    c->uc_mcontext.gregs[REG_EFL] &= ~0x100ll;
    shared->at = at;
    if (jumps) siglongjmp(outside, 1);
    interrupt();
}

static void single_steps(void) { __asm__ volatile("pushfq; orq $0x100, (%%rsp); popfq" ::: "memory", "cc"); }
static void whole_speed(void) { __asm__ volatile("pushfq; andq $~0x100, (%%rsp); popfq" ::: "memory", "cc"); }

/* One thread that waits for a lock waits for ever. */
static void end_at_a_wait(void) {
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_futex, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, FUTEX_CMD_MASK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAIT, 0, 1),
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
/* In the slab that the thread took its last blocks from. */
static const char *last_ready(void) {
    int i = AFTER - 1;
    while (i > 0 && !ready[i]) i--;
    return ready[i];
}
static void hot_48(void) { some(48, 300); for (int i = 100; i < 300; i++) free(ready[i]), ready[i] = NULL; }
static void hot_64(void) { some(64, 300); for (int i = 100; i < 300; i++) free(ready[i]), ready[i] = NULL; }
static void full_48(void) { some(48, 300); }
static void cold_48(void) { some(48, 10); }
static void warm_48(void) { some(48, 90); }
static void few_200(void) { some(200, 20); }
static void few_5000(void) { some(5000, 40); }
static void hot_4096(void) { some(4096, 90); for (int i = 80; i < 86; i++) free(ready[i]), ready[i] = NULL; }
static void big(void) { some(36000, 3); }
static char *got[20]; /* what the call under test returned; filled when it is over: every instruction is a trap */
static size_t got_size;
static int got_count;
static void get(char *block, size_t size) {
    got_size = size;
    got[got_count++] = block;
}
static void do_malloc(void) { get(malloc(ready_size), ready_size); }
static char *leave(int i) { /* a handler that jumps leaves it open whether the object is gone */
    char *object = ready[i];
    ready[i] = NULL;
    return object;
}
static void do_free(void) { free(leave(0)); }
static void do_mallocs(void) { for (int i = 0; i < 20; i++) get(malloc(ready_size), ready_size); }
static void do_frees(void) { for (int i = 0; i < 40; i++) free(leave(i)); }
static void do_calloc(void) { get(calloc(1, ready_size), ready_size); }
static void do_realloc(void) { get(realloc(leave(0), ready_size * 3), ready_size * 3); }
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

static void do_trim(void) { malloc_trim(0); }

/* A thread that begins, allocates, frees and ends; the key is younger than the allocator's, so that its destructor comes after
   the allocator's. Nobody waits for the thread by a futex. */
static volatile pid_t thread_id;
static pthread_key_t key;
static void allocator_is_done(void *unused) {
    (void)unused;
    whole_speed();
}
static void *short_thread(void *unused) {
    (void)unused;
    single_steps();
    char *block = malloc(ready_size);
    free(malloc(ready_size));
    whole_speed();
    get(block, ready_size);
    thread_id = (pid_t)syscall(SYS_gettid);
    pthread_setspecific(key, &key);
    single_steps();
    return NULL;
}
static void do_thread(void) {
    pthread_attr_t detached;
    pthread_t thread;
    whole_speed();
    CHECK(pthread_attr_init(&detached) == 0 && pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED) == 0 &&
          pthread_create(&thread, &detached, short_thread, NULL) == 0, "pthread_create");
    while (!thread_id || syscall(SYS_tgkill, getpid(), thread_id, 0) == 0) usleep(100);
}
static void do_fork(void) {
    pid_t child = fork();
    CHECK(child >= 0, "fork: %s", strerror(errno));
    char *block = malloc(ready_size);
    whole_speed();
    if (child == 0) {
        keep(block, ready_size);
        judge();
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child && status == 0, "the child of fork ended with status %#x", status);
    get(block, ready_size);
}
static const struct { const char *name; void (*before)(void), (*call)(void); } calls[] = {
    {"malloc(48), hot", hot_48, do_malloc},   {"free(48), hot", hot_48, do_free},
    {"malloc(64), hot", hot_64, do_malloc},   {"free(64), hot", hot_64, do_free},
    {"20 malloc(48)", full_48, do_mallocs},   {"40 free(48)", full_48, do_frees},
    {"malloc(200)", few_200, do_malloc},      {"free(200)", few_200, do_free},
    {"malloc(5000)", few_5000, do_malloc},    {"free(5000)", few_5000, do_free},
    {"malloc(36000)", big, do_malloc},       {"free(36000)", big, do_free},
    {"calloc(36000)", big, do_calloc},       {"realloc(48)", hot_48, do_realloc},
    {"realloc(5000)", few_5000, do_realloc},  {"realloc(36000)", big, do_realloc},
    {"malloc(48), cold", cold_48, do_malloc}, {"20 malloc(48), getting hot", warm_48, do_mallocs},
    {"20 malloc(5000)", few_5000, do_mallocs}, {"40 free(5000)", few_5000, do_frees},
    {"malloc(4096), hot", hot_4096, do_malloc}, {"20 malloc(4096)", hot_4096, do_mallocs},
    {"malloc_trim", hot_48, do_trim},         {"a thread", hot_48, do_thread},
    {"a first thread", big, do_thread},       {"fork", hot_64, do_fork},
};
enum { CALLS = sizeof calls / sizeof *calls };

static int run(int call, long at) {
    pid_t child = fork();
    CHECK(child >= 0, "fork: %s", strerror(errno));
    if (child == 0) {
        if (beside == NO_PURGE) {
            end_at_a_wait();
        } else {
            alarm(60);
            prepare_purge();
        }
        CHECK((small_before = malloc(48)) && (large_before = malloc(200000)), "malloc is null");
        fill(large_before, 200000, 77);
        calls[call].before();
        handler_size = ready_size;
        stop_at = at;
        if (beside == PURGE_UNTIL_HERE) begin_purge(last_ready());
        if (sigsetjmp(outside, 1) == 0) {
            single_steps();
            calls[call].call();
        }
        whole_speed();
        shared->steps = step;
        for (int i = 0; i < got_count; i++) keep(got[i], got_size);
        if (purge.begun) run_purge(NULL, 1);
        judge();
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child, "waitpid");
    return status;
}

/* Interrupts call `call` at so many places; adds up what came of it. */
static struct { long good, waits, bad, fast_waits; } sum;
static void at_places(int call, long places) {
    static const char *const modes[] = {"", ", then a purge", ", in a purge"};
    int status = run(call, 0);
    CHECK(status == 0, "%s: the child ended with status %#x without an interruption", calls[call].name, status);
    long steps = shared->steps, g = 0, w = 0, b = 0;
    long every = (steps + places - 1) / places;
    for (long at = 1; at <= steps; at += every) {
        status = run(call, at);
        if (status == 0) g++;
        else {
            if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGALRM)) w++;
            else b++;
            if (jumps && steps > 24 && status == SIGSYS) continue;
            fprintf(stderr, "%s%s: interrupted at instruction %ld of %ld, %#zx in the library, malloc at %#zx: status %#x\n",
                    calls[call].name, modes[beside], at, steps, (size_t)(shared->at - text.start),
                    (size_t)((uintptr_t)malloc - text.start), status);
        }
    }
    printf("%s%s: %ld instructions; %ld good, %ld waits, %ld bad\n", calls[call].name, modes[beside], steps, g, w, b);
    sum.good += g, sum.waits += w, sum.bad += b;
    if (steps <= 24) sum.fast_waits += w;
}

int main(int argc, char **argv) {
    CHECK(argc >= 2 && argc <= 4, "usage: life_signal_steps PLACES [CALL [jump | purge]]");
    jumps = argc == 4 && strcmp(argv[3], "jump") == 0;
    const int purges = argc == 4 && !jumps;
    long places = atol(argv[1]);
    if (purges && !can_hold_a_purge()) {
        printf("no seccomp listener\n");
        return 0;
    }
    dl_iterate_phdr(find_text, NULL);
    CHECK(text.start != 0, "the allocator was not found");
    free(malloc(1));
    CHECK(pthread_key_create(&key, allocator_is_done) == 0, "pthread_key_create");
    shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct sigaction action = {.sa_sigaction = trap, .sa_flags = SA_SIGINFO};
    CHECK(sigaction(SIGTRAP, &action, NULL) == 0, "sigaction");
    for (int call = 0; call < CALLS; call++) {
        if (argc >= 3 && atoi(argv[2]) >= 0 && atoi(argv[2]) != call) continue;
        if (argc == 4 && (calls[call].call == do_thread || calls[call].call == do_fork)) continue;
        for (int how = purges; how <= 2 * purges; how++) {
            beside = how;
            at_places(call, places);
        }
    }
    printf("%ld good, %ld waits, %ld bad; %ld in a slab that was being purged\n", sum.good, sum.waits, sum.bad, shared->held);
    CHECK(!purges || atoi(argv[2]) >= 0 || shared->held > 0, "no purge was under way");
    CHECK(sum.good > 0, "nothing was interrupted");
    return sum.bad != 0 || (sum.waits != 0 && !jumps) || sum.fast_waits != 0;
}
#endif
