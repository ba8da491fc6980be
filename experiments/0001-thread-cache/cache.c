// One toy allocator, three places for its magazines (-DVARIANT=...):
//   PLAIN    `top` per class in initial-exec TLS, ordinary loads and stores
//   TLSRSEQ  the same memory, each push and pop a restartable sequence (rseq), so that others may drain it
//   PERCPU   `top` per class and CPU, push and pop restartable
//
//   window (2 KiB aligned, 256 slots):   base                top                        end
//                                        | unused ...        | p | p | p | ... | p | p | NULL |
//   push: top & 2047 == 0 -> full, else *--top = p       pop: *top == NULL -> empty, else p = *top++
// `empty_window` (all zero) is full and empty at once: the initial state, and what a drainer swaps in.
//
// Everything else is the same for all three: size classes, page map, checks (block boundary by multiply, owner tag,
// "already in this magazine" by a position byte), a central store behind one lock. Toy limits: 2 GiB, no thread
// exit, central memory never goes back.
#define _GNU_SOURCE
#include "cache.h"
#include <linux/membarrier.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PLAIN 0
#define TLSRSEQ 1
#define PERCPU 2
#define CAT_(a, b) a##_##b
#define CAT(a, b) CAT_(a, b)
#if VARIANT == PLAIN
#define FN(n) CAT(plain, n)
#elif VARIANT == TLSRSEQ
#define FN(n) CAT(tlsrseq, n)
#else
#define FN(n) CAT(percpu, n)
#endif
#define API __attribute__((visibility("default")))
#define SLOW __attribute__((noinline, cold))
#define unlikely(x) __builtin_expect(!!(x), 0)

enum { CLASSES = 64, LAST_CLASS = 32, MAX_SMALL = 1024, UNIT_BITS = 16, WINDOW = 2048, CRUMBS = 48, BATCH = 32, CPUS = 256 };
#define ARENA (1ull << 31)
#define UNITS (ARENA >> UNIT_BITS)
typedef uint64_t slot_t;

struct class_info { uint32_t size, recip, depth, group; };
struct thread_cache {
    slot_t *top[CLASSES];
    uint64_t tag;               // owner tag of this thread's slabs, as in the page map; never 0 or 1 after `start`
    slot_t *window[CLASSES];
    uint32_t bump[CLASSES], bump_end[CLASSES]; // arena offsets of what is left of the thread's own slab
    uint8_t slow_ops[CLASSES];
    uint32_t crumb_count;
    uint64_t crumbs[CRUMBS];    // rest of line groups of classes without a window: class in the top 16 bits
    pthread_mutex_t lock;       // slow paths against the drainer
};

static slot_t empty_window[WINDOW / 8] __attribute__((aligned(WINDOW)));
static uint8_t class_of[MAX_SMALL / 16 + 1];
static struct class_info info[CLASSES];
static char *base;
static uint64_t *page_map;      // per 64 KiB: class | owner tag << 16
static uint8_t *position;       // per block: slot index at its last push
static ptrdiff_t rseq_off;
static int hot_after = 64, cold_rounds_up = 1, have_rseq;
#define E8 empty_window, empty_window, empty_window, empty_window, empty_window, empty_window, empty_window, empty_window
static __thread struct thread_cache tls __attribute__((tls_model("initial-exec"), used)) = {.top = {E8, E8, E8, E8, E8, E8, E8, E8}};
#if VARIANT == PERCPU
static struct cpu_cache { slot_t *top[CLASSES]; } cpu_cache[CPUS] __attribute__((aligned(4096)));
static slot_t *cpu_window[CPUS][CLASSES];
#endif

static SLOW void *malloc_slow(size_t size);
static SLOW void free_slow(void *p);
static SLOW __attribute__((noipa)) void violation(const char *what) { fprintf(stderr, "%s\n", what); abort(); }

// ---------------------------------------------------------------- restartable push and pop
// start: `cs` stored to the thread's rseq area; window between labels 1 and 2; the store before label 2 commits.
// Preempted, migrated, signalled or hit by membarrier inside it, the thread resumes at 4, which starts again.
#define RSEQ_BEGIN                                                                     \
    ".pushsection __rseq_cs,\"aw\"\n.balign 32\n3: .long 0, 0\n.quad 1f, 2f-1f, 4f\n.popsection\n" \
    "9: leaq 3b(%%rip), %[t]\n movq %[t], %%fs:8(%[rs])\n1:\n"
#define RSEQ_END                                                                       \
    "2:\n.pushsection .text.rseq_abort,\"ax\"\n.byte 0x0f, 0xb9, 0x3d\n.long 0x53053053\n4: jmp 9b\n.popsection\n"
