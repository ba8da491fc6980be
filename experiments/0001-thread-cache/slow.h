// The slow half of cache.c: start-up, central store, windows, drain. The same for all variants but for `tops_of`.
static pthread_mutex_t central_lock = PTHREAD_MUTEX_INITIALIZER, start_lock = PTHREAD_MUTEX_INITIALIZER;
static struct { uint64_t *block; size_t count; } loose[CLASSES], groups[CLASSES]; // returned blocks; whole line groups
static uint32_t unit_top, common_bump[CLASSES], common_end[CLASSES];
static uint8_t *group_count;    // free blocks of a line group of a common slab
static _Atomic uint64_t next_tag = 2;
static char *window_next, *window_end;

static void *reserve(size_t n) {
    void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) { perror("mmap"); abort(); }
    madvise(p, n, MADV_NOHUGEPAGE);
    return p;
}

__attribute__((constructor)) static void start(void) {
    pthread_mutex_lock(&start_lock);
    char *raw = reserve(ARENA + (1 << UNIT_BITS));
    base = (char *)(((uint64_t)raw + (1 << UNIT_BITS) - 1) & ~(uint64_t)((1 << UNIT_BITS) - 1));
    page_map = reserve(UNITS * 8);
    position = reserve(UNITS << 12);
    group_count = reserve(UNITS << 12);
    for (unsigned c = 1; c <= LAST_CLASS; c++) {
        uint32_t size = c <= 16 ? 16 * c : c <= 24 ? 256 + 32 * (c - 16) : 512 + 64 * (c - 24);
        uint32_t group = 1;
        while ((uint64_t)group * size % 64) group *= 2;
        uint32_t depth = 4096 / size; // by bytes: no class holds more than 4 KiB or 8 blocks
        depth = depth < 8 ? 8 : depth > 255 ? 255 : depth;
        info[c] = (struct class_info){size, (uint32_t)((1ull << 32) / size + ((1ull << 32) % size != 0)), depth, group};
        loose[c].block = reserve(ARENA / size * 8);
        groups[c].block = reserve(ARENA / size * 8);
    }
    for (unsigned i = 0, k = 1; i <= MAX_SMALL / 16; i++) { while (info[k].size < i * 16) k++; class_of[i] = k; }
    rseq_off = __rseq_offset;
    have_rseq = __rseq_size >= 20 && !syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ, 0, 0);
    syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0);
#if VARIANT == PERCPU
    for (int i = 0; i < CPUS; i++) for (int k = 0; k < CLASSES; k++) cpu_cache[i].top[k] = empty_window;
#endif
    pthread_mutex_unlock(&start_lock);
}

// The lock that the slow paths of thread `t` take.
#if VARIANT == PERCPU
static pthread_mutex_t percpu_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t *lock_of(struct thread_cache *t) { (void)t; return &percpu_lock; }
#else
static pthread_mutex_t *lock_of(struct thread_cache *t) { return &t->lock; }
#endif
static uint32_t new_slab(unsigned c, uint64_t tag) { // central_lock held
    uint32_t u = unit_top++;
    if (u >= UNITS) violation("toy arena exhausted");
    __atomic_store_n(&page_map[u], c | tag << 16, __ATOMIC_RELEASE);
    return u << UNIT_BITS;
}
static slot_t *new_window(unsigned c) {
    pthread_mutex_lock(&central_lock);
    if (window_next == window_end) { window_next = reserve(1 << 20); window_end = window_next + (1 << 20); }
    slot_t *w = (slot_t *)window_next;
    window_next += WINDOW;
    pthread_mutex_unlock(&central_lock);
    return w + info[c].depth;   // its empty `top`; the slot there is NULL, and nothing above it is touched
}
static size_t from_central(struct thread_cache *t, unsigned c, void **out, size_t want, int common) {
    size_t n = 0, size = info[c].size;
    uint32_t per = 65536 / size / info[c].group * info[c].group;
    pthread_mutex_lock(&central_lock);
    if (common) { // one whole line group of a slab that all threads share
        uint64_t first;
        if (groups[c].count) first = groups[c].block[--groups[c].count];
        else {
            if (common_bump[c] == common_end[c]) { common_bump[c] = new_slab(c, 1); common_end[c] = common_bump[c] + per * size; }
            first = (uint64_t)base + common_bump[c];
            common_bump[c] += size * info[c].group;
        }
        uint64_t off = first - (uint64_t)base;
        group_count[(off >> UNIT_BITS << 12) + (off & 0xffff) / size / info[c].group] = 0;
        for (; n < info[c].group; n++) out[n] = (void *)(first + n * size);
    } else {
        while (n < want && VARIANT == PERCPU && loose[c].count) out[n++] = (void *)loose[c].block[--loose[c].count];
        while (n < want) {
            uint32_t *bump = VARIANT == PERCPU ? &common_bump[c] : &t->bump[c], *end = VARIANT == PERCPU ? &common_end[c] : &t->bump_end[c];
            if (*bump == *end) { *bump = new_slab(c, VARIANT == PERCPU ? 1 : t->tag); *end = *bump + per * size; }
            out[n++] = base + *bump;
            *bump += size;
        }
    }
    pthread_mutex_unlock(&central_lock);
    return n;
}
static void to_central(struct thread_cache *t, unsigned c, void **in, size_t n) {
    (void)t;
    pthread_mutex_lock(&central_lock);
    while (n) loose[c].block[loose[c].count++] = (uint64_t)in[--n];
    pthread_mutex_unlock(&central_lock);
}
static struct thread_cache *ready(void) {
    if (tls.tag <= 1) { pthread_mutex_init(&tls.lock, NULL); tls.tag = next_tag++; }
    return &tls;
}

