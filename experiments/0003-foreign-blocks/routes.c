// The three routes of a foreign block, and none.
#include "toy.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int batch_size;
static struct { struct slab *slab; uint32_t cursor; char pad[52]; } current[MAX_THREADS] __attribute__((aligned(64)));
static void reset_current(int batch) { batch_size = batch; memset(current, 0, sizeof current); }
static size_t from_current(int me, void **out, size_t want) {
    return current[me].slab ? toy_claim(current[me].slab, &current[me].cursor, out, want) : 0;
}
static size_t from_fresh(int me, void **out, size_t want) {
    current[me].slab = toy_fresh(me);
    current[me].cursor = 0;
    return from_current(me, out, want);
}

// ---------------------------------------------------------------- a stack of numbered nodes: tag | index, one CAS
// ABA: the tag counts every change of the head, 32 bits.
static uint32_t stack_pop(_Atomic uint64_t *head, uint32_t *(*next)(uint32_t)) {
    uint64_t h = atomic_load_explicit(head, memory_order_acquire);
    while ((uint32_t)h) {
        uint64_t to = ((h >> 32) + 1) << 32 | __atomic_load_n(next((uint32_t)h), __ATOMIC_RELAXED);
        if (COUNTED(atomic_compare_exchange_weak_explicit(head, &h, to, memory_order_acquire, memory_order_acquire))) return (uint32_t)h;
    }
    return 0;
}
static void stack_push(_Atomic uint64_t *head, uint32_t *(*next)(uint32_t), uint32_t n) {
    uint64_t h = atomic_load_explicit(head, memory_order_relaxed), to;
    do {
        __atomic_store_n(next(n), (uint32_t)h, __ATOMIC_RELAXED);
        to = ((h >> 32) + 1) << 32 | n;
    } while (!COUNTED(atomic_compare_exchange_weak_explicit(head, &h, to, memory_order_release, memory_order_relaxed)));
}

// ---------------------------------------------------------------- (a) depot: whole magazines
#define MAG_BYTES ((size_t)1 << 28)
struct magazine { uint32_t next, count; void *slot[]; };
static char *mag_memory;
static _Atomic uint32_t mag_top;
static struct { _Atomic uint64_t head; char pad[56]; } full, empty;
static struct magazine *mag(uint32_t i) { return (void *)(mag_memory + (size_t)i * (sizeof(struct magazine) + batch_size * sizeof(void *))); }
static uint32_t *mag_next(uint32_t i) { return &mag(i)->next; }
static void depot_reset(int batch) {
    reset_current(batch);
    if (!mag_memory && !(mag_memory = malloc(MAG_BYTES))) exit(1);
    full.head = empty.head = 0;
    mag_top = 1;
}
static size_t depot_take(int me, void **out, size_t want) {
    uint32_t m = stack_pop(&full.head, mag_next);
    if (!m) { size_t n = from_current(me, out, want); return n ? n : from_fresh(me, out, want); }
    size_t n = mag(m)->count;
    memcpy(out, mag(m)->slot, n * sizeof *out);
    stack_push(&empty.head, mag_next, m);
    return n;
}
static uint32_t empty_magazine(void) {
    uint32_t m = stack_pop(&empty.head, mag_next);
    if (m) return m;
    m = COUNTED(atomic_fetch_add(&mag_top, 1));
    if (((size_t)m + 1) * (sizeof(struct magazine) + batch_size * sizeof(void *)) > MAG_BYTES) { fprintf(stderr, "no magazines left\n"); exit(1); }
    return m;
}
static void depot_give(int me, void **in, size_t n) {
    (void)me;
    uint32_t m = empty_magazine();
    mag(m)->count = n;
    memcpy(mag(m)->slot, in, n * sizeof *in);
    stack_push(&full.head, mag_next, m);
}
static size_t depot_reusable(int asker) {
    (void)asker;
    size_t n = 0;
    for (uint32_t m = (uint32_t)full.head; m; m = mag(m)->next) n += mag(m)->count;
    return n;
}
const struct route route_depot = {"depot", depot_reset, depot_take, depot_give, depot_reusable};