#if VARIANT == TLSRSEQ
#define FIND_TOP ""
#define TOP "%%fs:(%[where],%[c],8)"
#define WHERE() ({ ptrdiff_t o_; __asm__("movq tls@gottpoff(%%rip), %0" : "=r"(o_)); o_; })
#else
#define WHERE() ((ptrdiff_t)cpu_cache)
#define FIND_TOP "movl %%fs:4(%[rs]), %k[a]\n testl %k[a], %k[a]\n js %l[slow]\n shlq $9, %[a]\n addq %[where], %[a]\n"
#define TOP "(%[a],%[c],8)"
#endif

// Both jump to the caller's label `slow` when empty, full, or (per CPU) without rseq.
#if VARIANT != PLAIN
#define POP(P, C)                                                                      \
    do { uint64_t t_, a_; __asm__ goto volatile(                                       \
        RSEQ_BEGIN FIND_TOP                                                            \
        "movq " TOP ", %[t]\n movq (%[t]), %[p]\n testq %[p], %[p]\n jz %l[slow]\n addq $8, %[t]\n movq %[t], " TOP "\n" RSEQ_END \
        : [t] "=&r"(t_), [p] "=&r"(P), [a] "=&r"(a_)                                   \
        : [c] "r"((uint64_t)C), [rs] "r"(rseq_off), [where] "r"(WHERE()) : "memory", "cc" : slow); (void)a_; } while (0)
#define PUSH(T, C, P)                                                                  \
    do { uint64_t a_; __asm__ goto volatile(                                           \
        RSEQ_BEGIN FIND_TOP                                                            \
        "movq " TOP ", %[t]\n testl $2047, %k[t]\n jz %l[slow]\n movq %[p], -8(%[t])\n subq $8, %[t]\n movq %[t], " TOP "\n" RSEQ_END \
        : [t] "=&r"(T), [a] "=&r"(a_)                                                  \
        : [c] "r"((uint64_t)C), [rs] "r"(rseq_off), [where] "r"(WHERE()), [p] "r"(P) : "memory", "cc" : slow); (void)a_; } while (0)
#else
#define POP(P, C)                                                                      \
    do { slot_t *t_ = tls.top[C]; P = *t_; if (unlikely(!P)) goto slow; tls.top[C] = t_ + 1; } while (0)
#define PUSH(T, C, P)                                                                  \
    do { T = tls.top[C]; if (unlikely(((uint64_t)T & (WINDOW - 1)) == 0)) goto slow;   \
         T[-1] = (slot_t)(P); T -= 1; tls.top[C] = T; } while (0)
#endif

// ---------------------------------------------------------------- the fast paths
API void *FN(malloc)(size_t size) {
    if (unlikely(size > MAX_SMALL)) return malloc_slow(size);
    uint64_t c = class_of[(size + 15) >> 4];
    slot_t p;
    POP(p, c);
    return (void *)p;
slow:
    return malloc_slow(size);
}

API void FN(free)(void *p) {
    uint64_t off = (uint64_t)p - (uint64_t)base;
    if (unlikely(off >= ARENA)) return free_slow(p);
    uint64_t e = page_map[off >> UNIT_BITS], c = e & 0xff;
#if VARIANT == PERCPU
    if (unlikely(e >> 16 != 1)) return free_slow(p);   // no thread owns a slab here: only "is it one of ours"
    uint32_t cpu = *(volatile uint32_t *)((char *)__builtin_thread_pointer() + rseq_off); // cpu_id_start: a hint for the check
    slot_t *t = *(slot_t *volatile *)&cpu_cache[cpu].top[c];
#else
    if (unlikely(e >> 16 != tls.tag)) return free_slow(p);
    slot_t *t = tls.top[c];
#endif
    uint64_t x = (off & 0xffff) * info[c].recip;
    if (unlikely((uint32_t)x >= info[c].recip)) return violation("invalid free: not the start of a block");
    uint8_t *pos = &position[(off >> UNIT_BITS << 12) + (x >> 32)];
    slot_t *seen = (slot_t *)((uint64_t)t & ~(uint64_t)(WINDOW - 1)) + *pos;
    if (unlikely(*seen == (slot_t)p) && seen >= t) return violation("double free");
    PUSH(t, c, p);
    *pos = (uint64_t)t >> 3; // a late write after a drain or migration is stale, never wrong: `seen` is compared with p
    return;
slow:
    free_slow(p);
}

#include "slow.h"