static SLOW void *pop_once(unsigned c) {
    slot_t p;
    POP(p, c);
    return (void *)p;
slow:
    return NULL;
}
static SLOW int push_once(unsigned c, void *p) {
    slot_t *t;
    PUSH(t, c, p);
    return 1;
slow:
    return 0;
}
static void give_window(struct thread_cache *t, unsigned c) {
#if VARIANT == PERCPU
    (void)t;
    int cpu = have_rseq ? (int)*(volatile uint32_t *)((char *)__builtin_thread_pointer() + rseq_off) : -1;
    if (cpu < 0 || cpu_window[cpu][c]) return;
    slot_t *w = new_window(c);
    cpu_window[cpu][c] = w;
    slot_t *expected = empty_window;
    __atomic_compare_exchange_n(&cpu_cache[cpu].top[c], &expected, w, 0, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
#else
    if (!t->window[c]) t->top[c] = t->window[c] = new_window(c);
#endif
}
static int is_hot(struct thread_cache *t, unsigned c) {
    if (VARIANT == PERCPU) return 1;           // few windows however many threads: no need for a cold state
    if (t->slow_ops[c] < hot_after) { t->slow_ops[c]++; return 0; }
    return 1;
}

static void *malloc_slow(size_t size) {
    if (size > MAX_SMALL) violation("toy: size");
    unsigned c = class_of[(size + 15) >> 4];
    struct thread_cache *t = ready();
    void *got[BATCH], *p;
    pthread_mutex_lock(lock_of(t));
    if (is_hot(t, c)) {
        give_window(t, c);
        size_t n = from_central(t, c, got, info[c].depth / 2 < BATCH ? info[c].depth / 2 : BATCH, 0);
        p = got[0];
        size_t i = n; // lowest address on top
        while (i > 1 && push_once(c, got[i - 1])) i--;
        if (i > 1) to_central(t, c, got + 1, i - 1);
    } else {
        // a class whose line group is several odd blocks: take the next multiple of 64, one block is then a group
        if (cold_rounds_up && size > 32) c = class_of[(size + 63) / 64 * 4];
        p = NULL;
        for (uint32_t i = 0; i < t->crumb_count && !p; i++)
            if (t->crumbs[i] >> 48 == c) { p = (void *)(t->crumbs[i] << 16 >> 16); t->crumbs[i] = t->crumbs[--t->crumb_count]; }
        if (!p) {
            size_t n = from_central(t, c, got, 0, 1);
            p = got[0];
            for (size_t i = 1; i < n && t->crumb_count < CRUMBS; i++) t->crumbs[t->crumb_count++] = (uint64_t)got[i] | (uint64_t)c << 48;
        }
    }
    pthread_mutex_unlock(lock_of(t));
    return p;
}
static void free_slow(void *p) {
    uint64_t off = (uint64_t)p - (uint64_t)base;
    if (!p) return;
    if (off >= ARENA) violation("toy: foreign pointer");
    struct thread_cache *t = ready();
    uint64_t e = page_map[off >> UNIT_BITS], tag = e >> 16;
    unsigned c = e & 0xff;
    pthread_mutex_lock(lock_of(t));
    if (VARIANT != PERCPU && tag == 1) {       // common slab: the line group goes back when it is whole
        uint32_t slot = (off & 0xffff) / info[c].size, g = info[c].group;
        pthread_mutex_lock(&central_lock);
        if (++group_count[(off >> UNIT_BITS << 12) + slot / g] == g)
            groups[c].block[groups[c].count++] = (uint64_t)base + (off >> UNIT_BITS << UNIT_BITS) + slot / g * g * info[c].size;
        pthread_mutex_unlock(&central_lock);
    } else if (VARIANT != PERCPU && tag != t->tag) {
        to_central(t, c, &p, 1);               // foreign block: the toy keeps it (experiment 0003 is about its way)
    } else {
        give_window(t, c);
        if (!push_once(c, p)) {                // full (or just drained): half of it leaves
            void *out[BATCH];
            size_t left = info[c].depth / 2, n = 0;
            out[n++] = p;
            for (void *q; left && (q = pop_once(c)); left--) {
                if (n == BATCH) to_central(t, c, out, n), n = 0;
                out[n++] = q;
            }
            to_central(t, c, out, n);
        }
    }
    pthread_mutex_unlock(lock_of(t));
}

// ---------------------------------------------------------------- the outside
// Swap the empty window in, make every thread of the process pass a barrier (with rseq: restart), look again. If the
// owner committed an operation begun before the swap, its store has replaced the empty window: try again.
static size_t drain_top(slot_t **top, slot_t *window, void **out, size_t cap) {
    if (!window) return 0;
    slot_t *t;
    for (;;) {
        t = __atomic_exchange_n(top, empty_window, __ATOMIC_SEQ_CST);
        if (t == empty_window) { __atomic_store_n(top, window, __ATOMIC_RELEASE); return 0; }
        int cmd = VARIANT == PLAIN ? MEMBARRIER_CMD_PRIVATE_EXPEDITED : MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ;
        if (syscall(SYS_membarrier, cmd, 0, 0)) { perror("membarrier"); abort(); }
        if (__atomic_load_n(top, __ATOMIC_ACQUIRE) == empty_window) break;
    }
    size_t n = 0;
    for (; t < window && n < cap; t++) out[n++] = (void *)*t;
    __atomic_store_n(top, window, __ATOMIC_RELEASE);
    return n;
}
API size_t FN(drain)(struct thread_cache *t, unsigned c, void **out, size_t cap) {
    if (VARIANT != PLAIN && !have_rseq) return 0; // nothing may be taken from outside
    size_t n = 0;
    pthread_mutex_lock(lock_of(t));
#if VARIANT == PERCPU
    for (int i = 0; i < CPUS; i++) n += drain_top(&cpu_cache[i].top[c], cpu_window[i][c], out + n, cap - n);
#else
    n = drain_top(&t->top[c], t->window[c], out, cap);
#endif
    pthread_mutex_unlock(lock_of(t));
    return n;
}
// Only while the owner stands still.
static size_t in_window(slot_t *top, slot_t *window, void **out, size_t cap) {
    size_t n = 0;
    if (window) for (; top != empty_window && top < window && n < cap; top++) out[n++] = (void *)*top;
    return n;
}
API size_t FN(in_cache)(struct thread_cache *t, unsigned c, void **out, size_t cap) {
    (void)t;
    size_t n = 0;
#if VARIANT == PERCPU
    for (int i = 0; i < CPUS; i++) n += in_window(cpu_cache[i].top[c], cpu_window[i][c], out + n, cap - n);
#else
    n = in_window(t->top[c], t->window[c], out, cap);
#endif
    return n;
}
API size_t FN(in_central)(unsigned c, void **out, size_t cap) {
    size_t n = 0;
    for (; n < loose[c].count && n < cap; n++) out[n] = (void *)loose[c].block[n];
    return n;
}
API size_t FN(stranded)(struct thread_cache *t) {
    size_t bytes = 0;
    for (unsigned c = 1; c <= LAST_CLASS; c++) {
        void *tmp[WINDOW];
#if VARIANT == PERCPU
        for (int i = 0; i < CPUS; i++) bytes += in_window(cpu_cache[i].top[c], cpu_window[i][c], tmp, WINDOW) * info[c].size;
#else
        bytes += in_window(t->top[c], t->window[c], tmp, WINDOW) * info[c].size;
#endif
    }
    for (uint32_t i = 0; i < t->crumb_count; i++) bytes += info[t->crumbs[i] >> 48].size;
    return bytes;
}
API struct thread_cache *FN(self)(void) { return ready(); }
API void FN(options)(int hot, int round) { hot_after = hot, cold_rounds_up = round; }
