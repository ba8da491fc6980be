// What the three routes share: slabs of 64 KiB with a bitmap of free blocks, line groups, counted atomics.
#pragma once
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { SLAB = 65536, MAX_SLABS = 16384, MAX_WORDS = 64, MAX_THREADS = 16, MAX_BATCH = 1024 };

struct slab {
    _Atomic uint64_t free_bits[MAX_WORDS]; // bit set: block free. Set by whoever frees, cleared by the claimer of a group
    uint32_t words, blocks;
    _Atomic uint32_t listed;
    uint32_t next;
    uint32_t owner;                        // thread that took it fresh; only route `owner` looks at it
};
struct toy {
    size_t size;
    uint32_t group;                        // blocks of one line group
    uint64_t starts;                       // bits of a word at which a group may start
    char *base;
    struct slab *slabs;
    _Atomic uint32_t slab_top;
};
extern struct toy toy;

// Atomic read-modify-writes of the allocator, counted per thread in the -DCOUNT build.
#ifdef COUNT
extern __thread long atomics;
#define COUNTED(op) (atomics++, (op))
#else
#define COUNTED(op) (op)
#endif

// A route: `take` fills out[] with up to `want` blocks for thread `me` (at least one); `give` takes a full outbox of
// foreign blocks from thread `me`; `reusable` is what any third thread could be handed, in blocks, at rest.
struct route {
    const char *name;
    void (*reset)(int batch);
    size_t (*take)(int me, void **out, size_t want);
    void (*give)(int me, void **in, size_t n);
    size_t (*reusable)(int asker);
};
extern const struct route route_depot, route_bitmap, route_owner, route_null;

// shared by the routes (toy.c)
void toy_reset(size_t size);
struct slab *toy_fresh(int me);            // a slab with all groups free
size_t toy_claim(struct slab *s, uint32_t *cursor, void **out, size_t want);
static inline uint64_t toy_whole(uint64_t bits) { // first blocks of the groups that are free as a whole
    uint64_t whole = bits & toy.starts;
    for (uint32_t k = 1; k < toy.group; k++) whole &= bits >> k;
    return whole;
}
static inline uint32_t slab_of(const void *p) { return ((const char *)p - toy.base) / SLAB; }
static inline uint32_t slot_of(const void *p) { return (((const char *)p - toy.base) & (SLAB - 1)) / toy.size; }
