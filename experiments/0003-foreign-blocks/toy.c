// The common ground of the three routes; see toy.h.
#define _GNU_SOURCE
#include "toy.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct toy toy;
#ifdef COUNT
__thread long atomics;
#endif

void toy_reset(size_t size) {
    if (!toy.base) {
        char *raw = mmap(NULL, (size_t)SLAB * (MAX_SLABS + 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        toy.slabs = mmap(NULL, sizeof(struct slab) * MAX_SLABS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (raw == MAP_FAILED || toy.slabs == MAP_FAILED) { perror("mmap"); exit(1); }
        toy.base = (char *)(((uintptr_t)raw + SLAB - 1) & ~(uintptr_t)(SLAB - 1));
    }
    memset(toy.slabs, 0, sizeof(struct slab) * atomic_load(&toy.slab_top));
    toy.slab_top = 0;
    toy.size = size;
    toy.group = 1;
    while (toy.group * size % 64) toy.group *= 2;
    toy.starts = 0;
    for (uint32_t i = 0; i < 64; i += toy.group) toy.starts |= 1ull << i;
}
struct slab *toy_fresh(int me) {
    uint32_t u = COUNTED(atomic_fetch_add(&toy.slab_top, 1));
    if (u >= MAX_SLABS) { fprintf(stderr, "toy arena exhausted\n"); exit(1); }
    struct slab *s = &toy.slabs[u];
    s->blocks = SLAB / toy.size / toy.group * toy.group;
    s->words = (s->blocks + 63) / 64;
    s->owner = me;
    for (uint32_t w = 0; w < s->words; w++) {
        uint32_t left = s->blocks - w * 64;
        atomic_store_explicit(&s->free_bits[w], left >= 64 ? ~0ull : (1ull << left) - 1, memory_order_relaxed);
    }
    return s;
}
// Claims whole line groups from *cursor on, one atomic per word: a group of which one block is still out stays.
size_t toy_claim(struct slab *s, uint32_t *cursor, void **out, size_t want) {
    size_t n = 0;
    char *start = toy.base + (size_t)(s - toy.slabs) * SLAB;
    for (; *cursor < s->words; ++*cursor) {
        uint64_t whole = toy_whole(atomic_load_explicit(&s->free_bits[*cursor], memory_order_relaxed));
        uint64_t mine = 0;
        for (uint64_t w = whole; w && n + toy.group <= want; w &= w - 1) {
            uint32_t first = __builtin_ctzll(w);
            for (uint32_t k = 0; k < toy.group; k++) out[n++] = start + (*cursor * 64 + first + k) * toy.size;
            mine |= ((1ull << toy.group) - 1) << first;
        }
        // only this thread claims from this slab, and others only set bits: what was seen set is still set
        if (mine) COUNTED(atomic_fetch_and_explicit(&s->free_bits[*cursor], ~mine, memory_order_acquire));
        if (n + toy.group > want) break;
    }
    return n;
}
