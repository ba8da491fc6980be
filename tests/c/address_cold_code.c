// What most programs do not need of the library stays out of their resident size: cold code, unwind tables, and what only programs need that use
// more than a few blocks, are mappings of their own, marked as read in another way than their neighbours, and nothing of them was mapped by
// the faults of these. Ordinary use, with threads, large objects and much that is freed, comes to no cold code, nor does the support thread's work
// after it.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SLOTS = 2000 };

static void *use(void *seed) {
    unsigned state = (unsigned)(size_t)seed;
    static __thread void *slots[SLOTS];
    for (int i = 0; i < 200000; i++) {
        state = state * 1103515245 + 12345;
        void **slot = &slots[(state >> 16 & 0x7fff) % SLOTS];
        size_t size = state >> 8 & (i % 100 ? 0x7ff : 0x3ffff);
        free(*slot);
        *slot = malloc(size);
        if (*slot) memset(*slot, 1, size < 64 ? size : 64);
    }
    for (int i = 0; i < SLOTS; i++) free(slots[i]);
    return NULL;
}

// 0: each part is there, and of it at most a quarter resident; `later`: but of what is needed later.
static int look(const char *when, int later) {
    FILE *f = fopen("/proc/self/smaps", "r");
    if (!f) return 2;
    char line[512];
    int code = 0, data = 0, cold = 0, warm = 0, tables = 0;
    long size = 0, resident = 0;
    while (fgets(line, sizeof line, f)) {
        char permissions[8];
        if (sscanf(line, "%*x-%*x %4s", permissions) == 1) {
            int ours = strstr(line, "libaethalloc.so") != NULL;
            code = ours && !strcmp(permissions, "r-xp");
            data = ours && !strcmp(permissions, "r--p");
        }
        sscanf(line, "Size: %ld", &size);
        sscanf(line, "Rss: %ld", &resident);
        if (strncmp(line, "VmFlags:", 8)) continue;
        int random = strstr(line, " rr ") != NULL, in_order = strstr(line, " sr ") != NULL;
        const char *what = code && random ? "cold code" : code && in_order ? "later code" : data && random ? "unwind tables" : NULL;
        if (!what) continue;
        printf("%s: %ld KiB of %s, %ld KiB resident\n", when, size, what, resident);
        int away = size >= 16 && resident * 4 <= size;
        if (code && random) cold = away;
        else if (code) warm = away || later;
        else tables = away;
    }
    fclose(f);
    return !(cold && warm && tables);
}

int main(void) {
    char *volatile block = malloc(100);
    free(block);
    int bad = look("at first", 0);
    pthread_t threads[3];
    for (size_t i = 0; i < 3; i++)
        if (pthread_create(&threads[i], NULL, use, (void *)(i + 1))) return 2;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    use((void *)4);
    sleep(1); // some rounds of the support thread
    return bad | look("used", 1);
}
