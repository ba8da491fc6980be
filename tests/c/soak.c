/* A server for as long as argv[1] seconds, and at least LEAST cycles: days with requests on threads that come and go,
   hand-offs between threads, large blocks, blocks that grow, forks; nights with little left and nothing going on.
   Contents are checked at every end. At each night one line of figures; what is live then is the same every time, so
   that a figure that grows is memory lost. argv[2]: seed; With a third argument blocks, mappings and files are lost
   on purpose in each cycle. */
#include "threads.h"
#include <fcntl.h>
#include <sys/mman.h>

enum { LEAST = 32, WORKERS = 4, SESSIONS = 6000, KEPT = 1200, REQUESTS = 900, QUEUE = 512, STRIPES = 64, SHORT = 12, FORKS = 2 };

/* A session's size depends on its number alone. */
typedef struct { char *block; uint64_t mark; } session_t;
static session_t sessions[SESSIONS];
static pthread_mutex_t stripes[STRIPES];
static uint64_t seed;
static atomic_uint_least64_t thread_number = 1;

static size_t session_size(size_t i) {
    uint64_t random = i * 77 + 5;
    size_t octave = next_random(&random) % 8;
    return ((size_t)16 << octave) + next_random(&random) % ((size_t)16 << octave);
}
static pthread_mutex_t *stripe(size_t i) { return &stripes[i % STRIPES]; }

static void end_session(size_t i) {
    session_t *s = &sessions[i];
    if (!s->block) return;
    size_t size = session_size(i);
    CHECK(first_difference(s->block, size, s->mark) == size, "seed %llu: session %zu of %zu bytes changed", (unsigned long long)seed, i, size);
    free(s->block);
    s->block = NULL;
}
static void begin_session(size_t i, uint64_t mark) {
    size_t size = session_size(i);
    sessions[i].block = malloc(size);
    CHECK(sessions[i].block != NULL, "no session of %zu", size);
    sessions[i].mark = mark;
    fill(sessions[i].block, size, mark);
}

/* Blocks on their way to the thread that only frees. */
typedef struct { char *block; size_t size; uint64_t mark; } parcel_t;
static parcel_t queue[QUEUE];
static size_t queued, taken;
static int closed;
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_changed = PTHREAD_COND_INITIALIZER;

static void send_parcel(parcel_t p) {
    pthread_mutex_lock(&queue_lock);
    while (queued - taken == QUEUE) pthread_cond_wait(&queue_changed, &queue_lock);
    queue[queued++ % QUEUE] = p;
    pthread_cond_broadcast(&queue_changed);
    pthread_mutex_unlock(&queue_lock);
}
static void *janitor(void *unused) {
    for (;;) {
        pthread_mutex_lock(&queue_lock);
        while (queued == taken && !closed) pthread_cond_wait(&queue_changed, &queue_lock);
        if (queued == taken) break;
        parcel_t p = queue[taken++ % QUEUE];
        pthread_cond_broadcast(&queue_changed);
        pthread_mutex_unlock(&queue_lock);
        size_t at = first_difference(p.block, p.size, p.mark);
        CHECK(at == p.size, "seed %llu: byte %zu of a parcel of %zu changed", (unsigned long long)seed, at, p.size);
        free(p.block);
    }
    pthread_mutex_unlock(&queue_lock);
    return unused;
}

/* A buffer that grows as a request is read, checked as it moves. */
static void growing(uint64_t *random) {
    size_t size = 64, most = next_random(random) % 40 ? 20000 : (size_t)3 << 20;
    char *buffer = malloc(size);
    CHECK(buffer != NULL, "no buffer");
    uint64_t mark = next_random(random);
    fill(buffer, 64, mark);
    while (size < most) {
        size += size / 2 + next_random(random) % 512;
        buffer = realloc(buffer, size);
        CHECK(buffer != NULL, "no buffer of %zu", size);
        CHECK(first_difference(buffer, 64, mark) == 64, "seed %llu: a buffer of %zu lost its beginning", (unsigned long long)seed, size);
        buffer[size - 1] = 1;
    }
    free(buffer);
}