// ---------------------------------------------------------------- (b) bitmap: grouped by slab and word
// A slab is listed when whole line groups fill half of one of its words, and found again by anyone; the finder sweeps
// it. (Half of the bits free is no criterion: freed at random, half can be free without one whole group, and the slab
// is listed and swept for ever.)
static struct { _Atomic uint64_t head; char pad[56]; } listed;
static uint32_t *slab_next(uint32_t i) { return &toy.slabs[i - 1].next; }
enum { LIST_FROM = 32 };
static void bitmap_reset(int batch) { reset_current(batch); listed.head = 0; }
static void list_if_worth(struct slab *s, uint64_t bits) {
    if (__builtin_popcountll(toy_whole(bits)) * toy.group < LIST_FROM) return;
    if (atomic_load_explicit(&s->listed, memory_order_relaxed)) return;
    if (!COUNTED(atomic_exchange_explicit(&s->listed, 1, memory_order_acq_rel))) stack_push(&listed.head, slab_next, s - toy.slabs + 1);
}
static size_t bitmap_take(int me, void **out, size_t want) {
    size_t n = from_current(me, out, want);
    while (!n) {
        if (current[me].slab) { // swept: others may list it again
            struct slab *s = current[me].slab;
            COUNTED(atomic_exchange_explicit(&s->listed, 0, memory_order_acq_rel));
            for (uint32_t w = 0; w < s->words; w++) // a word that filled up behind the sweep while `listed` was set
                list_if_worth(s, atomic_load_explicit(&s->free_bits[w], memory_order_relaxed));
            current[me].slab = NULL;
        }
        uint32_t i = stack_pop(&listed.head, slab_next);
        if (i) {
            current[me].slab = &toy.slabs[i - 1];
            current[me].cursor = 0;
            n = from_current(me, out, want);
        } else {
            current[me].slab = toy_fresh(me);
            current[me].cursor = 0;
            atomic_store_explicit(&current[me].slab->listed, 1, memory_order_relaxed);
            n = from_current(me, out, want);
        }
    }
    return n;
}
static void bitmap_give(int me, void **in, size_t n) {
    (void)me;
    enum { TABLE = 2 * MAX_BATCH };
    static __thread struct { uint32_t key; uint32_t order; uint64_t mask; } t[TABLE]; // key: slab * 64 + word + 1
    static __thread uint32_t used[MAX_BATCH];
    uint32_t keys = 0, table = 2 * batch_size;
    for (size_t i = 0; i < n; i++) {
        uint32_t slot = slot_of(in[i]), key = slab_of(in[i]) * MAX_WORDS + slot / 64 + 1;
        uint32_t h = key * 2654435769u >> 12 & (table - 1);
        while (t[h].key && t[h].key != key) h = (h + 1) & (table - 1);
        if (!t[h].key) t[h].key = key, t[h].mask = 0, used[keys++] = h;
        t[h].mask |= 1ull << (slot & 63);
    }
    for (uint32_t k = 0; k < keys; k++) {
        uint32_t key = t[used[k]].key - 1;
        uint64_t mask = t[used[k]].mask;
        struct slab *s = &toy.slabs[key / MAX_WORDS];
        uint64_t old = COUNTED(atomic_fetch_or_explicit(&s->free_bits[key % MAX_WORDS], mask, memory_order_release));
        if (old & mask) { fprintf(stderr, "double free\n"); abort(); }
        list_if_worth(s, old | mask);
    }
    for (uint32_t k = 0; k < keys; k++) t[used[k]].key = 0;
}
static size_t bitmap_reusable(int asker) {
    (void)asker;
    size_t n = 0;
    for (uint32_t u = 0; u < toy.slab_top; u++) {
        int held = 0; // the slab a sleeping producer refills from is out of reach
        for (int i = 0; i < MAX_THREADS; i++) held |= current[i].slab == &toy.slabs[u];
        for (uint32_t w = 0; !held && w < toy.slabs[u].words; w++)
            n += __builtin_popcountll(toy_whole(toy.slabs[u].free_bits[w])) * toy.group;
    }
    return n;
}
const struct route route_bitmap = {"bitmap", bitmap_reset, bitmap_take, bitmap_give, bitmap_reusable};

// ---------------------------------------------------------------- (c) owner: a message per destination thread
// The outbox is split by owner; each part goes to the owner's inbox (a stack emptied at once, no ABA), and is used
// there as it is: the blocks were handed out by this owner, so their lines are its own.
// (snmalloc links the blocks of a message through their own memory; our default profile never writes there, so a
// message is a magazine from the pool, which costs one pop and one push more.)
static struct { _Atomic uint64_t head; uint32_t rest; char pad[52]; } inbox[MAX_THREADS] __attribute__((aligned(64)));
static void owner_reset(int batch) { depot_reset(batch); memset(inbox, 0, sizeof inbox); }
static size_t owner_take(int me, void **out, size_t want) {
    if (!inbox[me].rest && atomic_load_explicit(&inbox[me].head, memory_order_relaxed))
        inbox[me].rest = (uint32_t)COUNTED(atomic_exchange_explicit(&inbox[me].head, 0, memory_order_acquire));
    size_t n = 0;
    for (uint32_t i; (i = inbox[me].rest) && n < want;) {
        struct magazine *m = mag(i);
        while (m->count && n < want) out[n++] = m->slot[--m->count];
        if (!m->count) { inbox[me].rest = m->next; stack_push(&empty.head, mag_next, i); }
    }
    if (n) return n;
    n = from_current(me, out, want);
    return n ? n : from_fresh(me, out, want);
}
static void owner_give(int me, void **in, size_t n) {
    (void)me;
    uint32_t to[MAX_THREADS] = {0};
    for (size_t i = 0; i < n; i++) {
        uint32_t o = toy.slabs[slab_of(in[i])].owner;
        if (!to[o]) mag(to[o] = empty_magazine())->count = 0;
        mag(to[o])->slot[mag(to[o])->count++] = in[i];
    }
    for (int o = 0; o < MAX_THREADS; o++) if (to[o]) stack_push(&inbox[o].head, mag_next, to[o]);
}
static size_t owner_reusable(int asker) { (void)asker; return 0; } // only the owner looks into its inbox and slabs
const struct route route_owner = {"owner", owner_reset, owner_take, owner_give, owner_reusable};

// ---------------------------------------------------------------- the queues alone: the same blocks round and round
static struct { void *block[8192]; uint32_t count, next; } ring[MAX_THREADS];
static void null_reset(int batch) { reset_current(batch); memset(ring, 0, sizeof ring); }
static size_t null_take(int me, void **out, size_t want) {
    while (ring[me].count < 8192) {
        size_t n = from_current(me, ring[me].block + ring[me].count, 8192 - ring[me].count);
        if (!n && 8192 - ring[me].count < toy.group) break;
        if (!n) n = from_fresh(me, ring[me].block + ring[me].count, 8192 - ring[me].count);
        ring[me].count += n;
    }
    if (ring[me].next + want > ring[me].count) ring[me].next = 0;
    memcpy(out, ring[me].block + ring[me].next, want * sizeof *out);
    ring[me].next += want;
    return want;
}
static void null_give(int me, void **in, size_t n) { (void)me, (void)in, (void)n; }
const struct route route_null = {"null", null_reset, null_take, null_give, owner_reusable};
