/* The program limits itself while it runs: first 40 MiB more data, then its present address space. What it has
   stays right, a refusal is null with ENOMEM, and what is freed can be had again. */
#include "threads.h"
#include <sys/resource.h>

enum { MOST = 60000 };
static char *blocks[MOST];

static void limit(int what, size_t bytes) {
    struct rlimit both = {bytes, RLIM_INFINITY};
    CHECK(setrlimit(what, &both) == 0, "setrlimit: %s", strerror(errno));
}

static size_t kib_of(const char *name) {
    char line[256];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    CHECK(file != NULL, "no /proc/self/status");
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name))) kib = strtoull(line + strlen(name), NULL, 0);
    fclose(file);
    return kib;
}

/* As many blocks as can be had, 2 KB each. */
static int take(void) {
    int count = 0;
    for (; count < MOST; count++) {
        errno = 0;
        if (!(blocks[count] = malloc(2000))) break;
        fill(blocks[count], 2000, (uint64_t)count);
    }
    CHECK(count == MOST || errno == ENOMEM, "errno %d with null", errno);
    return count;
}
static void give(int count) {
    for (int i = 0; i < count; i++) {
        CHECK(first_difference(blocks[i], 2000, (uint64_t)i) == 2000, "block %d changed", i);
        free(blocks[i]);
    }
}

static void *work(void *unused) {
    load_t load = {.random = 7};
    for (int i = 0; i < 3000; i++) load_step(&load);
    load_end(&load);
    return unused;
}

int main(void) {
    join(start(work, NULL));
    size_t data = kib_of("VmData:") << 10;
    CHECK(data != 0, "no figure");
    limit(RLIMIT_DATA, data + ((size_t)40 << 20));
    int under_data = take();
    CHECK(under_data < MOST, "120 MB of blocks under a limit of 40 MiB");
    CHECK(under_data > 5000 || on_oracle(), "only %d blocks of 2 KB under a limit of 40 MiB", under_data);
    give(under_data);
    int again = take();
    CHECK(again >= under_data / 10 * 9, "%d blocks, after freeing all %d", under_data, again);
    give(again);
    limit(RLIMIT_DATA, RLIM_INFINITY);
    limit(RLIMIT_AS, kib_of("VmSize:") << 10);
    give(take()); /* what was reserved before may be used: there need be no refusal */
    limit(RLIMIT_AS, RLIM_INFINITY);
    join(start(work, NULL));
    CHECK(take() == MOST, "refusals without a limit");
    return 0;
}