static void request(uint64_t *random) {
    parcel_t temporary[6];
    for (int i = 0; i < 6; i++) {
        size_t octave = next_random(random) % 9;
        parcel_t *p = &temporary[i];
        p->size = ((size_t)16 << octave) + next_random(random) % ((size_t)16 << octave);
        p->mark = next_random(random);
        if (p->mark % 8 == 0) {
            p->block = calloc(1, p->size);
            for (size_t at = 0; p->block && at < p->size; at++) CHECK(p->block[at] == 0, "byte %zu of calloc(%zu) is not zero", at, p->size);
        } else if (p->mark % 8 == 1) {
            p->block = aligned_alloc(64, (p->size + 63) & ~(size_t)63);
        } else {
            p->block = malloc(p->size);
        }
        CHECK(p->block != NULL, "no block of %zu", p->size);
        fill(p->block, p->size, p->mark);
    }
    size_t i = next_random(random) % SESSIONS;
    pthread_mutex_lock(stripe(i));
    end_session(i);
    begin_session(i, next_random(random));
    pthread_mutex_unlock(stripe(i));
    uint64_t dice = next_random(random) % 1000;
    if (dice < 30) growing(random);
    if (dice >= 30 && dice < 34) {
        size_t size = 100000 + next_random(random) % ((size_t)4 << 20);
        char *large = dice % 2 ? malloc(size) : calloc(1, size);
        CHECK(large != NULL, "no block of %zu", size);
        for (size_t at = 0; at < size; at += 4096) CHECK(dice % 2 || large[at] == 0, "byte %zu of calloc(%zu) is not zero", at, size);
        memset(large, 7, size);
        free(large);
    }
    for (int t = 0; t < 6; t++) {
        parcel_t p = temporary[t];
        if (p.mark % 16 < 2) {
            send_parcel(p);
            continue;
        }
        size_t at = first_difference(p.block, p.size, p.mark);
        CHECK(at == p.size, "seed %llu: byte %zu of a temporary of %zu changed", (unsigned long long)seed, at, p.size);
        free(p.block);
    }
}

static void *worker(void *requests) {
    uint64_t random = seed + thread_number++ * 1000003;
    for (uintptr_t i = 0; i < (uintptr_t)requests; i++) request(&random);
    return NULL;
}
/* A place in the server: its threads are replaced while the day lasts. */
static void *place(void *unused) {
    for (int part = 0; part < 3; part++) join(start(worker, (void *)(uintptr_t)(REQUESTS / 3)));
    for (int i = 0; i < SHORT; i++) join(start(worker, (void *)(uintptr_t)5));
    return unused;
}

/* In a child of the busy server: another thread may have been in the middle of a session, so only what nobody writes
   is looked at; new blocks, and a thread of its own. */
static session_t steady[200];
static void in_child(void) {
    for (size_t i = 0; i < 200; i++) {
        size_t size = session_size(i);
        CHECK(first_difference(steady[i].block, size, steady[i].mark) == size, "the parent's block %zu changed", i);
        if (i % 2) free(steady[i].block);
    }
    load_t *load = calloc(1, sizeof *load);
    load->random = seed;
    for (int i = 0; i < 2000; i++) load_step(load);
    load_end(load);
    free(load);
    _exit(0);
}
static void day(void) {
    pthread_t cleaner = start(janitor, NULL), places[WORKERS];
    for (int w = 0; w < WORKERS; w++) places[w] = start(place, NULL);
    for (int i = 0; i < FORKS; i++) {
        usleep(2000);
        pid_t child = fork();
        if (child == 0) in_child();
        child_succeeds(child, "fork");
    }
    for (int w = 0; w < WORKERS; w++) join(places[w]);
    pthread_mutex_lock(&queue_lock);
    closed = 1;
    pthread_cond_broadcast(&queue_changed);
    pthread_mutex_unlock(&queue_lock);
    join(cleaner);
    closed = 0;
}

/* One thread makes many blocks, another frees all. */
static void *make_all(void *blocks) {
    for (size_t i = 0; i < 20000; i++) {
        ((char **)blocks)[i] = malloc(48 + i % 5 * 100);
        CHECK(((char **)blocks)[i] != NULL, "no block");
        memcpy(((char **)blocks)[i], &i, sizeof i);
    }
    return NULL;
}
static void *free_all(void *blocks) {
    for (size_t i = 0; i < 20000; i++) {
        CHECK(!memcmp(((char **)blocks)[i], &i, sizeof i), "block %zu of a hand-off changed", i);
        free(((char **)blocks)[i]);
    }
    return NULL;
}
static void hand_off(void) {
    static char *blocks[20000];
    join(start(make_all, blocks));
    join(start(free_all, blocks));
}

