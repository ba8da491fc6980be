// The three thread caches under test, one set of entry points each (cache.c is compiled once per variant).
#pragma once
#include <stddef.h>
#include <stdint.h>

struct thread_cache;                       // one per thread; for the per-CPU variant it only counts

#define VARIANTS(X) X(plain) X(tlsrseq) X(percpu)
#define DECLARE(v)                                                                     \
    void *v##_malloc(size_t size);                                                     \
    void v##_free(void *p);                                                            \
    struct thread_cache *v##_self(void);                   /* this thread's cache */   \
    /* Empties class `cls` from outside into `out`: the protocol the variant claims to make safe. */ \
    size_t v##_drain(struct thread_cache *t, unsigned cls, void **out, size_t cap);    \
    size_t v##_stranded(struct thread_cache *t);           /* bytes of blocks it holds */ \
    /* What lies in its magazines, and in the central store; only while it stands still. */ \
    size_t v##_in_cache(struct thread_cache *t, unsigned cls, void **out, size_t cap); \
    size_t v##_in_central(unsigned cls, void **out, size_t cap);                       \
    /* `hot_after` slow operations a class gets a window; before that odd sizes may be rounded up to 64 B */ \
    void v##_options(int hot_after, int cold_rounds_up);
VARIANTS(DECLARE)

struct variant {
    const char *name;
    void *(*malloc)(size_t);
    void (*free)(void *);
    struct thread_cache *(*self)(void);
    size_t (*drain)(struct thread_cache *, unsigned, void **, size_t);
    size_t (*stranded)(struct thread_cache *);
    size_t (*in_cache)(struct thread_cache *, unsigned, void **, size_t);
    size_t (*in_central)(unsigned, void **, size_t);
    void (*options)(int, int);
};
#define ENTRY(v) {#v, v##_malloc, v##_free, v##_self, v##_drain, v##_stranded, v##_in_cache, v##_in_central, v##_options},
#define VARIANT_TABLE {VARIANTS(ENTRY)}