/* Only the first KEPT sessions stay, whatever was there. */
static void evening(void) {
    for (size_t i = 0; i < SESSIONS; i++) {
        if (i >= KEPT) end_session(i);
        else if (!sessions[i].block) begin_session(i, i);
    }
}

static size_t figure(const char *name) {
    size_t value = 0, length = sizeof value;
    if (!IS_THERE(mallctl)) return 0;
    CHECK(mallctl(name, &value, &length, NULL, 0) == 0, "mallctl(%s)", name);
    return value;
}
static size_t slabs(void) {
    unsigned bins = 0;
    size_t length = sizeof bins, sum = 0;
    if (!IS_THERE(mallctl)) return 0;
    CHECK(mallctl("arenas.nbins", &bins, &length, NULL, 0) == 0, "mallctl(arenas.nbins)");
    for (unsigned i = 0; i < bins; i++) {
        char name[64];
        snprintf(name, sizeof name, "stats.arenas.0.bins.%u.curslabs", i);
        sum += figure(name);
    }
    return sum;
}
static size_t threads(void) {
    unsigned value = 0;
    size_t length = sizeof value;
    if (IS_THERE(mallctl)) CHECK(mallctl("stats.arenas.0.nthreads", &value, &length, NULL, 0) == 0, "mallctl(nthreads)");
    return value;
}
/* Counted without the C library's buffers, which would be part of what is counted. */
static size_t count_lines(const char *path) {
    char text[4096];
    size_t lines = 0;
    int file = open(path, O_RDONLY);
    CHECK(file >= 0, "%s: %s", path, strerror(errno));
    for (ssize_t n; (n = read(file, text, sizeof text)) > 0;)
        for (ssize_t i = 0; i < n; i++) lines += text[i] == '\n';
    close(file);
    return lines;
}
static size_t count_files(void) {
    size_t n = 0;
    for (int i = 0; i < 1024; i++) n += fcntl(i, F_GETFD) != -1;
    return n;
}
static void line(const char *name, unsigned n) {
    uint64_t epoch = 1;
    size_t length = sizeof epoch;
    if (IS_THERE(mallctl)) CHECK(mallctl("epoch", &epoch, &length, &epoch, sizeof epoch) == 0, "mallctl(epoch)");
    char text[512];
    int n_bytes = snprintf(text, sizeof text,
        "%s %u rss %zu maps %zu files %zu active %zu metadata %zu free %zu slabs %zu caches %zu allocated %zu\n", name, n,
        resident_bytes(), count_lines("/proc/self/maps"), count_files(), figure("stats.active"), figure("stats.metadata"),
        figure("stats.resident") - figure("stats.active") - figure("stats.metadata"), slabs(), threads(), figure("stats.allocated"));
    CHECK(write(1, text, (size_t)n_bytes) == n_bytes, "stdout: %s", strerror(errno));
}

static void lose(void) {
    static volatile char *lost;
    for (int i = 0; i < 900; i++) {
        lost = malloc(1000);
        CHECK(lost != NULL, "no block");
        memset((char *)lost, 1, 1000);
    }
    /* Two kinds of access, so that neighbours do not become one mapping. */
    char *pages = mmap(NULL, 16384, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(pages != MAP_FAILED && mprotect(pages, 4096, PROT_READ | PROT_WRITE) == 0, "mmap: %s", strerror(errno));
    CHECK(dup(1) >= 0, "dup: %s", strerror(errno));
}

int main(int argc, char **argv) {
    CHECK(argc >= 3, "usage: soak SECONDS SEED [lose]");
    double until = seconds() + atof(argv[1]);
    seed = strtoull(argv[2], NULL, 0);
    for (int i = 0; i < STRIPES; i++) pthread_mutex_init(&stripes[i], NULL);
    for (size_t i = 0; i < 200; i++) {
        steady[i].block = malloc(session_size(i));
        CHECK(steady[i].block != NULL, "no block");
        steady[i].mark = i + 1;
        fill(steady[i].block, session_size(i), i + 1);
    }
    line("begin", 0);
    for (unsigned n = 0; n < LEAST || seconds() < until; n++) {
        day();
        if (n % 4 == 1) hand_off();
        evening();
        usleep(20000);
        line("night", n);
        if (argc > 3) lose();
    }
    for (size_t i = 0; i < SESSIONS; i++) end_session(i);
    malloc_trim(0);
    line("end", 0);
    return 0;
}
